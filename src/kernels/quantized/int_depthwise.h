// Depthwise convolution of integers: every channel on its own.

#ifndef LATHE_KERNELS_QUANTIZED_INT_DEPTHWISE_H_
#define LATHE_KERNELS_QUANTIZED_INT_DEPTHWISE_H_

#include "src/kernels/conv/conv.h"
#include "src/kernels/quantized/int_conv.h"

namespace lathe::kernels {

// As depthwise.h: the filter is [1, kernel_h, kernel_w, out_c], here as int16
// less its zero point. x is centred as in int_conv.h. Output::kind is
// kRequantize, kWide or kFloat.
struct IntDepthwise {
  const QuantizedKernels* kernels = nullptr;
  ConvShape shape;
  size_t threads = 1;
  bool dynamic = false, asymmetric = false;
  Integer type = Integer::kInt8;
  int32_t zero = 0;
};

size_t IntDepthwiseScratchBytes(const IntDepthwise& depthwise);
// Work is split over rows of outputs. Looks at `stop` between them and then
// leaves y undefined.
void RunIntDepthwise(const IntDepthwise& depthwise, const Output& output,
                     const void* x, const int16_t* filter, ThreadPool& pool,
                     std::byte* scratch, StopToken stop);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_INT_DEPTHWISE_H_
