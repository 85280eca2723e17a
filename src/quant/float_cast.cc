// Halves: nothing to find, but a range to keep.

#include <bit>
#include <cmath>

#include "src/quant/algorithms.h"
#include "src/quant/rows/rows.h"

namespace lathe::quant {

Result<WeightParams> CheckHalves(const Problem& problem) {
  if (!problem.correct()) return WeightParams{};
  // From here on a float rounds to a half that is infinite.
  constexpr float kTooLarge = 65520.0f;
  const uint32_t largest = LargestBits(problem.values, problem.pool);
  if (largest >= kInfinityBits) return NotFinite(problem);
  if (std::bit_cast<float>(largest) < kTooLarge) return WeightParams{};
  size_t i = 0;
  while (std::abs(problem.values[i]) < kTooLarge) ++i;
  return Invalid("the value at {} is {}; the largest of float16 is 65504",
                 Position(problem.shape, i), problem.values[i]);
}

}  // namespace lathe::quant
