// Values put where indices say: SCATTER_ND, SPARSE_TO_DENSE, segments and sums
// of embeddings.

#ifndef LATHE_KERNELS_INDEXING_SCATTER_H_
#define LATHE_KERNELS_INDEXING_SCATTER_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "src/kernels/elementwise/number.h"

namespace lathe::kernels {

// to = 0, then to[indices[i, 0], ..., indices[i, k - 1], :] += updates[i, :]
// for i < rows, in order; `dims` are the first k of `to`, which has `elements`;
// rows of `inner`. Integers wrap, truths are joined by "or". Returns the first
// row of indices that is out of range, or `rows`. Floats of 32 and 64 bits,
// integers, bool.
size_t RunScatterNd(Number type, std::span<const int32_t> dims, size_t inner,
                    std::span<const int64_t> indices, size_t rows,
                    const void* updates, size_t elements, void* to);

// to = filler everywhere, then to[indices[i, :]] = values[i], or values[0] if
// there is `one_value`; indices of dims.size() numbers. Returns as above.
size_t RunSparseToDense(std::span<const int32_t> dims, size_t element_bytes,
                        std::span<const int64_t> indices, size_t rows,
                        const std::byte* values, bool one_value,
                        const std::byte* filler, size_t elements,
                        std::byte* to);

enum class Segments : uint8_t { kSum, kProd, kMax, kMin };

// y[s, :] = the sum (product, largest, smallest) of x[i, :] with ids[i] == s,
// for s < segments; of nothing 0, 1, the type's lowest, its highest number.
// Negative ids count nowhere. Returns the position of the first id that is too
// large, or the number of ids. Types as RunScatterNd without bool.
size_t RunSegments(Segments kind, Number type, std::span<const int64_t> ids,
                   size_t segments, size_t inner, const void* x, void* y);

enum class Combiner : uint8_t { kSum, kMean, kSqrtN };

// EMBEDDING_LOOKUP_SPARSE. y = 0, then for each run of equal buckets[i] in
// order: y[bucket, :] += weights[i] table[ids[i], :], divided by the run's sum
// of weights (kMean) or the root of its sum of squares (kSqrtN) where that is
// not 0. Buckets and ids must be in range.
void RunEmbeddingSums(Combiner combiner, std::span<const int64_t> buckets,
                      const int32_t* ids, const float* weights, size_t inner,
                      const float* table, size_t elements, float* y);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_INDEXING_SCATTER_H_
