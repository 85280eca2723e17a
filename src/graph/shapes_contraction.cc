// Shape rules of convolutions and matrix products.

#include "src/graph/shape_rule.h"

namespace lathe::graph {
namespace {

// The bias, if any, has one value per output channel.
Status CheckBias(const RuleCall& call, size_t input, int64_t channels) {
  if (!call.Has(input)) return {};
  const Shape& shape = call.ShapeOf(input);
  if (ElementCount(shape) == static_cast<uint64_t>(channels)) return {};
  return Invalid("bias (input {}) has shape {}; {} values are needed", input,
                 ToString(shape), channels);
}

struct Axes2d {
  Window height, width;
};

Axes2d Windows(const Options& options, int64_t filter_h, int64_t filter_w) {
  const bool valid = options.Int("padding") == 1;
  return {{filter_h, options.Int("stride_h"),
           options.Int("dilation_h_factor", 1), valid},
          {filter_w, options.Int("stride_w"),
           options.Int("dilation_w_factor", 1), valid}};
}

Status Conv2d(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 4, 4));
  LATHE_TRY(call.RequireRank(1, 4, 4));
  const Shape& x = call.ShapeOf(0);
  const Shape& w = call.ShapeOf(1);
  if (w[3] < 1 || x[3] % w[3] != 0) {
    return Invalid("{} input channels do not split into groups of {}", x[3],
                   w[3]);
  }
  const int32_t groups = x[3] / w[3];
  if (groups < 1 || w[0] % groups != 0) {
    return Invalid("{} output channels do not split into {} groups", w[0],
                   groups);
  }
  LATHE_TRY(CheckBias(call, 2, w[0]));
  const Axes2d axes = Windows(call.op.options, w[1], w[2]);
  LATHE_ASSIGN(const int64_t height, WindowedSize(x[1], axes.height));
  LATHE_ASSIGN(const int64_t width, WindowedSize(x[2], axes.width));
  return call.Give(0, call.In(0).type, Dims{x[0], height, width, w[0]});
}

Status DepthwiseConv2d(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 4, 4));
  LATHE_TRY(call.RequireRank(1, 4, 4));
  const Shape& x = call.ShapeOf(0);
  const Shape& w = call.ShapeOf(1);
  if (w[0] != 1 || x[3] < 1 || w[3] % x[3] != 0) {
    return Invalid(
        "filter {} for {} channels; it must be [1,height,width,a multiple]",
        ToString(w), x[3]);
  }
  LATHE_TRY(CheckBias(call, 2, w[3]));
  const Axes2d axes = Windows(call.op.options, w[1], w[2]);
  LATHE_ASSIGN(const int64_t height, WindowedSize(x[1], axes.height));
  LATHE_ASSIGN(const int64_t width, WindowedSize(x[2], axes.width));
  return call.Give(0, call.In(0).type, Dims{x[0], height, width, w[3]});
}

// The forward convolution must map the output's size to the input's.
Status CheckForward(std::string_view axis, int64_t out, int64_t in,
                    const Window& window) {
  LATHE_ASSIGN(const int64_t forward, WindowedSize(out, window));
  if (forward == in) return {};
  return Invalid(
      "{} {} of the output belongs to an input of {}, but the input has {}",
      axis, out, forward, in);
}

Status TransposeConv(RuleCall& call) {
  LATHE_TRY(call.RequireRank(1, 4, 4));
  LATHE_TRY(call.RequireRank(2, 4, 4));
  LATHE_ASSIGN(const Dims out, call.Values(0));
  const Shape& w = call.ShapeOf(1);
  const Shape& x = call.ShapeOf(2);
  if (out.size() != 4) {
    return Invalid("the output shape has {} dims; allowed is 4", out.size());
  }
  if (w[3] != x[3]) {
    return Invalid("the filter takes {} channels, the input has {}", w[3],
                   x[3]);
  }
  if (out[0] != x[0] || out[3] != w[0]) {
    return Invalid("output [{},..,{}]; input and filter make [{},..,{}]",
                   out[0], out[3], x[0], w[0]);
  }
  LATHE_TRY(CheckBias(call, 3, w[0]));
  const Axes2d axes = Windows(call.op.options, w[1], w[2]);
  LATHE_TRY(call.Give(0, call.In(2).type, out));
  LATHE_TRY(CheckForward("height", out[1], x[1], axes.height));
  return CheckForward("width", out[2], x[2], axes.width);
}

// depth, height, width of a 3-D convolution.
void Windows3d(const Options& options, const Shape& w, Window (&axes)[3]) {
  const bool valid = options.Int("padding") == 1;
  axes[0] = {w[0], options.Int("stride_d"), options.Int("dilation_d_factor", 1),
             valid};
  axes[1] = {w[1], options.Int("stride_h"), options.Int("dilation_h_factor", 1),
             valid};
  axes[2] = {w[2], options.Int("stride_w"), options.Int("dilation_w_factor", 1),
             valid};
}

