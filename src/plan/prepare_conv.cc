// CONV_2D, DEPTHWISE_CONV_2D and TRANSPOSE_CONV of floats.

#include "src/plan/prepare_conv.h"

#include <algorithm>

#include "src/kernels/conv/depthwise.h"
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

// Strides, dilations and padding; sizes are set.
void SetWindows(const Node& node, kernels::ConvShape& s) {
  const graph::Options& options = node.op->options;
  s.stride_h = options.Int("stride_h");
  s.stride_w = options.Int("stride_w");
  s.dilation_h = options.Int("dilation_h_factor", 1);
  s.dilation_w = options.Int("dilation_w_factor", 1);
  if (node.padded) {
    s.pad_top = node.pad[0];
    s.pad_left = node.pad[2];
  } else if (options.Int("padding") == 0) {
    s.pad_top = SamePadding(s.out_h, s.stride_h,
                            (s.kernel_h - 1) * s.dilation_h + 1, s.in_h);
    s.pad_left = SamePadding(s.out_w, s.stride_w,
                             (s.kernel_w - 1) * s.dilation_w + 1, s.in_w);
  }
}

// Weights for the run: packed when the plan is made, or into scratch.
Result<Packed> PackIfConstant(
    Lowering& lowering, int32_t w, std::string_view layout, size_t floats,
    const std::function<void(const float*, float*)>& pack) {
  if (!lowering.IsConstant(w)) return Packed();
  return lowering.Pack(w, layout, floats, pack);
}

// The tensors that a step touches besides x and y.
void AddOperands(Step& step, const Lowering& lowering, int32_t w, int32_t bias,
                 int32_t residual) {
  if (!lowering.IsConstant(w)) step.inputs.push_back(w);
  if (bias >= 0) step.inputs.push_back(bias);
  if (residual >= 0) {
    step.inputs.push_back(residual);
    step.may_overwrite = residual;
  }
}

kernels::ConvShape ShapeWithGroups(const Lowering& lowering, const Node& node,
                                   size_t groups) {
  const graph::Shape& in = lowering.ShapeOf(node.inputs[0]);
  const graph::Shape& out = lowering.ShapeOf(node.outputs[0]);
  const graph::Shape& filter = lowering.ShapeOf(node.inputs[1]);
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
  shape.groups = groups;
  SetWindows(node, shape);
  return shape;
}

}  // namespace

kernels::ConvShape Conv2dShapeOf(const Lowering& lowering, const Node& node) {
  const size_t in_c = lowering.ShapeOf(node.inputs[0])[3];
  return ShapeWithGroups(lowering, node,
                         in_c / lowering.ShapeOf(node.inputs[1])[3]);
}

kernels::ConvShape DepthwiseShapeOf(const Lowering& lowering,
                                    const Node& node) {
  return ShapeWithGroups(lowering, node, lowering.ShapeOf(node.inputs[0])[3]);
}

kernels::TransposeConvShape TransposeConvShapeOf(const Lowering& lowering,
                                                 const Node& node) {
  const graph::Options& options = node.op->options;
  const graph::Shape& in = lowering.ShapeOf(node.inputs[2]);
  const graph::Shape& out = lowering.ShapeOf(node.outputs[0]);
  const graph::Shape& filter = lowering.ShapeOf(node.inputs[1]);
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
  return shape;
}

