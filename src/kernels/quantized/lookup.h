// Rows of quantized tables as floats.

#ifndef LATHE_KERNELS_QUANTIZED_LOOKUP_H_
#define LATHE_KERNELS_QUANTIZED_LOOKUP_H_

#include <cstddef>
#include <cstdint>

namespace lathe::kernels {

// y[i] = scale * (q[first + i] - zero) for i < n, where q are signed numbers of
// `bits` bits (8, 4 or 2) without gaps, lowest bits first.
void DequantizeNarrow(const std::byte* q, size_t bits, size_t first, size_t n,
                      float scale, int32_t zero, float* y);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_LOOKUP_H_
