// Any convolution: the taps of each output are gathered into one row.

#include <algorithm>
#include <cstring>

#include "src/kernels/conv/parts.h"

namespace lathe::kernels {
namespace {

// Channels [group * channels, + channels) of all taps of output `pixel`,
// counted over [batch, out_h, out_w], to `to` [kernel_h, kernel_w, channels].
void GatherPixel(const ConvPlan& plan, const ConvArgs& args, size_t pixel,
                 size_t group, float* to) {
  const ConvShape& s = plan.shape;
  const size_t channels = s.in_c / s.groups;
  const size_t skip = group * channels;
  const size_t ow = pixel % s.out_w;
  const size_t oh = pixel / s.out_w % s.out_h;
  const float* image =
      args.x + pixel / (s.out_w * s.out_h) * s.in_h * s.in_w * s.in_c;
  for (size_t kh = 0; kh < s.kernel_h; ++kh) {
    // Below zero wraps to a huge number: one comparison finds both ends.
    const size_t h = oh * s.stride_h + kh * s.dilation_h - s.pad_top;
    for (size_t kw = 0; kw < s.kernel_w; ++kw, to += channels) {
      const size_t w = ow * s.stride_w + kw * s.dilation_w - s.pad_left;
      if (h >= s.in_h || w >= s.in_w) {
        std::memset(to, 0, channels * sizeof(float));
        continue;
      }
      const float* from = image + (h * s.in_w + w) * s.in_c + skip;
      if (plan.snake) {
        plan.elementwise->snake(channels, from, args.snake_a + skip,
                                args.snake_b + skip, to);
      } else {
        std::memcpy(to, from, channels * sizeof(float));
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
      for (size_t r = 0; r < tile.rows; ++r) {
        GatherPixel(plan, args, first + r, g, buffer + r * panels.k);
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