Status PrepareConv2d(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], w = node.inputs[1];
  const int32_t bias = node.inputs.size() > 2 ? node.inputs[2] : -1;
  const int32_t y = node.outputs[0], residual = node.residual;
  LATHE_TRY(NeedFloat(lowering, node));
  const kernels::ConvShape shape = Conv2dShapeOf(lowering, node);
  LATHE_ASSIGN(const kernels::Activation activation,
               ActivationOf(node.op->options));

  const kernels::ConvPlan plan =
      kernels::PlanConv(lowering.options().isa, shape, node.snake != nullptr,
                        lowering.options().threads);
  const size_t floats = kernels::PackedConvFloats(plan);
  LATHE_ASSIGN(const Packed packed,
               PackIfConstant(lowering, w,
                              fmt::format("conv-{}-{}-g{}", plan.gemm->name,
                                          Name(plan.variant), shape.groups),
                              floats, [&](const float* from, float* to) {
                                kernels::PackConv(plan, from, to,
                                                  lowering.options().pool);
                              }));

  Step step;
  step.name = node.snake ? "snake+CONV_2D" : "CONV_2D";
  step.kernel = fmt::format("{}/{}", plan.gemm->name, Name(plan.variant));
  step.flops = FlopsOf(shape);
  step.inputs = {x};
  AddOperands(step, lowering, w, bias, residual);
  const size_t sum =
      shape.kernel_h * shape.kernel_w * shape.in_c / shape.groups;
  if (kernels::SplitsSum(*plan.gemm, {shape.out_c, 1, sum})) {
    step.may_overwrite = graph::kNoTensor;
  }
  step.outputs = {y};
  step.scratch_bytes =
      (plan.scratch_floats + (packed ? 0 : floats)) * sizeof(float);
  const int32_t snake_a = node.snake ? node.snake->inputs[1] : -1;
  const int32_t snake_b = node.snake ? node.snake->inputs[2] : -1;
  step.run = [=](const StepContext& context) -> Status {
    float* scratch = reinterpret_cast<float*>(context.scratch);
    kernels::ConvArgs args;
    args.x = context.As<float>(x);
    if (packed) {
      args.packed = packed->as<float>();
    } else {
      float* at = scratch + plan.scratch_floats;
      kernels::PackConv(plan, context.As<float>(w), at, context.pool);
      args.packed = at;
    }
    args.bias = bias >= 0 ? context.As<float>(bias) : nullptr;
    args.snake_a = snake_a >= 0 ? context.As<float>(snake_a) : nullptr;
    args.snake_b = snake_b >= 0 ? context.As<float>(snake_b) : nullptr;
    args.residual = residual >= 0 ? context.As<float>(residual) : nullptr;
    args.y = context.As<float>(y);
    args.activation = activation;
    kernels::RunConv(plan, args, *context.pool, scratch, context.stop);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareDepthwiseConv2d(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], w = node.inputs[1];
  const int32_t bias = node.inputs.size() > 2 ? node.inputs[2] : -1;
  const int32_t y = node.outputs[0];
  LATHE_TRY(NeedFloat(lowering, node));
  const kernels::ConvShape shape = DepthwiseShapeOf(lowering, node);
  LATHE_ASSIGN(const kernels::Activation activation,
               ActivationOf(node.op->options));
  Step step;
  step.name = "DEPTHWISE_CONV_2D";
  const kernels::DepthwiseKernels& depthwise =
      kernels::ChooseDepthwise(lowering.options().isa);
  step.kernel = depthwise.name;
  step.flops = uint64_t{2} * shape.batch * shape.out_h * shape.out_w *
               shape.out_c * shape.kernel_h * shape.kernel_w;
  step.inputs = {x, w};
  if (bias >= 0) step.inputs.push_back(bias);
  step.outputs = {y};
  step.scratch_bytes =
      kernels::DepthwiseScratchBytes(shape, lowering.options().threads);
  step.run = [=, &depthwise](const StepContext& context) -> Status {
    kernels::DepthwiseArgs args;
    args.x = context.As<float>(x);
    args.filter = context.As<float>(w);
    args.bias = bias >= 0 ? context.As<float>(bias) : nullptr;
    args.y = context.As<float>(y);
    args.activation = activation;
    kernels::RunDepthwise(depthwise, shape, args, *context.pool,
                          context.scratch, context.stop);
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
  const kernels::TransposeConvShape shape =
      TransposeConvShapeOf(lowering, node);
  LATHE_ASSIGN(const kernels::Activation activation,
               ActivationOf(node.op->options));
  const kernels::TransposeConvPlan plan = kernels::PlanTransposeConv(
      lowering.options().isa, shape, false, lowering.options().threads);
  const size_t floats = kernels::PackedTransposeConvFloats(plan);
  LATHE_ASSIGN(
      const Packed packed,
      PackIfConstant(lowering, w,
                     fmt::format("tconv-{}-{}-s{}", plan.rows.gemm->name,
                                 Name(plan.rows.variant), shape.stride_w),
                     floats, [&](const float* from, float* to) {
                       kernels::PackTransposeConv(plan, from, to);
                     }));
  Step step;
  step.name = "TRANSPOSE_CONV";
  step.kernel =
      fmt::format("{}/{}", plan.rows.gemm->name, Name(plan.rows.variant));
  step.flops = FlopsOf(shape);
  step.inputs = {x};
  AddOperands(step, lowering, w, bias, graph::kNoTensor);
  step.outputs = {y};
  step.scratch_bytes =
      (plan.scratch_floats + (packed ? 0 : floats)) * sizeof(float);
  step.run = [=](const StepContext& context) -> Status {
    float* scratch = reinterpret_cast<float*>(context.scratch);
    kernels::ConvArgs args;
    args.x = context.As<float>(x);
    if (packed) {
      args.packed = packed->as<float>();
    } else {
      float* at = scratch + plan.scratch_floats;
      kernels::PackTransposeConv(plan, context.As<float>(w), at);
      args.packed = at;
    }
    args.bias = bias >= 0 ? context.As<float>(bias) : nullptr;
    args.y = context.As<float>(y);
    args.activation = activation;
    kernels::RunTransposeConv(plan, args, *context.pool, scratch, context.stop);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

namespace {

constexpr OpRow kRows[] = {
    {OpCode::kConv2d, PrepareConv2d, kFloat32, -1, FloatOperands,
     "all operands float32"},
    {OpCode::kDepthwiseConv2d, PrepareDepthwiseConv2d, kFloat32, -1,
     FloatOperands, "all operands float32"},
    {OpCode::kTransposeConv, PrepareTransposeConv, kFloat32, -1, FloatOperands,
     "all operands float32"},
};

}  // namespace

std::span<const OpRow> ConvRows() { return kRows; }

}  // namespace lathe::plan
