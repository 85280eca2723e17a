// f32 depthwise convolution: every channel on its own.

#ifndef LATHE_KERNELS_CONV_DEPTHWISE_H_
#define LATHE_KERNELS_CONV_DEPTHWISE_H_

#include "src/kernels/conv/conv.h"

namespace lathe::kernels {

// As ConvShape with `groups` = in_c, out_c = in_c * multiplier, and the filter
// as the format has it for this operator, [1, kernel_h, kernel_w, out_c]:
// output channel o sums filter[kh, kw, o] * x[.., o / multiplier] over the
// taps inside the input.
struct DepthwiseArgs {
  const float* x = nullptr;
  const float* filter = nullptr;    // Used as it is, nothing is packed.
  const float* bias = nullptr;      // out_c floats, or null.
  const float* residual = nullptr;  // As y, added last; may be y itself.
  float* y = nullptr;
  Activation activation = Activation::kNone;
};

// Work is split over rows of outputs; needs `threads` * out_c floats of
// scratch. Looks at `stop` between rows and then leaves y undefined.
size_t DepthwiseScratchFloats(const ConvShape& shape, size_t threads);
void RunDepthwise(const ConvShape& shape, const DepthwiseArgs& args,
                  ThreadPool& pool, float* scratch, StopToken stop);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_CONV_DEPTHWISE_H_
