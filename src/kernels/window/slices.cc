#include "src/kernels/window/slices.h"

#include <algorithm>
#include <cstring>

namespace lathe::kernels {
namespace {

using Index = std::array<int64_t, kMaxSliceRank>;

int64_t ReadIndex(const SliceShape& shape, const void* indices, size_t at) {
  return shape.wide ? static_cast<const int64_t*>(indices)[at]
                    : static_cast<const int32_t*>(indices)[at];
}

// Where the slice of the part at `at` starts, and where in it the part lies.
void Locate(const SliceShape& shape, const void* indices, const Index& at,
            Index& start, Index& inside) {
  size_t vector = 0;
  start.fill(0);
  inside.fill(0);
  for (size_t i = 0; i < shape.part_rank; ++i) {
    const SliceShape::PartAxis& axis = shape.parts[i];
    if (axis.whole_axis >= 0) {
      inside[static_cast<size_t>(axis.whole_axis)] = at[i];
    } else {
      vector += static_cast<size_t>(at[i]) * axis.index_stride;
    }
  }
  for (size_t c = 0; c < shape.components; ++c) {
    start[shape.component_axis[c]] =
        ReadIndex(shape, indices, vector + c * shape.component_stride);
  }
}

// Calls use(index) for every index of parts in row-major order.
template <typename F>
void ForEachPart(const SliceShape& shape, const F& use) {
  size_t count = 1;
  for (size_t i = 0; i < shape.part_rank; ++i) count *= shape.parts[i].size;
  Index at{};
  for (size_t n = 0; n < count; ++n) {
    use(n, at);
    for (size_t i = shape.part_rank; i-- > 0;) {
      if (++at[i] < static_cast<int64_t>(shape.parts[i].size)) break;
      at[i] = 0;
    }
  }
}

}  // namespace

void RunGatherSlices(const SliceShape& shape, const std::byte* whole,
                     const void* indices, std::byte* parts) {
  const size_t bytes = shape.element_bytes;
  ForEachPart(shape, [&](size_t n, const Index& at) {
    Index start, inside;
    Locate(shape, indices, at, start, inside);
    size_t from = 0;
    for (size_t d = 0; d < shape.whole_rank; ++d) {
      const int64_t first =
          std::clamp<int64_t>(start[d], 0, shape.whole[d] - shape.slice[d]);
      from = from * static_cast<size_t>(shape.whole[d]) +
             static_cast<size_t>(first + inside[d]);
    }
    std::memcpy(parts + n * bytes, whole + from * bytes, bytes);
  });
}

void RunScatterSlices(const SliceShape& shape, CombineFn combine,
                      const std::byte* parts, const void* indices,
                      std::byte* whole) {
  const size_t bytes = shape.element_bytes;
  ForEachPart(shape, [&](size_t n, const Index& at) {
    Index start, inside;
    Locate(shape, indices, at, start, inside);
    size_t to = 0;
    for (size_t d = 0; d < shape.whole_rank; ++d) {
      // start may be any number; inside is below 2^31.
      if (start[d] < -inside[d] || start[d] >= shape.whole[d] - inside[d]) {
        return;
      }
      to = to * static_cast<size_t>(shape.whole[d]) +
           static_cast<size_t>(start[d] + inside[d]);
    }
    combine(1, whole + to * bytes, parts + n * bytes, whole + to * bytes);
  });
}

}  // namespace lathe::kernels
