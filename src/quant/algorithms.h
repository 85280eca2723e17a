// The entry of each algorithm; weights.cc chooses. Problems are well formed:
// the shape fits the values, the block divides the last dimension.

#ifndef LATHE_QUANT_ALGORITHMS_H_
#define LATHE_QUANT_ALGORITHMS_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "src/base/result.h"
#include "src/quant/groups.h"
#include "src/quant/weights.h"

namespace lathe::quant {

// Reference 2.2 and 2.4. Reads the values once.
Result<WeightParams> FindMinMax(const Problem& problem);

// Reference 2.11: no scales; tests the range of a half.
Result<WeightParams> CheckHalves(const Problem& problem);

// Reference 2.5, of values rotated by `rotation` (1: as they are).
Result<WeightParams> FindOctav(const Problem& problem, size_t rotation);
Result<WeightParams> FindHadamard(const Problem& problem);

// Reference 2.6, or the best of a grid of clips. Reads each group about 50
// times from the cache.
Result<WeightParams> FindMse(const Problem& problem);

// Reference 2.8. Sorts each group.
Result<WeightParams> FindRecovery(const Problem& problem);

// Reference 2.9.
Result<WeightParams> FindGptq(const Problem& problem);
// q: int8, as many as values.
Status EncodeGptq(const Problem& problem, const WeightParams& params,
                  std::span<int8_t> q);

// Reference 2.10.
Result<WeightParams> FindOscar(const Problem& problem);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_ALGORITHMS_H_
