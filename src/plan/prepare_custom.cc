// Custom operators, found by their names.

#include <algorithm>
#include <utility>

#include "src/graph/custom_options.h"
#include "src/kernels/conv/transpose_conv.h"
#include "src/kernels/detection/detection.h"
#include "src/kernels/image/image.h"
#include "src/plan/lowering.h"
#include "src/plan/prepare.h"

namespace lathe::plan {
namespace {

using graph::OpCode;
using graph::Type;

// A float tensor, or a uint8 one that is made float in scratch.
struct FloatView {
  int32_t tensor = 0;
  bool quantized = false;
  Lowering::Affine affine;
  size_t elements = 0, scratch_offset = 0;

  const float* Read(const StepContext& context) const {
    if (!quantized) return context.As<float>(tensor);
    float* to = reinterpret_cast<float*>(context.scratch + scratch_offset);
    const uint8_t* from = context.As<uint8_t>(tensor);
    for (size_t i = 0; i < elements; ++i) {
      to[i] = (static_cast<float>(from[i]) -
               static_cast<float>(affine.zero_point)) *
              affine.scale;
    }
    return to;
  }
};

Result<FloatView> ViewOf(const Lowering& lowering, int32_t tensor,
                         uint64_t& scratch_bytes) {
  FloatView view;
  view.tensor = tensor;
  view.elements = lowering.Elements(tensor);
  if (lowering.TypeOf(tensor) == Type::kFloat32) return view;
  if (lowering.TypeOf(tensor) != Type::kUint8) {
    return Unsupported("no kernel for {} (tensor \"{}\")",
                       Name(lowering.TypeOf(tensor)), lowering.NameOf(tensor));
  }
  view.quantized = true;
  LATHE_ASSIGN(view.affine, lowering.AffineOf(tensor));
  view.scratch_offset = scratch_bytes;
  scratch_bytes += view.elements * sizeof(float);
  return view;
}

Status PrepareDetection(Lowering& lowering, const Node& node) {
  LATHE_ASSIGN(const graph::DetectionOptions options,
               graph::ReadDetectionOptions(*node.op));
  kernels::Detection shape;
  shape.boxes = lowering.ShapeOf(node.inputs[0])[1];
  shape.box_stride = lowering.ShapeOf(node.inputs[0])[2];
  shape.classes = options.num_classes;
  shape.score_stride = lowering.ShapeOf(node.inputs[1])[2];
  shape.max_detections = options.max_detections;
  shape.max_classes = options.max_classes_per_detection;
  shape.per_class = options.detections_per_class;
  shape.regular = options.use_regular_nms;
  shape.score_threshold = options.score_threshold;
  shape.iou_threshold = options.iou_threshold;
  shape.y_scale = options.y_scale;
  shape.x_scale = options.x_scale;
  shape.h_scale = options.h_scale;
  shape.w_scale = options.w_scale;
  Step step;
  step.name = node.op->custom_name;
  step.inputs = node.inputs;
  step.outputs = node.outputs;
  step.scratch_bytes = kernels::DetectionScratchBytes(shape);
  LATHE_ASSIGN(const FloatView boxes,
               ViewOf(lowering, node.inputs[0], step.scratch_bytes));
  LATHE_ASSIGN(const FloatView scores,
               ViewOf(lowering, node.inputs[1], step.scratch_bytes));
  LATHE_ASSIGN(const FloatView anchors,
               ViewOf(lowering, node.inputs[2], step.scratch_bytes));
  step.run = [=, outputs = node.outputs](const StepContext& context) -> Status {
    kernels::DetectionOutputs out;
    out.boxes = context.As<float>(outputs[0]);
    out.classes = context.As<float>(outputs[1]);
    out.scores = context.As<float>(outputs[2]);
    out.count = context.As<float>(outputs[3]);
    const size_t bad =
        kernels::RunDetection(shape, boxes.Read(context), scores.Read(context),
                              anchors.Read(context), out, context.scratch);
    if (bad == shape.boxes) return {};
    return Invalid("box {} has a negative size; its anchor must not", bad);
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareTransposeConvBias(Lowering& lowering, const Node& node) {
  LATHE_ASSIGN(const graph::CustomWindow window,
               graph::ReadCustomWindow(*node.op));
  const int32_t x = node.inputs[0], w = node.inputs[1], bias = node.inputs[2];
  const int32_t y = node.outputs[0];
  if (!lowering.IsConstant(w)) {
    return Unsupported("its filter \"{}\" is not a constant",
                       lowering.NameOf(w));
  }
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
  shape.stride_h = window.stride_h;
  shape.stride_w = window.stride_w;
  // What the output lacks of stride (in - 1) + kernel, half of it in front.
  shape.pad_top =
      (shape.stride_h * (shape.in_h - 1) + shape.kernel_h - shape.out_h) / 2;
  shape.pad_left =
      (shape.stride_w * (shape.in_w - 1) + shape.kernel_w - shape.out_w) / 2;
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
  step.name = node.op->custom_name;
  step.kernel =
      fmt::format("{}/{}", plan.rows.gemm->name, Name(plan.rows.variant));
  step.flops =
      2 * lowering.Elements(x) * shape.kernel_h * shape.kernel_w * shape.out_c;
  step.inputs = {x, bias};
  step.outputs = {y};
  step.scratch_bytes = plan.scratch_floats * sizeof(float);
  step.run = [=](const StepContext& context) -> Status {
    kernels::ConvArgs args;
    args.x = context.As<float>(x);
    args.packed = packed->as<float>();
    args.bias = context.As<float>(bias);
    args.y = context.As<float>(y);
    kernels::RunTransposeConv(plan, args, *context.pool,
                              reinterpret_cast<float*>(context.scratch),
                              context.stop);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// `image` is what the windows slide over, `pooled` has a pixel for each window.
kernels::PoolShape PoolShapeOf(const graph::CustomWindow& window,
                               const graph::Shape& image,
                               const graph::Shape& pooled) {
  kernels::PoolShape shape;
  shape.batch = image[0];
  shape.in_h = image[1];
  shape.in_w = image[2];
  shape.channels = image[3];
  shape.out_h = pooled[1];
  shape.out_w = pooled[2];
  shape.kernel_h = window.filter_h;
  shape.kernel_w = window.filter_w;
  shape.stride_h = window.stride_h;
  shape.stride_w = window.stride_w;
  const auto before = [](int64_t out, int64_t stride, int64_t kernel,
                         int64_t in) {
    return static_cast<size_t>(
        std::max<int64_t>(0, (out - 1) * stride + kernel - in) / 2);
  };
  shape.pad_top = before(pooled[1], window.stride_h, window.filter_h, image[1]);
  shape.pad_left =
      before(pooled[2], window.stride_w, window.filter_w, image[2]);
  return shape;
}

Status PrepareMaxPool(Lowering& lowering, const Node& node) {
  LATHE_ASSIGN(const graph::CustomWindow window,
               graph::ReadCustomWindow(*node.op));
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const int32_t where = node.outputs[1];
  const bool tap = node.op->custom_name == graph::kMaxPoolTap;
  if (lowering.TypeOf(where) != (tap ? Type::kFloat32 : Type::kInt32)) {
    return Invalid("its indices are {}", Name(lowering.TypeOf(where)));
  }
  const kernels::PoolShape shape =
      PoolShapeOf(window, lowering.ShapeOf(x), lowering.ShapeOf(y));
  // A position must fit into the index type.
  const uint64_t image = uint64_t{shape.in_h} * shape.in_w * shape.channels;
  if (!tap && image > uint64_t{INT32_MAX}) {
    return Invalid("an image of {} values has no int32 indices", image);
  }
  const kernels::Clamp clamp =
      kernels::ClampOf(static_cast<kernels::Activation>(window.activation));
  Step step;
  step.name = node.op->custom_name;
  step.inputs = {x};
  step.outputs = node.outputs;
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunMaxPoolWithArgmax(
        shape, context.As<float>(x), clamp, context.As<float>(y),
        tap ? context.As<float>(where) : nullptr,
        tap ? nullptr : context.As<int32_t>(where), *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareMaxUnpool(Lowering& lowering, const Node& node) {
  LATHE_ASSIGN(const graph::CustomWindow window,
               graph::ReadCustomWindow(*node.op));
  const int32_t x = node.inputs[0], where = node.inputs[1];
  const int32_t y = node.outputs[0];
  const bool tap = lowering.TypeOf(where) == Type::kFloat32;
  const kernels::PoolShape shape =
      PoolShapeOf(window, lowering.ShapeOf(y), lowering.ShapeOf(x));
  Step step;
  step.name = node.op->custom_name;
  step.inputs = {x, where};
  step.outputs = {y};
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunMaxUnpool(shape, context.As<float>(x),
                          tap ? context.As<float>(where) : nullptr,
                          tap ? nullptr : context.As<int32_t>(where),
                          context.As<float>(y), *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

bool FloatImages(const OpTypes& types) {
  for (size_t i = 0; i < types.op.inputs.size(); ++i) {
    if (!types.Has(i) || types.In(i).type != Type::kFloat32) return false;
  }
  return true;
}

bool FloatValues(const OpTypes& types) {
  return types.Has(0) && types.In(0).type == Type::kFloat32;
}

bool FloatOutputs(const OpTypes& types) {
  for (size_t i = 0; i < types.op.outputs.size(); ++i) {
    if (types.Out(i).type != Type::kFloat32) return false;
  }
  return true;
}

constexpr OpRow kRows[] = {
    {OpCode::kCustom, PrepareDetection, Types({Type::kFloat32, Type::kUint8}),
     0, FloatOutputs, "outputs float32", graph::kDetectionPostProcess},
    {OpCode::kCustom, PrepareTransposeConvBias, kFloat32, -1, FloatImages,
     "all operands float32", graph::kTransposeConvBias},
    {OpCode::kCustom, PrepareMaxPool, kFloat32, -1, FloatValues,
     "input float32", graph::kMaxPoolTap},
    {OpCode::kCustom, PrepareMaxPool, kFloat32, -1, FloatValues,
     "input float32", graph::kMaxPoolPosition},
    {OpCode::kCustom, PrepareMaxUnpool, kFloat32, -1, FloatValues,
     "input float32", graph::kMaxUnpool},
    {OpCode::kCustom, PrepareMaxUnpool, kFloat32, -1, FloatValues,
     "input float32", graph::kMaxUnpoolLiteRt},
};

}  // namespace

std::span<const OpRow> CustomRows() { return kRows; }

}  // namespace lathe::plan
