// Convolutions with quantized weights: of integers, and of floats that are
// quantized while the model runs.

#include <algorithm>

#include "src/kernels/quantized/int_conv.h"
#include "src/kernels/quantized/int_depthwise.h"
#include "src/plan/prepare.h"
#include "src/plan/prepare_conv.h"
#include "src/plan/prepare_quantized.h"

namespace lathe::plan {
namespace {

using graph::Type;
using kernels::Integer;

// Of a transposed convolution: each is a grid of the plan.
constexpr size_t kMostPhases = 1 << 16;

// Whether all channels have one scale: then convolutions of floats quantize
// symmetrically.
bool OneScale(const QuantizedWeights& weights) {
  return std::ranges::all_of(
      weights.scales, [&](float scale) { return scale == weights.scales[0]; });
}

// Of float or integer x; the activation is the operator's.
Result<Tables> ConvTablesOf(const Lowering& lowering, const Node& node,
                            int32_t x, int32_t bias,
                            const QuantizedWeights& weights) {
  LATHE_ASSIGN(const kernels::Activation activation,
               ActivationOf(node.op->options));
  if (IsFloat(lowering, x)) {
    return FloatTablesOf(lowering, bias, activation, weights);
  }
  IntegerOutput what{x, node.outputs[0], bias};
  what.wide = lowering.TypeOf(x) == Type::kInt16 &&
              SumsWide(lowering, node, bias, true);
  what.float_product = lowering.TypeOf(x) == Type::kUint8;
  what.activation = activation;
  return TablesOf(lowering, what, weights);
}

// CONV_2D and TRANSPOSE_CONV from here on: `conv` knows the shape.
Status AddConv(Lowering& lowering, const Node& node, kernels::IntConv conv,
               int32_t x, int32_t w, int32_t bias,
               const QuantizedWeights& weights, const Tables& tables,
               const std::string& layout, uint64_t flops) {
  LATHE_ASSIGN(const Activations activations, ActivationsOf(lowering, x));
  conv.dynamic = activations.dynamic;
  conv.type = activations.type;
  conv.zero = activations.zero;
  for (kernels::ConvGrid& grid : conv.grids) {
    grid.product.weight_zero = weights.zero;
  }
  kernels::UseBytes(
      kernels::ChooseByteDot(lowering.options().isa, conv.kernels->width),
      conv);
  const std::string_view kernel =
      conv.bytes ? conv.bytes->name : conv.kernels->name;
  LATHE_TRY(NeedConstantIfNarrow(lowering, w));
  const bool flip = weights.flip;
  Packed packed;
  if (lowering.IsConstant(w)) {
    LATHE_ASSIGN(
        packed,
        PackWeights(lowering, w,
                    fmt::format("{}-{}-z{}", layout, kernel, weights.zero),
                    conv.packed_bytes,
                    [&](const int8_t* from, std::span<std::byte> to) {
                      kernels::PackIntConv(conv, from, flip, to.data(),
                                           lowering.options().pool);
                    }));
  }
  const int32_t y = node.outputs[0];
  Step step;
  step.name = Name(node.op->code);
  step.kernel = kernel;
  step.flops = flops;
  step.inputs = {x};
  if (!packed) step.inputs.push_back(w);
  if (bias >= 0) step.inputs.push_back(bias);
  const int32_t residual = node.residual;
  if (residual >= 0) {
    step.inputs.push_back(residual);
    step.may_overwrite = residual;
  }
  step.outputs = {y};
  const size_t own = RoundUp(kernels::IntConvScratchBytes(conv), kCacheLine);
  step.scratch_bytes = own + (packed ? 0 : conv.packed_bytes);
  step.run = [=, conv = std::move(conv)](const StepContext& context) -> Status {
    const std::byte* from = packed ? packed->data() : context.scratch + own;
    if (!packed) {
      kernels::PackIntConv(conv, context.As<int8_t>(w), flip,
                           context.scratch + own, context.pool);
    }
    kernels::RunIntConv(conv, OutputAt(*tables, context, bias, y, residual),
                        context.tensors[x], from, *context.pool,
                        context.scratch, context.stop);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

}  // namespace

Status PrepareConv2dQuantized(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], w = node.inputs[1];
  const int32_t bias = InputOf(node, 2);
  const kernels::ConvShape shape = Conv2dShapeOf(lowering, node);
  LATHE_ASSIGN(const QuantizedWeights weights,
               WeightsOf(lowering, w, shape.out_c, 0));
  kernels::IntConv conv =
      kernels::PlanIntConv(kernels::ChooseQuantized(lowering.options().isa),
                           shape, lowering.options().threads);
  conv.asymmetric =
      IsFloat(lowering, x) && (!OneScale(weights) || shape.groups != 1);
  LATHE_ASSIGN(const Tables tables,
               ConvTablesOf(lowering, node, x, bias, weights));
  return AddConv(lowering, node, std::move(conv), x, w, bias, weights, tables,
                 fmt::format("int-conv-g{}", shape.groups), FlopsOf(shape));
}

Status PrepareTransposeConvQuantized(Lowering& lowering, const Node& node) {
  const int32_t w = node.inputs[1], x = node.inputs[2];
  const int32_t bias = InputOf(node, 3);
  const kernels::TransposeConvShape shape =
      TransposeConvShapeOf(lowering, node);
  LATHE_ASSIGN(const QuantizedWeights weights,
               WeightsOf(lowering, w, shape.out_c, 0));
  if (shape.stride_h * shape.stride_w > kMostPhases) {
    return Unsupported("strides {} and {} have no kernel", shape.stride_h,
                       shape.stride_w);
  }
  kernels::IntConv conv = kernels::PlanIntTransposeConv(
      kernels::ChooseQuantized(lowering.options().isa), shape,
      lowering.options().threads);
  conv.asymmetric = IsFloat(lowering, x);
  LATHE_ASSIGN(const Tables tables,
               ConvTablesOf(lowering, node, x, bias, weights));
  // Which phases there are depends on sizes and padding too.
  std::string layout =
      fmt::format("int-tconv-s{}.{}", shape.stride_h, shape.stride_w);
  for (const kernels::ConvGrid& grid : conv.grids) {
    layout += fmt::format("-{}.{}", grid.h.first_tap, grid.w.first_tap);
  }
  return AddConv(lowering, node, std::move(conv), x, w, bias, weights, tables,
                 layout, FlopsOf(shape));
}

Status PrepareDepthwiseQuantized(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], w = node.inputs[1];
  const int32_t bias = InputOf(node, 2), y = node.outputs[0];
  kernels::IntDepthwise depthwise;
  depthwise.shape = DepthwiseShapeOf(lowering, node);
  depthwise.kernels = &kernels::ChooseQuantized(lowering.options().isa);
  depthwise.threads = lowering.options().threads;
  const kernels::ConvShape& shape = depthwise.shape;
  LATHE_ASSIGN(const QuantizedWeights weights,
               WeightsOf(lowering, w, shape.out_c, 3));
  LATHE_ASSIGN(const Activations activations, ActivationsOf(lowering, x));
  depthwise.dynamic = depthwise.asymmetric = activations.dynamic;
  depthwise.type = activations.type;
  depthwise.zero = activations.zero;
  LATHE_ASSIGN(const Tables tables,
               ConvTablesOf(lowering, node, x, bias, weights));
  LATHE_TRY(NeedConstantIfNarrow(lowering, w));
  const size_t n = lowering.Elements(w);
  const bool flip = weights.flip;
  const int32_t zero = weights.zero + (flip ? 128 : 0);
  Packed packed;
  if (lowering.IsConstant(w)) {
    LATHE_ASSIGN(packed,
                 PackWeights(lowering, w, fmt::format("int-depthwise-{}", zero),
                             n * sizeof(int16_t),
                             [&](const int8_t* from, std::span<std::byte> to) {
                               depthwise.kernels->center(
                                   flip ? Integer::kUint8 : Integer::kInt8,
                                   from, n, zero,
                                   reinterpret_cast<int16_t*>(to.data()));
                             }));
  }
  Step step;
  step.name = "DEPTHWISE_CONV_2D";
  step.kernel = depthwise.kernels->name;
  step.flops = FlopsOf(shape);
  step.inputs = {x};
  if (!packed) step.inputs.push_back(w);
  if (bias >= 0) step.inputs.push_back(bias);
  step.outputs = {y};
  const size_t own =
      RoundUp(kernels::IntDepthwiseScratchBytes(depthwise), kCacheLine);
  step.scratch_bytes = own + (packed ? 0 : n * sizeof(int16_t));
  step.run = [=](const StepContext& context) -> Status {
    const int16_t* filter = packed ? packed->as<int16_t>() : nullptr;
    if (!packed) {
      int16_t* to = reinterpret_cast<int16_t*>(context.scratch + own);
      depthwise.kernels->center(flip ? Integer::kUint8 : Integer::kInt8,
                                context.tensors[w], n, zero, to);
      filter = to;
    }
    kernels::RunIntDepthwise(depthwise, OutputAt(*tables, context, bias, y),
                             context.tensors[x], filter, *context.pool,
                             context.scratch, context.stop);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

}  // namespace lathe::plan
