#include "src/kernels/conv/depthwise.h"

#include <algorithm>

#include "src/base/aligned_buffer.h"

namespace lathe::kernels {
namespace {

// sums[o] += x[o / multiplier] * filter[o].
void AddTap(const float* x, const float* filter, size_t channels,
            size_t multiplier, float* sums) {
  if (multiplier == 1) {
    for (size_t o = 0; o < channels; ++o) sums[o] += x[o] * filter[o];
    return;
  }
  for (size_t c = 0; c < channels / multiplier; ++c) {
    for (size_t m = 0; m < multiplier; ++m, ++sums, ++filter) {
      *sums += x[c] * *filter;
    }
  }
}

}  // namespace

size_t DepthwiseScratchFloats(const ConvShape& s, size_t threads) {
  return threads * RoundUp(s.out_c, 16);
}

void RunDepthwise(const ConvShape& s, const DepthwiseArgs& args,
                  ThreadPool& pool, float* scratch, StopToken stop) {
  const Clamp clamp = ClampOf(args.activation);
  if (s.out_c == 0) return;
  const size_t multiplier = s.out_c / s.in_c;
  pool.Run(s.batch * s.out_h, [&](size_t job, size_t thread) {
    if (Stopped(stop)) return;
    const size_t n = job / s.out_h, oh = job % s.out_h;
    float* sums = scratch + thread * RoundUp(s.out_c, 16);
    for (size_t ow = 0; ow < s.out_w; ++ow) {
      if (args.bias) {
        std::copy_n(args.bias, s.out_c, sums);
      } else {
        std::fill_n(sums, s.out_c, 0.0f);
      }
      for (size_t kh = 0; kh < s.kernel_h; ++kh) {
        // Below zero wraps to a huge number: one comparison finds both ends.
        const size_t h = oh * s.stride_h + kh * s.dilation_h - s.pad_top;
        if (h >= s.in_h) continue;
        for (size_t kw = 0; kw < s.kernel_w; ++kw) {
          const size_t w = ow * s.stride_w + kw * s.dilation_w - s.pad_left;
          if (w >= s.in_w) continue;
          AddTap(args.x + ((n * s.in_h + h) * s.in_w + w) * s.in_c,
                 args.filter + (kh * s.kernel_w + kw) * s.out_c, s.out_c,
                 multiplier, sums);
        }
      }
      const size_t out = (job * s.out_w + ow) * s.out_c;
      for (size_t o = 0; o < s.out_c; ++o) {
        float sum = std::min(std::max(sums[o], clamp.low), clamp.high);
        if (args.residual) sum += args.residual[out + o];
        args.y[out + o] = sum;
      }
    }
  });
}

}  // namespace lathe::kernels
