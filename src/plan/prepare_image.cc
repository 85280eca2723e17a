// Pools, resizing, moves between space, depth and batch, padding and
// normalizations of images.

#include <algorithm>
#include <cstring>
#include <utility>

#include "src/kernels/image/image.h"
#include "src/kernels/movement/blocks.h"
#include "src/kernels/movement/indexed.h"
#include "src/kernels/norm/local_response.h"
#include "src/kernels/norm/norm.h"
#include "src/plan/copies.h"
#include "src/plan/lowering.h"
#include "src/plan/operands.h"
#include "src/plan/prepare.h"

namespace lathe::plan {
namespace {

using graph::OpCode;

// The format's SAME: total = max(0, (out - 1) stride + extent - in), the odd
// one behind.
size_t PadBefore(bool same, int64_t out, int64_t stride, int64_t extent,
                 int64_t in) {
  if (!same) return 0;
  return static_cast<size_t>(
      std::max<int64_t>(0, (out - 1) * stride + extent - in) / 2);
}

Status PreparePool(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const graph::Options& options = node.op->options;
  const graph::Shape& in = lowering.ShapeOf(x);
  const graph::Shape& out = lowering.ShapeOf(y);
  kernels::PoolShape shape;
  shape.batch = in[0];
  shape.in_h = in[1];
  shape.in_w = in[2];
  shape.channels = in[3];
  shape.out_h = out[1];
  shape.out_w = out[2];
  shape.kernel_h = options.Int("filter_height");
  shape.kernel_w = options.Int("filter_width");
  shape.stride_h = options.Int("stride_h");
  shape.stride_w = options.Int("stride_w");
  const bool same = options.Int("padding") == 0;
  shape.pad_top =
      PadBefore(same, out[1], shape.stride_h, shape.kernel_h, in[1]);
  shape.pad_left =
      PadBefore(same, out[2], shape.stride_w, shape.kernel_w, in[2]);
  LATHE_ASSIGN(const kernels::Activation activation, ActivationOf(options));
  kernels::Pool kind = kernels::Pool::kAverage;
  if (node.op->code == OpCode::kMaxPool2d) kind = kernels::Pool::kMax;
  if (node.op->code == OpCode::kL2Pool2d) kind = kernels::Pool::kL2;
  const kernels::ImageKernels& kernels =
      kernels::ChooseImage(lowering.options().isa);
  Step step;
  step.name = Name(node.op->code);
  step.kernel = kernels.name;
  step.inputs = {x};
  step.outputs = {y};
  step.run = [=, &kernels](const StepContext& context) -> Status {
    kernels::RunPool(kernels, kind, shape, context.As<float>(x),
                     kernels::ClampOf(activation), context.As<float>(y),
                     *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

kernels::ResizeShape ResizeShapeOf(const graph::Shape& in,
                                   const graph::Shape& out) {
  kernels::ResizeShape shape;
  shape.batch = in[0];
  shape.in_h = in[1];
  shape.in_w = in[2];
  shape.channels = in[3];
  shape.out_h = out[1];
  shape.out_w = out[2];
  return shape;
}

kernels::ResizeRule ResizeRuleOf(const graph::Options& options) {
  return {options.Bool("align_corners"), options.Bool("half_pixel_centers")};
}

Status PrepareResizeBilinear(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const kernels::ResizeShape shape =
      ResizeShapeOf(lowering.ShapeOf(x), lowering.ShapeOf(y));
  const kernels::ResizeRule rule = ResizeRuleOf(node.op->options);
  const kernels::ImageKernels& kernels =
      kernels::ChooseImage(lowering.options().isa);
  Step step;
  step.name = Name(node.op->code);
  step.kernel = kernels.name;
  step.inputs = {x};
  step.outputs = {y};
  step.run = [=, &kernels,
              rows = kernels::PlanBilinear(shape.in_h, shape.out_h, rule),
              columns = kernels::PlanBilinear(shape.in_w, shape.out_w, rule)](
                 const StepContext& context) -> Status {
    kernels::RunBilinear(kernels, shape, rows, columns, context.As<float>(x),
                         context.As<float>(y), *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareResizeNearest(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const kernels::ResizeShape shape =
      ResizeShapeOf(lowering.ShapeOf(x), lowering.ShapeOf(y));
  const kernels::ResizeRule rule = ResizeRuleOf(node.op->options);
  const size_t pixel = ElementBytes(lowering, x) * shape.channels;
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {x};
  step.outputs = {y};
  step.run = [=, rows = kernels::PlanNearest(shape.in_h, shape.out_h, rule),
              columns = kernels::PlanNearest(shape.in_w, shape.out_w, rule)](
                 const StepContext& context) -> Status {
    kernels::RunNearest(shape, pixel, rows, columns, context.tensors[x],
                        context.tensors[y], *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// Depth of a block is [row, column, channel of space].
Status PrepareDepthAndSpace(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const bool to_space = node.op->code == OpCode::kDepthToSpace;
  const ptrdiff_t block = node.op->options.Int("block_size");
  const graph::Shape& space = lowering.ShapeOf(to_space ? y : x);
  const graph::Shape& depth = lowering.ShapeOf(to_space ? x : y);
  const auto space_strides = StridesOf(space);
  const auto depth_strides = StridesOf(depth);
  kernels::CopyLoops loops;
  const auto add = [&](size_t size, ptrdiff_t in_depth, ptrdiff_t in_space) {
    if (to_space) {
      loops.Add(size, in_depth, in_space);
    } else {
      loops.Add(size, in_space, in_depth);
    }
  };
  const size_t side = static_cast<size_t>(block);
  add(depth[0], depth_strides[0], space_strides[0]);
  add(depth[1], depth_strides[1], block * space_strides[1]);
  add(side, block * space[3], space_strides[1]);
  add(depth[2], depth_strides[2], block * space_strides[2]);
  add(side, space[3], space_strides[2]);
  add(space[3], 1, 1);
  AddCopies(lowering, node, {{loops, x}}, y);
  return {};
}

Status PrepareBlocks(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const bool to_batch = node.op->code == OpCode::kSpaceToBatchNd;
  LATHE_ASSIGN(const std::vector<int64_t> block, lowering.Ints(node.inputs[1]));
  LATHE_ASSIGN(const std::vector<int64_t> edges, lowering.Ints(node.inputs[2]));
  const graph::Shape& space = lowering.ShapeOf(to_batch ? x : y);
  const graph::Shape& blocks = lowering.ShapeOf(to_batch ? y : x);
  const bool wide = space.size() == 4;  // Rank 3 has no width.
  kernels::BlockShape shape;
  shape.batch = space[0];
  shape.space_h = space[1];
  shape.space_w = wide ? space[2] : 1;
  shape.blocks_h = blocks[1];
  shape.blocks_w = wide ? blocks[2] : 1;
  shape.block_h = block[0];
  shape.block_w = wide ? block[1] : 1;
  shape.top = edges[0];
  shape.left = wide ? edges[2] : 0;
  shape.pixel_bytes = ElementBytes(lowering, x) * space.back();
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {x};
  step.outputs = {y};
  step.run =
      [=, zero = ZeroOf(lowering, y)](const StepContext& context) -> Status {
    if (to_batch) {
      kernels::RunSpaceToBatch(shape, zero, context.tensors[x],
                               context.tensors[y], *context.pool);
    } else {
      kernels::RunBatchToSpace(shape, context.tensors[x], context.tensors[y],
                               *context.pool);
    }
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// x, paddings, the value to pad with.
Status PreparePadV2(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], fill = node.inputs[2], y = node.outputs[0];
  LATHE_ASSIGN(const std::vector<int64_t> pads, lowering.Ints(node.inputs[1]));
  if (lowering.Elements(fill) != 1 ||
      lowering.TypeOf(fill) != lowering.TypeOf(y)) {
    return Invalid("the value to pad with is {}{}; it must be one {}",
                   Name(lowering.TypeOf(fill)),
                   graph::ToString(lowering.ShapeOf(fill)),
                   Name(lowering.TypeOf(y)));
  }
  const graph::Shape& in = lowering.ShapeOf(x);
  const auto from = StridesOf(in), to = StridesOf(lowering.ShapeOf(y));
  kernels::CopyLoops loops;
  for (size_t i = 0; i < in.size(); ++i) {
    loops.Add(static_cast<size_t>(in[i]), from[i], to[i]);
    loops.to_first += static_cast<ptrdiff_t>(pads[2 * i]) * to[i];
  }
  AddCopies(lowering, node, {{loops, x}}, y, {{}, fill});
  return {};
}

Status PrepareMirrorPad(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_ASSIGN(const std::vector<int64_t> pads, lowering.Ints(node.inputs[1]));
  const graph::Shape in = lowering.ShapeOf(x);
  std::vector<int32_t> before, after;
  for (size_t i = 0; i < in.size(); ++i) {
    before.push_back(static_cast<int32_t>(pads[2 * i]));
    after.push_back(static_cast<int32_t>(pads[2 * i + 1]));
  }
  const bool reflect = node.op->options.Int("mode") == 0;
  const size_t element = ElementBytes(lowering, x);
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {x};
  step.outputs = {y};
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunMirrorPad(in, before, after, reflect, element,
                          context.tensors[x], context.tensors[y],
                          *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// L2_NORMALIZATION and LOG_SOFTMAX, along the last axis.
Status PrepareRowNorm(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_ASSIGN(const kernels::Activation activation,
               ActivationOf(node.op->options));
  if (activation != kernels::Activation::kNone) {
    return Unsupported("a fused activation has no kernel");
  }
  const bool l2 = node.op->code == OpCode::kL2Normalization;
  const kernels::NormKernels& kernels =
      kernels::ChooseNorm(lowering.options().isa);
  const size_t n = static_cast<size_t>(lowering.ShapeOf(x).back());
  const size_t rows = n ? lowering.Elements(x) / n : 0;
  const size_t per_job = std::max<size_t>(1, 4096 / std::max<size_t>(1, n));
  Step step;
  step.name = Name(node.op->code);
  step.kernel = kernels.name;
  step.inputs = {x};
  step.outputs = {y};
  if (l2) step.may_overwrite = x;
  step.run = [=, &kernels](const StepContext& context) -> Status {
    const auto row = l2 ? kernels.l2_norm : kernels.log_softmax;
    const float* from = context.As<float>(x);
    float* to = context.As<float>(y);
    context.pool->Run((rows + per_job - 1) / per_job, [&](size_t job, size_t) {
      const size_t end = std::min(rows, (job + 1) * per_job);
      for (size_t i = job * per_job; i < end; ++i) {
        row(n, from + i * n, to + i * n);
      }
    });
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareLocalResponse(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const graph::Options& options = node.op->options;
  const int64_t radius = options.Int("radius");
  if (radius < 0) return Invalid("radius {}; must not be negative", radius);
  kernels::LocalResponse rule;
  rule.radius = static_cast<size_t>(radius);
  rule.bias = static_cast<float>(options.Float("bias"));
  rule.alpha = static_cast<float>(options.Float("alpha"));
  rule.beta = static_cast<float>(options.Float("beta"));
  const size_t n = static_cast<size_t>(lowering.ShapeOf(x).back());
  const size_t rows = n ? lowering.Elements(x) / n : 0;
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {x};
  step.outputs = {y};
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunLocalResponse(rule, rows, n, context.As<float>(x),
                              context.As<float>(y), *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

constexpr OpRow kRows[] = {
    {OpCode::kAveragePool2d, PreparePool, kFloat32, -1, KeepsType, kKeepsType},
    {OpCode::kMaxPool2d, PreparePool, kFloat32, -1, KeepsType, kKeepsType},
    {OpCode::kL2Pool2d, PreparePool, kFloat32, -1, KeepsType, kKeepsType},
    {OpCode::kResizeBilinear, PrepareResizeBilinear, kFloat32, -1, KeepsType,
     kKeepsType},
    {OpCode::kResizeNearestNeighbor, PrepareResizeNearest, kMovable, -1,
     KeepsType, kKeepsType},
    {OpCode::kDepthToSpace, PrepareDepthAndSpace, kMovable, -1, KeepsType,
     kKeepsType},
    {OpCode::kSpaceToDepth, PrepareDepthAndSpace, kMovable, -1, KeepsType,
     kKeepsType},
    {OpCode::kSpaceToBatchNd, PrepareBlocks, kMovable, -1, KeepsType,
     kKeepsType},
    {OpCode::kBatchToSpaceNd, PrepareBlocks, kMovable, -1, KeepsType,
     kKeepsType},
    {OpCode::kPadv2, PreparePadV2, kMovable, -1, KeepsType, kKeepsType},
    {OpCode::kMirrorPad, PrepareMirrorPad, kMovable, -1, KeepsType, kKeepsType},
    {OpCode::kL2Normalization, PrepareRowNorm, kFloat32, -1, KeepsType,
     kKeepsType},
    {OpCode::kLogSoftmax, PrepareRowNorm, kFloat32, -1, KeepsType, kKeepsType},
    {OpCode::kLocalResponseNormalization, PrepareLocalResponse, kFloat32, -1,
     KeepsType, kKeepsType},
};

}  // namespace

std::span<const OpRow> ImageRows() { return kRows; }

}  // namespace lathe::plan
