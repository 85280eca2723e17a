// CONV_3D and CONV_3D_TRANSPOSE.

#include <algorithm>

#include "src/kernels/conv/conv3d.h"
#include "src/plan/lowering.h"
#include "src/plan/prepare.h"

namespace lathe::plan {
namespace {

using graph::OpCode;

// Axis `i` of depth, height, width. SAME padding is that of the forward
// convolution, of which a transposed one is the way back.
kernels::VolumeAxis AxisOfVolume(const graph::Options& options, size_t i,
                                 int64_t in, int64_t out, int64_t kernel,
                                 bool transposed) {
  static constexpr std::string_view kStrides[] = {"stride_d", "stride_h",
                                                  "stride_w"};
  static constexpr std::string_view kDilations[] = {
      "dilation_d_factor", "dilation_h_factor", "dilation_w_factor"};
  kernels::VolumeAxis axis;
  axis.in = in;
  axis.out = out;
  axis.kernel = kernel;
  axis.stride = options.Int(kStrides[i]);
  axis.dilation = options.Int(kDilations[i], 1);
  if (options.Int("padding") == 0) {
    const int64_t from = transposed ? out : in, to = transposed ? in : out;
    const int64_t extent =
        (kernel - 1) * static_cast<int64_t>(axis.dilation) + 1;
    const int64_t total =
        (to - 1) * static_cast<int64_t>(axis.stride) + extent - from;
    axis.pad = static_cast<size_t>(std::max<int64_t>(0, total) / 2);
  }
  return axis;
}

// A filter that is not a constant is packed by every run.
Status PrepareConv3d(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], w = node.inputs[1];
  const int32_t bias = node.inputs.size() > 2 ? node.inputs[2] : -1;
  const int32_t y = node.outputs[0];
  const graph::Shape& in = lowering.ShapeOf(x);
  const graph::Shape& out = lowering.ShapeOf(y);
  const graph::Shape& filter = lowering.ShapeOf(w);
  const graph::Options& options = node.op->options;
  LATHE_ASSIGN(const kernels::Activation activation, ActivationOf(options));
  kernels::Conv3dShape shape;
  shape.batch = in[0];
  shape.in_c = in[4];
  shape.out_c = out[4];
  kernels::VolumeAxis* axes[] = {&shape.depth, &shape.height, &shape.width};
  for (size_t i = 0; i < 3; ++i) {
    *axes[i] =
        AxisOfVolume(options, i, in[i + 1], out[i + 1], filter[i], false);
  }
  const kernels::Conv3dPlan plan = kernels::PlanConv3d(
      lowering.options().isa, shape, lowering.options().threads);
  const size_t floats = kernels::PackedConv3dFloats(plan);
  const size_t turned = kernels::TurnedConv3dFloats(plan);
  Packed packed;
  if (lowering.IsConstant(w)) {
    LATHE_ASSIGN(packed, lowering.Pack(
                             w,
                             fmt::format("conv3d-{}-{}", plan.image.gemm->name,
                                         Name(plan.image.variant)),
                             floats, [&](const float* from, float* to) {
                               std::vector<float> room(turned);
                               kernels::PackConv3d(plan, from, room.data(), to);
                             }));
  }
  Step step;
  step.name = Name(node.op->code);
  step.kernel =
      fmt::format("{}/{}", plan.image.gemm->name, Name(plan.image.variant));
  step.flops =
      2 * lowering.Elements(y) * filter[0] * filter[1] * filter[2] * shape.in_c;
  step.inputs = {x};
  if (!packed) step.inputs.push_back(w);
  if (bias >= 0) step.inputs.push_back(bias);
  step.outputs = {y};
  step.scratch_bytes =
      (plan.scratch_floats + (packed ? 0 : floats + turned)) * sizeof(float);
  step.run = [=](const StepContext& context) -> Status {
    float* scratch = reinterpret_cast<float*>(context.scratch);
    kernels::ConvArgs args;
    args.x = context.As<float>(x);
    if (packed) {
      args.packed = packed->as<float>();
    } else {
      float* to = scratch + plan.scratch_floats;
      kernels::PackConv3d(plan, context.As<float>(w), to + floats, to);
      args.packed = to;
    }
    args.bias = bias >= 0 ? context.As<float>(bias) : nullptr;
    args.y = context.As<float>(y);
    args.activation = activation;
    kernels::RunConv3d(plan, args, *context.pool, scratch, context.stop);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareConv3dTranspose(Lowering& lowering, const Node& node) {
  const int32_t w = node.inputs[1], x = node.inputs[2];
  const int32_t bias = node.inputs.size() > 3 ? node.inputs[3] : -1;
  const int32_t y = node.outputs[0];
  const graph::Shape& in = lowering.ShapeOf(x);
  const graph::Shape& out = lowering.ShapeOf(y);
  const graph::Shape& filter = lowering.ShapeOf(w);
  const graph::Options& options = node.op->options;
  LATHE_ASSIGN(const kernels::Activation activation, ActivationOf(options));
  kernels::Conv3dShape shape;
  shape.batch = in[0];
  shape.in_c = in[4];
  shape.out_c = out[4];
  kernels::VolumeAxis* axes[] = {&shape.depth, &shape.height, &shape.width};
  for (size_t i = 0; i < 3; ++i) {
    *axes[i] = AxisOfVolume(options, i, in[i + 1], out[i + 1], filter[i], true);
  }
  const kernels::Transpose3dPlan plan = kernels::PlanTranspose3d(
      lowering.options().isa, shape, lowering.options().threads);
  const size_t floats = kernels::PackedTranspose3dFloats(plan);
  Packed packed;
  if (lowering.IsConstant(w)) {
    LATHE_ASSIGN(packed,
                 lowering.Pack(w, fmt::format("tconv3d-{}", plan.gemm->name),
                               floats, [&](const float* from, float* to) {
                                 kernels::PackTranspose3d(plan, from, to);
                               }));
  }
  Step step;
  step.name = Name(node.op->code);
  step.kernel = plan.gemm->name;
  step.flops = 2 * lowering.Elements(x) * filter[0] * filter[1] * filter[2] *
               shape.out_c;
  step.inputs = {x};
  if (!packed) step.inputs.push_back(w);
  if (bias >= 0) step.inputs.push_back(bias);
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
      float* to = scratch + plan.scratch_floats;
      kernels::PackTranspose3d(plan, context.As<float>(w), to);
      args.packed = to;
    }
    args.bias = bias >= 0 ? context.As<float>(bias) : nullptr;
    args.y = context.As<float>(y);
    args.activation = activation;
    kernels::RunTranspose3d(plan, args, *context.pool, scratch, context.stop);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// Everything but the output shape in front of a transposed convolution.
bool FloatVolumes(const OpTypes& types) {
  const size_t first = types.op.code == OpCode::kConv3dTranspose ? 1 : 0;
  for (size_t i = first; i < types.op.inputs.size(); ++i) {
    if (types.Has(i) && types.In(i).type != graph::Type::kFloat32) return false;
  }
  return true;
}

constexpr OpRow kRows[] = {
    {OpCode::kConv3d, PrepareConv3d, kFloat32, -1, FloatVolumes,
     "all operands float32"},
    {OpCode::kConv3dTranspose, PrepareConv3dTranspose, kFloat32, -1,
     FloatVolumes, "all operands float32"},
};

}  // namespace

std::span<const OpRow> VolumeRows() { return kRows; }

}  // namespace lathe::plan
