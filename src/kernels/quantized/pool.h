// Pools over quantized images; resizing by interpolation.

#ifndef LATHE_KERNELS_QUANTIZED_POOL_H_
#define LATHE_KERNELS_QUANTIZED_POOL_H_

#include <cstddef>
#include <cstdint>

#include "src/base/thread_pool.h"
#include "src/kernels/quantized/binary.h"
#include "src/kernels/quantized/requantize.h"

namespace lathe::kernels {

// x is [batch, height, width, channels], y [batch, out_height, out_width,
// channels]; the window of y[oy, ox] begins at oy * stride - pad.
struct QuantizedPoolShape {
  size_t batch = 1, height = 1, width = 1, channels = 1;
  size_t out_height = 1, out_width = 1;
  size_t window_height = 1, window_width = 1;
  size_t stride_height = 1, stride_width = 1;
  size_t pad_top = 0, pad_left = 0;
};

// The largest, or the mean rounded half away from zero, of the inputs of each
// window that lie inside the image, clamped to `range`. Each window has at
// least one.
void RunQuantizedPool(bool largest, QuantizedType type,
                      const QuantizedPoolShape& shape, IntegerRange range,
                      const void* x, void* y, ThreadPool& pool);

// x [batch, height, width, channels] to y [batch, out_height, out_width,
// channels]. int8 and int16: coordinates have 10 bits after the point and the
// four products are rounded half away from zero; uint8: float32, plus a half
// and cut. `align` and `half_pixel`: the format's two options.
struct QuantizedResizeShape {
  size_t batch = 1, height = 1, width = 1, channels = 1;
  size_t out_height = 1, out_width = 1;
  bool align = false, half_pixel = false;
};
void RunQuantizedBilinear(QuantizedType type, const QuantizedResizeShape& shape,
                          const void* x, void* y, ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_POOL_H_
