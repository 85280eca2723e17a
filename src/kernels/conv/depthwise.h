// f32 depthwise convolution: every channel on its own.

#ifndef LATHE_KERNELS_CONV_DEPTHWISE_H_
#define LATHE_KERNELS_CONV_DEPTHWISE_H_

#include <string_view>

#include "src/kernels/conv/conv.h"
#include "src/kernels/conv/taps.h"

namespace lathe::kernels {

// One output pixel: y[o] = clamp(bias[o] + the sum over the taps, in their
// order, of x[in[t] + o / multiplier] * filter[filter[t] + o]) for o <
// channels. bias may be null.
using DepthwisePixel = void (*)(const Taps& taps, const float* x,
                                const float* filter, const float* bias,
                                size_t channels, size_t multiplier, Clamp clamp,
                                float* y);

struct DepthwiseKernels {
  std::string_view name;
  Isa isa;
  DepthwisePixel pixel;
};
// The fastest not above `limit` that this CPU has.
const DepthwiseKernels& ChooseDepthwise(Isa limit);

// As ConvShape with `groups` = in_c, out_c = in_c * multiplier, and the filter
// as the format has it for this operator, [1, kernel_h, kernel_w, out_c]:
// output channel o sums filter[kh, kw, o] * x[.., o / multiplier] over the
// taps inside the input.
struct DepthwiseArgs {
  const float* x = nullptr;
  const float* filter = nullptr;  // Used as it is, nothing is packed.
  const float* bias = nullptr;    // out_c floats, or null.
  float* y = nullptr;
  Activation activation = Activation::kNone;
};

// Work is split over pieces of output rows. Looks at `stop` between them and
// then leaves y undefined.
size_t DepthwiseScratchBytes(const ConvShape& shape, size_t threads);
void RunDepthwise(const DepthwiseKernels& kernels, const ConvShape& shape,
                  const DepthwiseArgs& args, ThreadPool& pool,
                  std::byte* scratch, StopToken stop);

// Output pixels that one job takes: enough work to be worth a thread, and not
// more than a row. `work` is what one pixel costs, in multiplications.
size_t PixelsPerJob(size_t row, size_t work);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_CONV_DEPTHWISE_H_
