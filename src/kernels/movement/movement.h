// Moving elements without looking at them: any element size, any rank.

#ifndef LATHE_KERNELS_MOVEMENT_MOVEMENT_H_
#define LATHE_KERNELS_MOVEMENT_MOVEMENT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "src/base/thread_pool.h"

namespace lathe::kernels {

inline constexpr size_t kMaxCopyRank = 16;

// to[sum i_d to_stride_d] = from[sum i_d from_stride_d] for all indices; sizes
// and strides in elements, strides may be negative or 0. TRANSPOSE, SLICE,
// STRIDED_SLICE, CONCATENATION, SPLIT, PACK, PAD, TILE, BROADCAST_TO, FILL,
// REVERSE_V2, SPACE_TO_DEPTH, DEPTH_TO_SPACE and DYNAMIC_UPDATE_SLICE (its
// to_first known at run time) are all this copy.
struct CopyLoops {
  size_t element_bytes = 4;
  size_t rank = 0;
  std::array<size_t, kMaxCopyRank> size{};
  std::array<ptrdiff_t, kMaxCopyRank> from_stride{}, to_stride{};
  ptrdiff_t from_first = 0, to_first = 0;  // Of index 0, in elements.

  void Add(size_t dim, ptrdiff_t from, ptrdiff_t to) {
    size[rank] = dim;
    from_stride[rank] = from;
    to_stride[rank] = to;
    ++rank;
  }
};

// Drops dims of 1 and merges dims that run on in both.
CopyLoops Simplify(const CopyLoops& loops);

// `loops` must be simplified. Splits over the outermost dims.
void RunCopy(const CopyLoops& loops, const std::byte* from, std::byte* to,
             ThreadPool& pool);

// Row-major strides of a shape.
void RowMajorStrides(std::span<const int32_t> shape, ptrdiff_t* strides);

// to[o, i] = table[o, indices[i]] for o < outer, i < count; rows of
// `row_bytes`; `rows` in each table. Returns the position of the first index
// out of range, or `count` when all are good (then everything is written).
size_t RunGather(size_t outer, size_t rows, size_t row_bytes,
                 std::span<const int64_t> indices, const std::byte* table,
                 std::byte* to);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_MOVEMENT_MOVEMENT_H_
