#include "src/quant/hadamard.h"

#include <algorithm>
#include <bit>

#include "src/quant/algorithms.h"
#include "src/quant/rows/rows.h"

namespace lathe::quant {

int64_t HadamardSize(int64_t width, int64_t limit) {
  // The lowest set bit; not more than 2^30, as in the older tool.
  const int64_t divides = std::min<int64_t>(width & -width, int64_t{1} << 30);
  if (limit <= 0) return divides;
  return std::min(divides, static_cast<int64_t>(
                               std::bit_floor(static_cast<uint64_t>(limit))));
}

void RotateAll(std::span<float> x, size_t size) {
  for (size_t i = 0; i < x.size(); i += size) Rows().rotate(size, &x[i]);
}

Result<WeightParams> FindHadamard(const Problem& problem) {
  const int64_t size = HadamardSize(static_cast<int64_t>(problem.width()),
                                    problem.config.max_hadamard_size);
  // A rotation of one element is none. The older tool makes a 2 x 2 matrix of
  // it, which fits nothing.
  if (size <= 1 && !problem.correct()) {
    return Invalid("no power of 2 divides the last dimension, {}",
                   problem.width());
  }
  LATHE_ASSIGN(WeightParams params,
               FindOctav(problem, static_cast<size_t>(size)));
  if (size > 1) params.hadamard_size = size;
  return params;
}

}  // namespace lathe::quant
