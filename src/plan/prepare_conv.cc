// CONV_2D and TRANSPOSE_CONV.

#include <algorithm>

#include "src/kernels/conv/conv.h"
#include "src/kernels/conv/transpose_conv.h"
#include "src/plan/lowering.h"
#include "src/plan/prepare.h"

namespace lathe::plan {
namespace {

using graph::OpCode;

// The format's SAME: total = max(0, (out - 1) stride + extent - in), the odd
// one behind.
size_t SamePadding(int64_t out, int64_t stride, int64_t extent, int64_t in) {
  return static_cast<size_t>(
      std::max<int64_t>(0, (out - 1) * stride + extent - in) / 2);
}

}  // namespace

Status PrepareConv2d(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], w = node.inputs[1];
  const int32_t bias = node.inputs.size() > 2 ? node.inputs[2] : -1;
  const int32_t y = node.outputs[0];
  LATHE_TRY(NeedFloat(lowering, node));
  if (!lowering.IsConstant(w)) {
    return Unsupported("its filter \"{}\" is not a constant",
                       lowering.NameOf(w));
  }
  const graph::Options& options = node.op->options;
  const graph::Shape& in = lowering.ShapeOf(x);
  const graph::Shape& out = lowering.ShapeOf(y);
  const graph::Shape& filter = lowering.ShapeOf(w);
  kernels::ConvShape shape;
  shape.batch = in[0];
  shape.in_h = in[1];
  shape.in_w = in[2];
  shape.in_c = in[3];
  shape.out_h = out[1];
  shape.out_w = out[2];
  shape.out_c = out[3];
  shape.kernel_h = filter[1];
  shape.kernel_w = filter[2];
  shape.groups = in[3] / filter[3];
  shape.stride_h = options.Int("stride_h");
  shape.stride_w = options.Int("stride_w");
  shape.dilation_h = options.Int("dilation_h_factor", 1);
  shape.dilation_w = options.Int("dilation_w_factor", 1);
  if (node.padded) {
    shape.pad_top = node.pad[0];
    shape.pad_left = node.pad[2];
  } else if (options.Int("padding") == 0) {
    shape.pad_top = SamePadding(out[1], shape.stride_h,
                                (filter[1] - 1) * shape.dilation_h + 1, in[1]);
    shape.pad_left = SamePadding(out[2], shape.stride_w,
                                 (filter[2] - 1) * shape.dilation_w + 1, in[2]);
  }
  LATHE_ASSIGN(const kernels::Activation activation, ActivationOf(options));

  const kernels::ConvPlan plan =
      kernels::PlanConv(lowering.options().isa, shape, node.snake != nullptr,
                        lowering.options().threads);
  LATHE_ASSIGN(Packed packed,
               lowering.Pack(w,
                             fmt::format("conv-{}-{}-g{}", plan.gemm->name,
                                         Name(plan.variant), shape.groups),
                             kernels::PackedConvFloats(plan),
                             [&](const float* from, float* to) {
                               kernels::PackConv(plan, from, to);
                             }));

