#include "src/kernels/quantized/int_depthwise.h"

#include <algorithm>

#include "src/kernels/conv/depthwise.h"

namespace lathe::kernels {
namespace {

// 2^15 * 2^8 * 128 = 2^30: taps of 16-bit numbers that int32 sums exactly.
constexpr size_t kWideTaps = 128;

size_t ListBytes(const ConvShape& shape) {
  return RoundUp(TapLists::Words(shape) * sizeof(size_t), kCacheLine);
}

size_t JobBytes(const IntDepthwise& d) {
  return ListBytes(d.shape) +
         RoundUp(d.shape.out_c * (sizeof(int32_t) + sizeof(int64_t)),
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
  if (s.out_c == 0 || s.out_w == 0) return;
  const size_t multiplier = s.out_c / s.in_c;
  const bool wide = output.kind == FinishRows::Kind::kWide;

  const size_t pixels =
      PixelsPerJob(s.out_w, s.kernel_h * s.kernel_w * s.out_c);
  const size_t pieces = (s.out_w + pixels - 1) / pixels;
  pool.Run(s.batch * s.out_h * pieces, [&](size_t job, size_t thread) {
    if (Stopped(stop)) return;
    const size_t row = job / pieces, begin = job % pieces * pixels;
    const size_t end = std::min(s.out_w, begin + pixels);
    const size_t image = row / s.out_h;
    std::byte* own = jobs + thread * JobBytes(d);
    TapLists lists(s, reinterpret_cast<size_t*>(own));
    int64_t* wide_sums = reinterpret_cast<int64_t*>(own + ListBytes(s));
    int32_t* sums = reinterpret_cast<int32_t*>(wide_sums + s.out_c);
    FinishRows finish;
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
    if (centred.scales) finish.row_scales = centred.scales + image;
    for (size_t ow = begin; ow < end; ++ow) {
      ptrdiff_t origin = 0;
      const Taps taps = lists.At(row % s.out_h, ow, &origin);
      const int16_t* pixel = centred.x + image * image_size + origin;
      if (wide) {
        std::fill_n(wide_sums, s.out_c, int64_t{0});
        for (size_t t = 0; t < taps.count; t += kWideTaps) {
          const Taps some = {taps.in + t, taps.filter + t,
                             std::min(kWideTaps, taps.count - t)};
          d.kernels->taps(some, pixel, filter, s.out_c, multiplier, sums);
          for (size_t o = 0; o < s.out_c; ++o) wide_sums[o] += sums[o];
        }
      } else {
        d.kernels->taps(taps, pixel, filter, s.out_c, multiplier, sums);
      }
      finish.y =
          output.y + (row * s.out_w + ow) * s.out_c * output.element_bytes();
      d.kernels->finish(finish);
    }
  });
}

}  // namespace lathe::kernels