Status Conv3d(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 5, 5));
  LATHE_TRY(call.RequireRank(1, 5, 5));
  const Shape& x = call.ShapeOf(0);
  const Shape& w = call.ShapeOf(1);
  if (w[3] != x[4]) {
    return Invalid("the filter takes {} channels, the input has {}", w[3],
                   x[4]);
  }
  LATHE_TRY(CheckBias(call, 2, w[4]));
  Window axes[3];
  Windows3d(call.op.options, w, axes);
  Dims out = {x[0], 0, 0, 0, w[4]};
  for (size_t i = 0; i < 3; ++i) {
    LATHE_ASSIGN(out[i + 1], WindowedSize(x[i + 1], axes[i]));
  }
  return call.Give(0, call.In(0).type, out);
}

Status Conv3dTranspose(RuleCall& call) {
  LATHE_TRY(call.RequireRank(1, 5, 5));
  LATHE_TRY(call.RequireRank(2, 5, 5));
  LATHE_ASSIGN(const Dims out, call.Values(0));
  const Shape& w = call.ShapeOf(1);
  const Shape& x = call.ShapeOf(2);
  if (out.size() != 5 || out[0] != x[0] || out[4] != w[3] || w[4] != x[4]) {
    return Invalid("output shape of {} dims, filter {} and input {} do not fit",
                   out.size(), ToString(w), ToString(x));
  }
  LATHE_TRY(CheckBias(call, 3, w[3]));
  Window axes[3];
  Windows3d(call.op.options, w, axes);
  LATHE_TRY(call.Give(0, call.In(2).type, out));
  constexpr std::string_view kNames[] = {"depth", "height", "width"};
  for (size_t i = 0; i < 3; ++i) {
    LATHE_TRY(CheckForward(kNames[i], out[i + 1], x[i + 1], axes[i]));
  }
  return {};
}

Status FullyConnected(RuleCall& call) {
  // Shuffled weights come with an output for the kernel's own use.
  const bool shuffled = call.op.options.Int("weights_format") == 1;
  const size_t outputs = shuffled ? 2 : 1;
  if (call.outputs.size() != outputs) {
    return Invalid("{} outputs; allowed: {}", call.outputs.size(), outputs);
  }
  if (shuffled) {
    LATHE_TRY(call.RequireType(0, {Type::kUint8}));
    LATHE_TRY(call.RequireType(1, {Type::kUint8}));
  }
  LATHE_TRY(call.RequireRank(1, 2, 2));
  const Shape& x = call.ShapeOf(0);
  const Shape& w = call.ShapeOf(1);
  if (w[1] < 1) return Invalid("weights of shape {}", ToString(w));
  LATHE_TRY(CheckBias(call, 2, w[0]));
  Dims out;
  if (call.op.options.Bool("keep_num_dims")) {
    if (x.empty() || x.back() != w[1]) {
      return Invalid("input of shape {} for weights {}", ToString(x),
                     ToString(w));
    }
    out.assign(x.begin(), x.end() - 1);
  } else {
    const uint64_t count = ElementCount(x);
    if (count % static_cast<uint64_t>(w[1]) != 0) {
      return Invalid("{} input values do not split into rows of {}", count,
                     w[1]);
    }
    const uint64_t rows = count / static_cast<uint64_t>(w[1]);
    if (rows > INT32_MAX) return Invalid("{} rows, limit {}", rows, INT32_MAX);
    out.push_back(static_cast<int64_t>(rows));
  }
  out.push_back(w[0]);
  if (shuffled) LATHE_TRY(call.Give(1, Type::kUint8, x));
  return call.Give(0, call.In(0).type, out);
}

Status BatchMatmul(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 2, kMaxRank));
  LATHE_TRY(call.RequireRank(1, 2, kMaxRank));
  const Shape& a = call.ShapeOf(0);
  const Shape& b = call.ShapeOf(1);
  const bool adj_a = call.op.options.Bool("adj_x");
  const bool adj_b = call.op.options.Bool("adj_y");
  const size_t end_a = a.size() - 2, end_b = b.size() - 2;
  const int32_t rows = a[end_a + adj_a], inner_a = a[end_a + !adj_a];
  const int32_t inner_b = b[end_b + adj_b], columns = b[end_b + !adj_b];
  if (inner_a != inner_b) {
    return Invalid("{}{} times {}{}: inner sizes {} and {} differ", ToString(a),
                   adj_a ? " transposed" : "", ToString(b),
                   adj_b ? " transposed" : "", inner_a, inner_b);
  }
  LATHE_ASSIGN(const Shape batch,
               Broadcast(std::span(a).first(end_a), std::span(b).first(end_b)));
  Dims out(batch.begin(), batch.end());
  out.push_back(rows);
  out.push_back(columns);
  return call.Give(0, call.In(0).type, out);
}

constexpr RuleRow kRules[] = {
    {OpCode::kConv2d, 2, 3, 1, Conv2d},
    {OpCode::kDepthwiseConv2d, 2, 3, 1, DepthwiseConv2d},
    {OpCode::kTransposeConv, 3, 4, 1, TransposeConv},
    {OpCode::kConv3d, 2, 3, 1, Conv3d},
    {OpCode::kConv3dTranspose, 3, 4, 1, Conv3dTranspose},
    {OpCode::kFullyConnected, 2, 3, -1, FullyConnected},
    {OpCode::kBatchMatmul, 2, 2, 1, BatchMatmul},
};

}  // namespace

std::span<const RuleRow> ContractionRules() { return kRules; }

}  // namespace lathe::graph
