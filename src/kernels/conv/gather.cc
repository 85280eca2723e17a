// Any convolution: the taps of each output are gathered into one row.

#include <algorithm>
#include <cstring>

#include "src/kernels/conv/parts.h"
#include "src/kernels/conv/taps.h"

namespace lathe::kernels {
namespace {

// Of few floats a call of memcpy would take longer than the copy.
void CopyFloats(const float* from, size_t n, float* to) {
  if (n >= 32) {
    std::memcpy(to, from, n * sizeof(float));
    return;
  }
  for (; n >= 4; n -= 4, from += 4, to += 4) std::memcpy(to, from, 16);
  if (n >= 2) {
    std::memcpy(to, from, 8);
    from += 2;
    to += 2;
  }
  if (n % 2 == 1) *to = *from;
}

// Output pixels, counted over [batch, out_h, out_w].
struct Pixel {
  size_t image, oh, ow;

  Pixel(const ConvShape& s, size_t number)
      : image(number / (s.out_w * s.out_h)),
        oh(number / s.out_w % s.out_h),
        ow(number % s.out_w) {}

  void Next(const ConvShape& s) {
    if (++ow < s.out_w) return;
    ow = 0;
    if (++oh < s.out_h) return;
    oh = 0;
    ++image;
  }
};

// Channels [group * channels, + channels) of all taps of an output to `to`
// [kernel_h, kernel_w, channels].
void GatherPixel(const ConvPlan& plan, const ConvArgs& args, const Pixel& pixel,
                 size_t group, float* to) {
  const ConvShape& s = plan.shape;
  const size_t channels = s.in_c / s.groups;
  const size_t skip = group * channels, row = s.kernel_w * channels;
  const float* image = args.x + pixel.image * s.in_h * s.in_w * s.in_c + skip;
  const auto top = static_cast<ptrdiff_t>(pixel.oh * s.stride_h) -
                   static_cast<ptrdiff_t>(s.pad_top);
  const auto left = static_cast<ptrdiff_t>(pixel.ow * s.stride_w) -
                    static_cast<ptrdiff_t>(s.pad_left);
  const Inside rows(top, s.kernel_h, s.dilation_h, s.in_h);
  const Inside columns(left, s.kernel_w, s.dilation_w, s.in_w);
  const size_t count = columns.end - columns.first;
  if (count < s.kernel_w || rows.end - rows.first < s.kernel_h) {
    std::fill_n(to, s.kernel_h * row, 0.0f);
  }
  const size_t step = s.dilation_w * s.in_c;
  for (size_t kh = rows.first; kh < rows.end && count > 0; ++kh) {
    const ptrdiff_t h = top + static_cast<ptrdiff_t>(kh * s.dilation_h);
    const ptrdiff_t w =
        left + static_cast<ptrdiff_t>(columns.first * s.dilation_w);
    const float* from =
        image +
        (static_cast<size_t>(h) * s.in_w + static_cast<size_t>(w)) * s.in_c;
    float* taps = to + kh * row + columns.first * channels;
    if (plan.snake) {
      for (size_t i = 0; i < count; ++i) {
        plan.elementwise->snake(channels, from + i * step, args.snake_a + skip,
                                args.snake_b + skip, taps + i * channels);
      }
    } else if (step == channels) {  // Neighbours in the image too.
      CopyFloats(from, count * channels, taps);
    } else {
      for (size_t i = 0; i < count; ++i) {
        CopyFloats(from + i * step, channels, taps + i * channels);
      }
    }
  }
}

}  // namespace

void RunGather(const ConvPlan& plan, const ConvArgs& args, ThreadPool& pool,
               float* scratch, StopToken stop) {
  const ConvShape& s = plan.shape;
  const PanelShape panels = GroupPanels(plan);
  const size_t packed_group = PackedFloats(*plan.gemm, panels);
  const size_t pixels = s.batch * s.out_h * s.out_w;
  const size_t per_thread = plan.scratch_floats / plan.threads;
  Tile whole;
  whole.a_stride = panels.k;
  whole.c_stride = s.out_c;
  whole.residual_stride = s.out_c;
  whole.clamp = ClampOf(args.activation);
  pool.Run(TilesFor(pixels, plan.tile), [&](size_t job, size_t thread) {
    if (Stopped(stop)) return;
    const size_t first = job * plan.tile;
    float* buffer = scratch + thread * per_thread;
    Tile tile = whole;
    tile.rows = std::min(plan.tile, pixels - first);
    tile.a = buffer;
    for (size_t g = 0; g < s.groups; ++g) {
      Pixel pixel(s, first);
      for (size_t r = 0; r < tile.rows; ++r, pixel.Next(s)) {
        GatherPixel(plan, args, pixel, g, buffer + r * panels.k);
      }
      const size_t out = first * s.out_c + g * panels.n;
      tile.c = args.y + out;
      if (args.residual) tile.residual = args.residual + out;
      if (args.bias) tile.bias = args.bias + g * panels.n;
      RunPanels(*plan.gemm, panels, args.packed + g * packed_group, tile);
    }
  });
}

}  // namespace lathe::kernels
