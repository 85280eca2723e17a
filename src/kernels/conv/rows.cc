// Convolutions of height 1: rows are copied once, taps are pointer steps.

#include <algorithm>
#include <cstring>

#include "src/base/aligned_buffer.h"
#include "src/kernels/conv/parts.h"

namespace lathe::kernels {
namespace {

// Output positions of one job. The weights stream past once per job, so few
// positions cost bandwidth; with 192 the loss was below 2 % for 128 to 1,024
// channels.
constexpr size_t kTileRows = 192;

// Floats of a tile buffer: 1 MiB, an L2. The buffer itself may come from
// further away (each float serves 128 operations per panel and tap), so
// kLeastRows wins over it.
constexpr size_t kTileFloats = (size_t{1} << 20) / sizeof(float);
constexpr size_t kLeastRows = 96;

}  // namespace

size_t TileRowStride(size_t channels) {
  return channels < 16 ? channels : RoundUp(channels, 16) + 16;
}

size_t TileInputs(const ConvShape& s, size_t tile) {
  return (tile - 1) * s.stride_w + (s.kernel_w - 1) * s.dilation_w + 1;
}

size_t EvenTile(size_t outputs, size_t most, size_t threads) {
  size_t tiles = std::max<size_t>(1, TilesFor(outputs, most));
  if (outputs >= threads * 12) tiles = RoundUp(tiles, threads);
  return std::max<size_t>(6, RoundUp(TilesFor(outputs, tiles), 6));
}

size_t MostTileRows(const ConvShape& s, size_t row_stride) {
  const size_t inputs = kTileFloats / std::max<size_t>(1, row_stride);
  const size_t one = TileInputs(s, 1);
  const size_t rows = inputs > one ? (inputs - one) / s.stride_w + 1 : 1;
  // Narrow layers do little work per position: larger jobs.
  const size_t wanted =
      s.out_c * s.in_c * s.kernel_w < 16384 ? 4 * kTileRows : kTileRows;
  return std::clamp(rows, kLeastRows, wanted);
}

void CopyRows(const ConvPlan& plan, const ConvArgs& args, const float* x,
              ptrdiff_t first, size_t count, float* buffer) {
  const ConvShape& s = plan.shape;
  for (size_t r = 0; r < count; ++r) {
    const ptrdiff_t row = first + static_cast<ptrdiff_t>(r);
    float* to = buffer + r * plan.row_stride;
    if (row < 0 || row >= static_cast<ptrdiff_t>(s.in_w)) {
      std::memset(to, 0, s.in_c * sizeof(float));
      continue;
    }
    const float* from = x + static_cast<size_t>(row) * s.in_c;
    if (plan.snake) {
      plan.elementwise->snake(s.in_c, from, args.snake_a, args.snake_b, to);
    } else {
      std::memcpy(to, from, s.in_c * sizeof(float));
    }
  }
}

void RunRows(const ConvPlan& plan, const ConvArgs& args, ThreadPool& pool,
             float* scratch, StopToken stop) {
  const ConvShape& s = plan.shape;
  const PanelShape panels = GroupPanels(plan);
  const size_t tiles = TilesFor(s.out_w, plan.tile);
  const size_t per_thread = plan.scratch_floats / plan.threads;
  Tile whole;
  whole.a_stride = s.stride_w * plan.row_stride;
  whole.a_tap_stride = s.dilation_w * plan.row_stride;
  whole.c_stride = s.out_c;
  whole.bias = args.bias;
  whole.residual_stride = s.out_c;
  whole.clamp = ClampOf(args.activation);
  pool.Run(s.batch * tiles, [&](size_t job, size_t thread) {
    if (Stopped(stop)) return;
    const size_t n = job / tiles;
    const size_t first = job % tiles * plan.tile;
    float* buffer = scratch + thread * per_thread;
    Tile tile = whole;
    tile.rows = std::min(plan.tile, s.out_w - first);
    tile.a = buffer;
    const size_t out = (n * s.out_w + first) * s.out_c;
    tile.c = args.y + out;
    if (args.residual) tile.residual = args.residual + out;
    CopyRows(plan, args, args.x + n * s.in_w * s.in_c,
             static_cast<ptrdiff_t>(first * s.stride_w) -
                 static_cast<ptrdiff_t>(s.pad_left),
             TileInputs(s, tile.rows), buffer);
    RunPanels(*plan.gemm, panels, args.packed, tile);
  });
}

// p[t, tap * out_c + o] = x[t] . w[o, tap] for all taps at once; then output t
// is the sum over taps of p[t + tap * dilation, tap]. With 2 outputs and 7 taps
// 14 of 16 lanes work instead of 2.
void RunTapsAsColumns(const ConvPlan& plan, const ConvArgs& args,
                      ThreadPool& pool, float* scratch, StopToken stop) {
  const ConvShape& s = plan.shape;
  const PanelShape panels = GroupPanels(plan);
  const size_t columns = panels.n;
  const size_t tiles = TilesFor(s.out_w, plan.tile);
  const size_t per_thread = plan.scratch_floats / plan.threads;
  const size_t products_at =
      RoundUp(TileInputs(s, plan.tile) * plan.row_stride, 16);
  const Clamp clamp = ClampOf(args.activation);
  pool.Run(s.batch * tiles, [&](size_t job, size_t thread) {
    if (Stopped(stop)) return;
    const size_t n = job / tiles;
    const size_t first = job % tiles * plan.tile;
    const size_t rows = std::min(plan.tile, s.out_w - first);
    float* buffer = scratch + thread * per_thread;
    float* products = buffer + products_at;
    Tile tile;
    tile.rows = TileInputs(s, rows);
    tile.a = buffer;
    tile.a_stride = plan.row_stride;
    tile.c = products;
    tile.c_stride = columns;
    CopyRows(plan, args, args.x + n * s.in_w * s.in_c,
             static_cast<ptrdiff_t>(first) - static_cast<ptrdiff_t>(s.pad_left),
             tile.rows, buffer);
    RunPanels(*plan.gemm, panels, args.packed, tile);
    for (size_t t = 0; t < rows; ++t) {
      const size_t out = (n * s.out_w + first + t) * s.out_c;
      for (size_t o = 0; o < s.out_c; ++o) {
        float sum = args.bias ? args.bias[o] : 0.0f;
        const float* at = products + t * columns + o;
        for (size_t tap = 0; tap < s.kernel_w; ++tap) {
          sum += *at;
          at += s.dilation_w * columns + s.out_c;
        }
        sum = std::min(std::max(sum, clamp.low), clamp.high);
        if (args.residual) sum += args.residual[out + o];
        args.y[out + o] = sum;
      }
    }
  });
}

}  // namespace lathe::kernels
