#include "src/kernels/conv/transpose_conv.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "src/base/aligned_buffer.h"
#include "src/kernels/conv/parts.h"

namespace lathe::kernels {
namespace {

// Columns of one row q.
size_t RowColumns(const TransposeConvShape& s) { return s.stride_w * s.out_c; }

// Scratch: the bias once per phase, then for each thread a tile buffer and two
// cut rows.
size_t BiasFloats(const TransposeConvShape& s) {
  return RoundUp(RowColumns(s), 16);
}
size_t BufferFloats(const TransposeConvPlan& plan) {
  return RoundUp(
      TileInputs(plan.rows.shape, plan.rows.tile) * plan.rows.row_stride, 16);
}

// One output row: rows q in [first, first + count) of it.
class Job {
 public:
  Job(const TransposeConvPlan& plan, const ConvArgs& args, const float* bias,
      float* buffer)
      : plan_(plan),
        s_(plan.shape),
        args_(args),
        panels_(GroupPanels(plan.rows)),
        bias_(bias),
        buffer_(buffer),
        cut_(buffer + BufferFloats(plan)) {}

  void Run(size_t n, size_t oh, size_t first, size_t count) {
    y_ = args_.y + (n * s_.out_h + oh) * s_.out_w * s_.out_c;
    const size_t end = first + count;
    // Whole rows; at most the first and the last are not.
    size_t whole = first, whole_end = end;
    if (whole < end && !IsWhole(whole)) ++whole;
    if (whole < whole_end && !IsWhole(whole_end - 1)) --whole_end;

    const size_t top = oh + s_.pad_top;
    const size_t last_kh = LastTap(top);
    bool started = false;
    for (size_t kh = FirstTap(top);
         kh <= last_kh && kh < s_.kernel_h && s_.in_h > 0; kh += s_.stride_h) {
      const size_t ih = (top - kh) / s_.stride_h;
      const bool last = kh + s_.stride_h > last_kh;
      CopyRows(plan_.rows, args_,
               args_.x + (n * s_.in_h + ih) * s_.in_w * s_.in_c,
               static_cast<ptrdiff_t>(first) -
                   static_cast<ptrdiff_t>(plan_.rows.shape.pad_left),
               TileInputs(plan_.rows.shape, count), buffer_);
      packed_ = args_.packed + kh * PackedConvFloats(plan_.rows);
      for (size_t i = 0; i < PanelCount(*plan_.rows.gemm, panels_); ++i) {
        if (whole < whole_end) {
          Add(i, whole - first, whole_end - whole, At(whole), started, last);
        }
        if (first < whole) Add(i, 0, 1, cut_, started, last);
        if (whole_end < end) {
          Add(i, whole_end - first, 1, cut_ + RowColumns(s_), started, last);
        }
      }
      started = true;
    }
    if (!started) {
      for (size_t q = first; q < end; ++q) FillRow(q);
      return;
    }
    if (first < whole) StoreCut(first, cut_);
    if (whole_end < end) StoreCut(whole_end, cut_ + RowColumns(s_));
  }

 private:
  bool IsWhole(size_t q) const {
    return q * s_.stride_w >= s_.pad_left &&
           (q + 1) * s_.stride_w <= s_.pad_left + s_.out_w;
  }
  float* At(size_t q) const {
    return y_ + (static_cast<ptrdiff_t>(q * s_.stride_w) -
                 static_cast<ptrdiff_t>(s_.pad_left)) *
                    static_cast<ptrdiff_t>(s_.out_c);
  }
  // The taps kh that meet an image row: kh = top mod stride_h, and
  // ih = (top - kh) / stride_h within [0, in_h).
  size_t FirstTap(size_t top) const {
    size_t kh = top % s_.stride_h;
    const size_t most = (s_.in_h - 1) * s_.stride_h;
    while (top - std::min(top, kh) > most) kh += s_.stride_h;
    return kh;
  }
  size_t LastTap(size_t top) const {
    const size_t most = std::min(top, s_.kernel_h - 1);
    const size_t first = top % s_.stride_h;
    return most < first ? first
                        : first + (most - first) / s_.stride_h * s_.stride_h;
  }

  // Panel `i` for rows [row, row + rows) of the tile buffer.
  void Add(size_t i, size_t row, size_t rows, float* c, bool started,
           bool last) const {
    Tile tile;
    tile.rows = rows;
    tile.a = buffer_ + row * plan_.rows.row_stride;
    tile.a_stride = tile.a_tap_stride = plan_.rows.row_stride;
    tile.c = c;
    tile.c_stride = RowColumns(s_);
    tile.bias = bias_;
    tile.clamp = ClampOf(args_.activation);
    tile.accumulate = started;
    tile.finish = last;
    RunPanel(*plan_.rows.gemm,
             PanelTile(*plan_.rows.gemm, panels_, packed_, tile, i));
  }