  Step step;
  step.name = node.snake ? "snake+CONV_2D" : "CONV_2D";
  step.kernel = fmt::format("{}/{}", plan.gemm->name, Name(plan.variant));
  step.flops = 2 * shape.batch * shape.out_h * shape.out_w * shape.out_c *
               shape.kernel_h * shape.kernel_w * (shape.in_c / shape.groups);
  step.inputs = {x};
  if (bias >= 0) step.inputs.push_back(bias);
  if (node.residual >= 0) {
    step.inputs.push_back(node.residual);
    const size_t sum =
        shape.kernel_h * shape.kernel_w * shape.in_c / shape.groups;
    if (!kernels::SplitsSum(*plan.gemm, {shape.out_c, 1, sum})) {
      step.may_overwrite = node.residual;
    }
  }
  step.outputs = {y};
  step.scratch_bytes = plan.scratch_floats * sizeof(float);
  const int32_t snake_a = node.snake ? node.snake->inputs[1] : -1;
  const int32_t snake_b = node.snake ? node.snake->inputs[2] : -1;
  const int32_t residual = node.residual;
  step.run = [=](const StepContext& context) -> Status {
    kernels::ConvArgs args;
    args.x = context.As<float>(x);
    args.packed = packed->as<float>();
    args.bias = bias >= 0 ? context.As<float>(bias) : nullptr;
    args.snake_a = snake_a >= 0 ? context.As<float>(snake_a) : nullptr;
    args.snake_b = snake_b >= 0 ? context.As<float>(snake_b) : nullptr;
    args.residual = residual >= 0 ? context.As<float>(residual) : nullptr;
    args.y = context.As<float>(y);
    args.activation = activation;
    kernels::RunConv(plan, args, *context.pool,
                     reinterpret_cast<float*>(context.scratch), context.stop);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareTransposeConv(Lowering& lowering, const Node& node) {
  const int32_t w = node.inputs[1], x = node.inputs[2];
  const int32_t bias = node.inputs.size() > 3 ? node.inputs[3] : -1;
  const int32_t y = node.outputs[0];
  LATHE_TRY(NeedFloat(lowering, node));
  if (!lowering.IsConstant(w)) {
    return Unsupported("its filter \"{}\" is not a constant",
                       lowering.NameOf(w));
  }
  const graph::Options& options = node.op->options;
  const graph::Shape& in = lowering.ShapeOf(x);
  const graph::Shape& out = lowering.ShapeOf(y);
  const graph::Shape& filter = lowering.ShapeOf(w);
  kernels::TransposeConvShape shape;
  shape.batch = in[0];
  shape.in_h = in[1];
  shape.in_w = in[2];
  shape.in_c = in[3];
  shape.out_h = out[1];
  shape.out_w = out[2];
  shape.out_c = out[3];
  shape.kernel_h = filter[1];
  shape.kernel_w = filter[2];
  shape.stride_h = options.Int("stride_h");
  shape.stride_w = options.Int("stride_w");
  // The padding of the forward convolution from y to x.
  if (options.Int("padding") == 0) {
    shape.pad_top = SamePadding(in[1], shape.stride_h, filter[1], out[1]);
    shape.pad_left = SamePadding(in[2], shape.stride_w, filter[2], out[2]);
  }
  LATHE_ASSIGN(const kernels::Activation activation, ActivationOf(options));
  const kernels::TransposeConvPlan plan = kernels::PlanTransposeConv(
      lowering.options().isa, shape, false, lowering.options().threads);
  LATHE_ASSIGN(
      Packed packed,
      lowering.Pack(w,
                    fmt::format("tconv-{}-{}-s{}", plan.rows.gemm->name,
                                Name(plan.rows.variant), shape.stride_w),
                    kernels::PackedTransposeConvFloats(plan),
                    [&](const float* from, float* to) {
                      kernels::PackTransposeConv(plan, from, to);
                    }));
  Step step;
  step.name = "TRANSPOSE_CONV";
  step.kernel =
      fmt::format("{}/{}", plan.rows.gemm->name, Name(plan.rows.variant));
  step.flops = 2 * shape.batch * shape.in_h * shape.in_w * shape.in_c *
               shape.kernel_h * shape.kernel_w * shape.out_c;
  step.inputs = {x};
  if (bias >= 0) step.inputs.push_back(bias);
  step.outputs = {y};
  step.scratch_bytes = plan.scratch_floats * sizeof(float);
  step.run = [=](const StepContext& context) -> Status {
    kernels::ConvArgs args;
    args.x = context.As<float>(x);
    args.packed = packed->as<float>();
    args.bias = bias >= 0 ? context.As<float>(bias) : nullptr;
    args.y = context.As<float>(y);
    args.activation = activation;
    kernels::RunTransposeConv(plan, args, *context.pool,
                              reinterpret_cast<float*>(context.scratch),
                              context.stop);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

namespace {

constexpr OpRow kRows[] = {
    {OpCode::kConv2d, PrepareConv2d, kFloat32, -1, FloatOperands,
     "all operands float32"},
    {OpCode::kTransposeConv, PrepareTransposeConv, kFloat32, -1, FloatOperands,
     "all operands float32"},
};

}  // namespace

std::span<const OpRow> ConvRows() { return kRows; }

}  // namespace lathe::plan
