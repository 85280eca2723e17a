#include "src/kernels/quantized/int_depthwise.h"

#include <algorithm>

namespace lathe::kernels {
namespace {

// 2^15 * 2^8 * 128 = 2^30: taps of 16-bit numbers that int32 sums exactly.
constexpr size_t kWideTaps = 128;

size_t JobBytes(const IntDepthwise& d) {
  return RoundUp(d.shape.out_c * (sizeof(int32_t) + sizeof(int64_t)),
                 kCacheLine);
}

}  // namespace

size_t IntDepthwiseScratchBytes(const IntDepthwise& d) {
  return CenteredScratchBytes(d.dynamic, d.type, d.shape.batch,
                              d.shape.in_h * d.shape.in_w * d.shape.in_c) +
         d.threads * JobBytes(d);
}

void RunIntDepthwise(const IntDepthwise& d, const Output& output, const void* x,
                     const int16_t* filter, ThreadPool& pool,
                     std::byte* scratch, StopToken stop) {
  const ConvShape& s = d.shape;
  const size_t image_size = s.in_h * s.in_w * s.in_c;
  const Centered centred =
      CenterImages(*d.kernels, d.dynamic, d.asymmetric, d.type, d.zero, x,
                   s.batch, image_size, pool, scratch);
  std::byte* jobs =
      scratch + CenteredScratchBytes(d.dynamic, d.type, s.batch, image_size);
  if (s.out_c == 0) return;
  const size_t multiplier = s.out_c / s.in_c;
  const bool wide = output.kind == FinishRow::Kind::kWide;

  pool.Run(s.batch * s.out_h, [&](size_t job, size_t thread) {
    if (Stopped(stop)) return;
    const size_t image = job / s.out_h, oh = job % s.out_h;
    int64_t* wide_sums =
        reinterpret_cast<int64_t*>(jobs + thread * JobBytes(d));
    int32_t* sums = reinterpret_cast<int32_t*>(wide_sums + s.out_c);
    FinishRow finish;
    finish.kind = output.kind;
    finish.type = output.type;
    finish.n = s.out_c;
    finish.sums = wide ? static_cast<const void*>(wide_sums) : sums;
    finish.bias = output.bias;
    finish.wide_bias = output.wide_bias;
    finish.multiplier = output.multiplier;
    finish.shift = output.shift;
    finish.zero_point = output.zero_point;
    finish.low = output.low;
    finish.high = output.high;
    finish.scales = output.scales;
    finish.clamp = output.clamp;
    if (centred.scales) finish.row_scale = centred.scales[image];
    const auto flush = [&] {
      for (size_t o = 0; o < s.out_c; ++o) wide_sums[o] += sums[o];
      std::fill_n(sums, s.out_c, 0);
    };
    for (size_t ow = 0; ow < s.out_w; ++ow) {
      std::fill_n(sums, s.out_c, 0);
      if (wide) std::fill_n(wide_sums, s.out_c, int64_t{0});
      size_t taps = 0;
      for (size_t kh = 0; kh < s.kernel_h; ++kh) {
        // Below zero wraps to a huge number: one comparison finds both ends.
        const size_t h = oh * s.stride_h + kh * s.dilation_h - s.pad_top;
        if (h >= s.in_h) continue;
        for (size_t kw = 0; kw < s.kernel_w; ++kw) {
          const size_t w = ow * s.stride_w + kw * s.dilation_w - s.pad_left;
          if (w >= s.in_w) continue;
          d.kernels->tap(
              centred.x + ((image * s.in_h + h) * s.in_w + w) * s.in_c,
              filter + (kh * s.kernel_w + kw) * s.out_c, s.out_c, multiplier,
              sums);
          if (wide && ++taps % kWideTaps == 0) flush();
        }
      }
      if (wide) flush();
      finish.y =
          output.y + (job * s.out_w + ow) * s.out_c * output.element_bytes();
      d.kernels->finish(finish);
    }
  });
}

}  // namespace lathe::kernels