  // The part of row q that lies inside the output: columns [from, to) of it.
  void Inside(size_t q, size_t& from, size_t& to) const {
    const size_t start = q * s_.stride_w;
    from = start < s_.pad_left ? s_.pad_left - start : 0;
    to = std::min(s_.stride_w, s_.pad_left + s_.out_w - start);
  }
  void StoreCut(size_t q, const float* row) const {
    size_t from, to;
    Inside(q, from, to);
    std::memcpy(At(q) + from * s_.out_c, row + from * s_.out_c,
                (to - from) * s_.out_c * sizeof(float));
  }
  void FillRow(size_t q) const {
    const Clamp clamp = ClampOf(args_.activation);
    size_t from, to;
    Inside(q, from, to);
    for (size_t i = from * s_.out_c; i < to * s_.out_c; ++i) {
      At(q)[i] =
          std::min(std::max(bias_ ? bias_[i] : 0.0f, clamp.low), clamp.high);
    }
  }

  const TransposeConvPlan& plan_;
  const TransposeConvShape& s_;
  const ConvArgs& args_;
  const PanelShape panels_;
  const float* bias_;
  float* buffer_;
  float* cut_;
  float* y_ = nullptr;
  const float* packed_ = nullptr;
};

}  // namespace

TransposeConvPlan PlanTransposeConv(Isa limit, const TransposeConvShape& s,
                                    bool snake, size_t threads) {
  TransposeConvPlan plan;
  plan.shape = s;
  plan.first_row = s.pad_left / s.stride_w;
  plan.row_count =
      (s.out_w + s.pad_left + s.stride_w - 1) / s.stride_w - plan.first_row;

  plan.rows.variant = ConvVariant::kRows;
  plan.rows.gemm = &ChooseGemm(limit);
  plan.rows.elementwise = &ChooseElementwise(limit);
  plan.rows.snake = snake;
  plan.rows.threads = std::max<size_t>(1, threads);
  plan.rows.row_stride = TileRowStride(s.in_c);
  ConvShape& rows = plan.rows.shape;
  rows.in_w = s.in_w;
  rows.in_c = s.in_c;
  rows.out_w = plan.row_count;
  rows.out_c = RowColumns(s);
  rows.kernel_w = (s.kernel_w + s.stride_w - 1) / s.stride_w;
  rows.pad_left = rows.kernel_w - 1;
  plan.rows.tile =
      EvenTile(plan.row_count, MostTileRows(rows, plan.rows.row_stride),
               plan.rows.threads);
  plan.scratch_floats =
      BiasFloats(s) +
      plan.rows.threads * (BufferFloats(plan) + 2 * BiasFloats(s));
  return plan;
}

size_t PackedTransposeConvFloats(const TransposeConvPlan& plan) {
  return plan.shape.kernel_h * PackedConvFloats(plan.rows);
}

void PackTransposeConv(const TransposeConvPlan& plan, const float* filter,
                       float* packed) {
  const TransposeConvShape& s = plan.shape;
  const GemmKernel& kernel = *plan.rows.gemm;
  const PanelShape shape = GroupPanels(plan.rows);
  const size_t taps = plan.rows.shape.kernel_w;
  std::array<const float*, 256> columns;
  for (size_t kh = 0; kh < s.kernel_h; ++kh) {
    for (size_t i = 0; i < PanelCount(kernel, shape); ++i) {
      const Panel panel = PanelAt(kernel, shape, i);
      for (size_t tap = 0; tap < taps; ++tap) {
        // Tap t of the convolution reads input q - (taps - 1) + t.
        const size_t m = taps - 1 - tap;
        for (size_t j = 0; j < panel.columns; ++j) {
          const size_t f = (panel.first + j) / s.out_c;
          const size_t o = (panel.first + j) % s.out_c;
          const size_t kw = f + m * s.stride_w;
          columns[j] =
              kw < s.kernel_w
                  ? filter + ((o * s.kernel_h + kh) * s.kernel_w + kw) * s.in_c
                  : nullptr;
        }
        PackColumns(panel.width, s.in_c, columns.data(), panel.columns,
                    packed + panel.offset + tap * s.in_c * panel.width);
      }
    }
    packed += PackedConvFloats(plan.rows);
  }
}

void RunTransposeConv(const TransposeConvPlan& plan, const ConvArgs& args,
                      ThreadPool& pool, float* scratch, StopToken stop) {
  const TransposeConvShape& s = plan.shape;
  if (args.bias) {
    for (size_t i = 0; i < RowColumns(s); ++i) {
      scratch[i] = args.bias[i % s.out_c];
    }
  }
  const float* bias = args.bias ? scratch : nullptr;
  float* buffers = scratch + BiasFloats(s);
  const size_t per_thread = BufferFloats(plan) + 2 * BiasFloats(s);
  const size_t tiles = TilesFor(plan.row_count, plan.rows.tile);
  pool.Run(s.batch * s.out_h * tiles, [&](size_t i, size_t thread) {
    if (Stopped(stop)) return;
    const size_t start = i % tiles * plan.rows.tile;
    Job(plan, args, bias, buffers + thread * per_thread)
        .Run(i / tiles / s.out_h, i / tiles % s.out_h, plan.first_row + start,
             std::min(plan.rows.tile, plan.row_count - start));
  });
}

}  // namespace lathe::kernels
