// Slices picked and placed by index vectors: STABLEHLO_GATHER and
// STABLEHLO_SCATTER.

#ifndef LATHE_KERNELS_WINDOW_SLICES_H_
#define LATHE_KERNELS_WINDOW_SLICES_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "src/kernels/window/combine.h"

namespace lathe::kernels {

inline constexpr size_t kMaxSliceRank = 16;

// The sliced tensor ("whole") and the tensor of slices ("parts"), each of whose
// axes either walks inside a slice or over the slices. A slice starts at an
// index vector: component c is for axis component_axis[c] of whole, other axes
// start at 0.
struct SliceShape {
  struct PartAxis {
    size_t size = 1;
    int whole_axis = -1;      // Walks along this axis, or -1:
    size_t index_stride = 0;  // over slices; elements of the indices.
  };
  size_t whole_rank = 0, part_rank = 0, components = 0;
  std::array<int64_t, kMaxSliceRank> whole{};  // Dims.
  std::array<int64_t, kMaxSliceRank> slice{};  // Of a slice; for gather.
  std::array<PartAxis, kMaxSliceRank> parts{};
  std::array<size_t, kMaxSliceRank> component_axis{};
  size_t component_stride = 1;
  bool wide = false;  // Indices are int64, else int32.
  size_t element_bytes = 4;
};

// parts = the slices of whole; starts are moved so that the slice fits.
void RunGatherSlices(const SliceShape& shape, const std::byte* whole,
                     const void* indices, std::byte* parts);

// whole[place] = combine(whole[place], part) for every element of parts in
// row-major order; elements whose place is outside are left out.
void RunScatterSlices(const SliceShape& shape, CombineFn combine,
                      const std::byte* parts, const void* indices,
                      std::byte* whole);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_WINDOW_SLICES_H_
