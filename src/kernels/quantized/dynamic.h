// Floats that become integers while the model runs, by the format's rules for
// dynamic ranges.
//
// Comes before: product.h

#ifndef LATHE_KERNELS_QUANTIZED_DYNAMIC_H_
#define LATHE_KERNELS_QUANTIZED_DYNAMIC_H_

#include <cstddef>
#include <cstdint>

#include "src/base/thread_pool.h"
#include "src/kernels/quantized/quantized.h"

namespace lathe::kernels {

// Scale and zero point of one row of floats, found by the rules of the format
// for dynamic ranges; symmetric: zero 0 and numbers from -127 to 127.
struct DynamicRange {
  float scale = 1, inverse = 1;
  int32_t zero = 0, low = 0, high = 0;
};
DynamicRange DynamicRangeOf(float low, float high, bool asymmetric);

// Centres `rows` rows of n floats, `x_stride` apart, into rows of `to_stride`,
// filled up with zeros; scales[row] stands for the quantizer's scale.
void QuantizeRows(const QuantizedKernels& kernels, const float* x, size_t rows,
                  size_t n, size_t x_stride, bool asymmetric, int16_t* to,
                  size_t to_stride, float* scales);
// One row to int8, not centred, filled up with zeros to `to_stride`; sums[i] is
// that of the i-th n / blocks of them.
DynamicRange QuantizeRowToBytes(const QuantizedKernels& kernels, const float* x,
                                size_t n, bool asymmetric, size_t blocks,
                                int8_t* to, size_t to_stride, int32_t* sums);

// The same of `images` rows of n numbers, one behind the other, by all
// threads: int8 without sums, or centred int16. ranges[image] and scales[image]
// stand for each quantizer.
void QuantizeImages(const QuantizedKernels& kernels, const float* x,
                    size_t images, size_t n, bool asymmetric, int8_t* to,
                    DynamicRange* ranges, ThreadPool& pool);
void QuantizeImages(const QuantizedKernels& kernels, const float* x,
                    size_t images, size_t n, bool asymmetric, int16_t* to,
                    float* scales, ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_DYNAMIC_H_
