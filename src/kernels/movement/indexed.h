// Moves steered by values: GATHER_ND, ONE_HOT, REVERSE_SEQUENCE, MIRROR_PAD.

#ifndef LATHE_KERNELS_MOVEMENT_INDEXED_H_
#define LATHE_KERNELS_MOVEMENT_INDEXED_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "src/base/thread_pool.h"

namespace lathe::kernels {

// to[i] = table[indices[i, 0], ..., indices[i, k - 1]], rows of `row_bytes`;
// dims are the table's first k. Returns the position of the first row of
// indices that is out of range (then nothing is written), or the number of
// rows. With k = 0 pass the number of rows: all are the whole table.
size_t RunGatherNd(std::span<const int32_t> dims, size_t row_bytes,
                   std::span<const int64_t> indices, size_t rows,
                   const std::byte* table, std::byte* to);

// to[o, d, i] = indices[o, i] == d ? on : off for d < depth; any index out of
// range, negative too, gives a column of off.
void RunOneHot(size_t outer, size_t depth, size_t inner, size_t element_bytes,
               const int64_t* indices, const std::byte* on,
               const std::byte* off, std::byte* to, ThreadPool& pool);

// x as [outer, first, middle, second, inner]; one of first and second is the
// sequence, the other the batch. In batch b the first lengths[b] entries of the
// sequence change places, first with last; 0 <= lengths[b] <= the sequence.
struct SequenceLoops {
  size_t outer = 1, first = 1, middle = 1, second = 1, inner_bytes = 4;
  bool sequence_first = false;
};
void RunReverseSequence(const SequenceLoops& loops, const int64_t* lengths,
                        const std::byte* x, std::byte* to, ThreadPool& pool);

// to = x with `before[d]` and `after[d]` elements more in each dim, mirrored at
// the edge; `reflect` does not repeat the edge itself. Every pad is below the
// dim (reflect) or not above it. Rank up to 8.
void RunMirrorPad(std::span<const int32_t> shape,
                  std::span<const int32_t> before,
                  std::span<const int32_t> after, bool reflect,
                  size_t element_bytes, const std::byte* x, std::byte* to,
                  ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_MOVEMENT_INDEXED_H_
