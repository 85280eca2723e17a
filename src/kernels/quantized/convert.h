// Between floats and integers, and between scales: QUANTIZE and DEQUANTIZE.

#ifndef LATHE_KERNELS_QUANTIZED_CONVERT_H_
#define LATHE_KERNELS_QUANTIZED_CONVERT_H_

#include <cstddef>
#include <cstdint>

#include "src/base/thread_pool.h"
#include "src/kernels/quantized/quantized.h"
#include "src/kernels/quantized/requantize.h"

namespace lathe::kernels {

enum class Stored : uint8_t {
  kInt8,
  kUint8,
  kInt16,
  kInt4,  // Narrow ones as in narrow.h.
  kUint4,
  kInt2,
  kFloat16,
  kBfloat16
};

// Which scale element i has: that of channel i / inner % channels.
struct Scaling {
  size_t n = 0;
  size_t channels = 1, inner = 1;
  const float* scale = nullptr;  // One per channel; not read for floats.
  const int32_t* zero = nullptr;
};

// y[i] = scale * (x[i] - zero); 16-bit floats keep their value.
void RunDequantize(const QuantizedKernels& kernels, Stored type,
                   const Scaling& scaling, const std::byte* x, float* y,
                   ThreadPool& pool);
// The same on the caller's thread.
void Dequantize(const QuantizedKernels& kernels, Stored type,
                const Scaling& scaling, const std::byte* x, float* y);

// y[i] = round(x[i] / scale) + zero within the type's range, halves away from
// zero; NaN gives the zero point. Not to floats.
void RunQuantize(const QuantizedKernels& kernels, Stored type,
                 const Scaling& scaling, const float* x, std::byte* y,
                 ThreadPool& pool);

// y[i] = y_zero + Rescale(x[i] - x_zero) within the type's range.
struct Requantization {
  Multiplier multiplier;
  int32_t x_zero = 0, y_zero = 0;
};
void RunRequantize(Integer from, Integer to, const Requantization& how,
                   size_t n, const void* x, void* y, ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_CONVERT_H_
