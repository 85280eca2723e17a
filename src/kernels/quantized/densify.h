// Weights that are stored sparse, made dense.

#ifndef LATHE_KERNELS_QUANTIZED_DENSIFY_H_
#define LATHE_KERNELS_QUANTIZED_DENSIFY_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace lathe::kernels {

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

#endif  // LATHE_KERNELS_QUANTIZED_DENSIFY_H_
