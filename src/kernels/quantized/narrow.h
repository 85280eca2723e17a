// Weights that are stored densely packed or sparse, made plain.

#ifndef LATHE_KERNELS_QUANTIZED_NARROW_H_
#define LATHE_KERNELS_QUANTIZED_NARROW_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace lathe::kernels {

// n numbers of `bits` bits (2 or 4), lowest bits first, without gaps between
// rows, as int8: signed, or 0 .. 2^bits - 1.
void UnpackNarrow(const std::byte* packed, size_t bits, bool is_signed,
                  size_t n, int8_t* to);

// The other way round, from signed or unsigned numbers that fit.
void PackNarrow(const int8_t* from, size_t bits, size_t n, std::byte* packed);

// One traversed dimension of a sparse tensor: dense of `size` positions, or,
// with segments, compressed: parent i has positions indices[segments[i] ..
// segments[i + 1]).
struct SparseLevel {
  size_t size = 0;
  size_t stride = 0;  // In elements of the dense tensor, per position.
  bool compressed = false;
  std::span<const int32_t> segments, indices;
};

// Places the stored values, in the order of the traversal (first level
// outermost), into `dense`, which is zero before. Everything is in bounds.
void Densify(std::span<const SparseLevel> levels, size_t element_bytes,
             const std::byte* values, std::byte* dense);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_NARROW_H_
