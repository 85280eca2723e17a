// Convolutions and matrix products with quantized weights: of integers, and of
// floats that are quantized while the model runs.

#include "src/plan/prepare_quantized.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "src/base/half.h"
#include "src/kernels/quantized/int_conv.h"
#include "src/kernels/quantized/int_depthwise.h"
#include "src/kernels/quantized/matmul.h"
#include "src/plan/prepare.h"
#include "src/plan/prepare_conv.h"

namespace lathe::plan {
namespace {

using graph::OpCode;
using graph::Type;
using kernels::FinishRows;
using kernels::Integer;

// Of a transposed convolution: each is a grid of the plan.
constexpr size_t kMostPhases = 1 << 16;

int32_t InputOf(const Node& node, size_t i) {
  return i < node.inputs.size() ? node.inputs[i] : graph::kNoTensor;
}

bool IsFloat(const Lowering& lowering, int32_t tensor) {
  return lowering.TypeOf(tensor) == Type::kFloat32;
}

// Activations of what is quantized: float32 or an integer.
struct Activations {
  bool dynamic = false;
  Integer type = Integer::kInt8;
  int32_t zero = 0;
};
Result<Activations> ActivationsOf(const Lowering& lowering, int32_t x) {
  Activations activations;
  activations.dynamic = IsFloat(lowering, x);
  if (activations.dynamic) return activations;
  activations.type = *IntegerOf(lowering.TypeOf(x));
  LATHE_ASSIGN(const Lowering::Affine affine, lowering.AffineOf(x));
  activations.zero = affine.zero_point;
  return activations;
}

Status NeedConstantIfNarrow(const Lowering& lowering, int32_t w) {
  const Type type = lowering.TypeOf(w);
  if (lowering.IsConstant(w) || type == Type::kInt8 || type == Type::kUint8) {
    return {};
  }
  return Unsupported("its weights \"{}\" {} are not a constant",
                     lowering.NameOf(w), Name(type));
}

// Packs constant weights, of which `pack` gets int8 (uint8 as they are).
Result<Packed> PackWeights(
    Lowering& lowering, int32_t w, std::string_view layout, size_t bytes,
    const std::function<void(const int8_t*, std::span<std::byte>)>& pack) {
  return lowering.PackConstant(
      w, layout, bytes,
      [&](std::span<const std::byte> from, std::span<std::byte> to) {
        const PlainWeights plain =
            PlainWeightsOf(from, lowering.TypeOf(w), lowering.Elements(w));
        pack(plain.data, to);
      });
}

// Packs one matrix B of a product whose strides say where it lies.
void PackMatrix(const kernels::IntMatmul& matmul, const int8_t* from,
                std::byte* to) {
  const kernels::Product& product = matmul.product;
  const std::array<size_t, 1> taps = {0};
  kernels::WeightSource source;
  source.data = from;
  source.taps = taps;
  source.per_tap = product.k;
  source.k_stride = matmul.b_k_stride;
  source.n_stride = matmul.b_n_stride;
  source.flip = matmul.b_flip;
  kernels::PackPanels(product, source, 0, kernels::PanelCount(product), to);
}

// Products of bytes where both sides are, or the rows will be.
void ChooseBytes(const Lowering& lowering, kernels::IntMatmul& matmul) {
  const kernels::RowSource& a = matmul.a;
  if (matmul.packed && a.k_stride == 1 &&
      (a.dynamic || a.type != Integer::kInt16)) {
    kernels::UseBytes(kernels::ChooseByteDot(lowering.options().isa,
                                             matmul.product.kernels->width),
                      matmul.product);
  }
}

// Whether all channels have one scale: then convolutions of floats quantize
// symmetrically.
bool OneScale(const QuantizedWeights& weights) {
  return std::ranges::all_of(
      weights.scales, [&](float scale) { return scale == weights.scales[0]; });
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
                      kernels::PackIntConv(conv, from, flip, to.data());
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
  step.outputs = {y};
  const size_t own = RoundUp(kernels::IntConvScratchBytes(conv), kCacheLine);
  step.scratch_bytes = own + (packed ? 0 : conv.packed_bytes);
  step.run = [=, conv = std::move(conv)](const StepContext& context) -> Status {
    const std::byte* from = packed ? packed->data() : context.scratch + own;
    if (!packed) {
      kernels::PackIntConv(conv, context.As<int8_t>(w), flip,
                           context.scratch + own);
    }
    kernels::RunIntConv(conv, OutputAt(*tables, context, bias, y),
                        context.tensors[x], from, *context.pool,
                        context.scratch, context.stop);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareConv2dQuantized(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], w = node.inputs[1];
  const int32_t bias = InputOf(node, 2), y = node.outputs[0];
  const kernels::ConvShape shape = Conv2dShapeOf(lowering, node);
  LATHE_ASSIGN(const kernels::Activation activation,
               ActivationOf(node.op->options));
  LATHE_ASSIGN(const QuantizedWeights weights,
               WeightsOf(lowering, w, shape.out_c, 0));
  kernels::IntConv conv =
      kernels::PlanIntConv(kernels::ChooseQuantized(lowering.options().isa),
                           shape, lowering.options().threads);
  Tables tables;
  if (IsFloat(lowering, x)) {
    LATHE_ASSIGN(tables, FloatTablesOf(lowering, bias, activation, weights));
    conv.asymmetric = !OneScale(weights) || shape.groups != 1;
  } else {
    IntegerOutput what{x, y, bias};
    what.wide = lowering.TypeOf(x) == Type::kInt16 &&
                SumsWide(lowering, node, bias, true);
    what.float_product = lowering.TypeOf(x) == Type::kUint8;
    what.activation = activation;
    LATHE_ASSIGN(tables, TablesOf(lowering, what, weights));
  }
  return AddConv(lowering, node, std::move(conv), x, w, bias, weights, tables,
                 fmt::format("int-conv-g{}", shape.groups), FlopsOf(shape));
}

Status PrepareTransposeConvQuantized(Lowering& lowering, const Node& node) {
  const int32_t w = node.inputs[1], x = node.inputs[2];
  const int32_t bias = InputOf(node, 3), y = node.outputs[0];
  const kernels::TransposeConvShape shape =
      TransposeConvShapeOf(lowering, node);
  LATHE_ASSIGN(const kernels::Activation activation,
               ActivationOf(node.op->options));
  LATHE_ASSIGN(const QuantizedWeights weights,
               WeightsOf(lowering, w, shape.out_c, 0));
  if (shape.stride_h * shape.stride_w > kMostPhases) {
    return Unsupported("strides {} and {} have no kernel", shape.stride_h,
                       shape.stride_w);
  }
  kernels::IntConv conv = kernels::PlanIntTransposeConv(
      kernels::ChooseQuantized(lowering.options().isa), shape,
      lowering.options().threads);
  Tables tables;
  if (IsFloat(lowering, x)) {
    LATHE_ASSIGN(tables, FloatTablesOf(lowering, bias, activation, weights));
    conv.asymmetric = true;
  } else {
    IntegerOutput what{x, y, bias};
    what.wide = lowering.TypeOf(x) == Type::kInt16 &&
                SumsWide(lowering, node, bias, true);
    what.float_product = lowering.TypeOf(x) == Type::kUint8;
    what.activation = activation;
    LATHE_ASSIGN(tables, TablesOf(lowering, what, weights));
  }
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
  LATHE_ASSIGN(const kernels::Activation activation,
               ActivationOf(node.op->options));
  LATHE_ASSIGN(const QuantizedWeights weights,
               WeightsOf(lowering, w, shape.out_c, 3));
  LATHE_ASSIGN(const Activations activations, ActivationsOf(lowering, x));
  depthwise.dynamic = depthwise.asymmetric = activations.dynamic;
  depthwise.type = activations.type;
  depthwise.zero = activations.zero;
  Tables tables;
  if (activations.dynamic) {
    LATHE_ASSIGN(tables, FloatTablesOf(lowering, bias, activation, weights));
  } else {
    IntegerOutput what{x, y, bias};
    what.wide = lowering.TypeOf(x) == Type::kInt16 &&
                SumsWide(lowering, node, bias, true);
    what.float_product = lowering.TypeOf(x) == Type::kUint8;
    what.activation = activation;
    LATHE_ASSIGN(tables, TablesOf(lowering, what, weights));
  }
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

// Scales of blocks along the last axis, as Product::block_scales has them.
Result<std::vector<float>> BlockScalesOf(const Lowering& lowering, int32_t w,
                                         const kernels::Product& product) {
  const size_t n = product.n, k = product.k;
  const graph::Quantization& q = *lowering.QuantizationOf(w);
  const size_t block = static_cast<size_t>(q.block_size);
  if (block % 2 != 0) {
    return Unsupported("blocks of {} weights have no kernel", block);
  }
  if (q.zero_points_tensor > 0) {
    return Unsupported("blocks of weights with zero points have no kernel");
  }
  const int32_t from = q.scales_tensor;
  const size_t blocks = k / block;
  const Type type = lowering.TypeOf(from);
  if (!lowering.IsConstant(from) || lowering.Elements(from) != n * blocks ||
      (type != Type::kFloat16 && type != Type::kFloat32 &&
       type != Type::kBfloat16)) {
    return Invalid(
        "scales \"{}\" {}{}; needed are {} constant 16- or 32-bit floats",
        lowering.NameOf(from), Name(type),
        graph::ToString(lowering.ShapeOf(from)), n * blocks);
  }
  const std::byte* bytes = lowering.ConstantBytes(from).data();
  const size_t width = product.kernels->width;
  std::vector<float> scales(kernels::PanelCount(product) * blocks * width);
  for (size_t j = 0; j < n; ++j) {
    for (size_t i = 0; i < blocks; ++i) {
      float& to = scales[(j / width * blocks + i) * width + j % width];
      const size_t at = j * blocks + i;
      if (type == Type::kFloat32) {
        std::memcpy(&to, bytes + at * sizeof(float), sizeof(float));
        continue;
      }
      uint16_t bits;
      std::memcpy(&bits, bytes + at * sizeof(bits), sizeof(bits));
      to = type == Type::kFloat16 ? HalfToFloat(bits) : Bf16ToFloat(bits);
    }
  }
  return scales;
}

// The format's kernel for these is symmetric, whatever the options say.
bool UsesFourBitKernel(const Lowering& lowering, int32_t w, size_t m, size_t n,
                       size_t k) {
  return lowering.TypeOf(w) == Type::kInt4 && lowering.IsConstant(w) && m > 0 &&
         k % 2 == 0 && n >= 4 && k >= 32;
}

Status PrepareFullyConnectedQuantized(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], w = node.inputs[1];
  const int32_t bias = InputOf(node, 2), y = node.outputs[0];
  const graph::Options& options = node.op->options;
  if (options.Int("weights_format") != 0) {
    return Unsupported("weights_format {} has no kernel",
                       options.Int("weights_format"));
  }
  const size_t n = static_cast<size_t>(lowering.ShapeOf(w)[0]);
  const size_t k = static_cast<size_t>(lowering.ShapeOf(w)[1]);
  kernels::IntMatmul matmul;
  matmul.a.m = k ? lowering.Elements(x) / k : 0;
  matmul.product.kernels = &kernels::ChooseQuantized(lowering.options().isa);
  matmul.product.n = n;
  matmul.product.k = k;
  matmul.a.stride = k;
  matmul.b_n_stride = k;
  matmul.b_k_stride = 1;
  matmul.threads = lowering.options().threads;
  matmul.packed = lowering.IsConstant(w);
  LATHE_ASSIGN(const Activations activations, ActivationsOf(lowering, x));
  matmul.a.dynamic = activations.dynamic;
  matmul.a.type = activations.type;
  matmul.a.zero = activations.zero;

  const graph::Quantization* q = lowering.QuantizationOf(w);
  const bool blockwise =
      q != nullptr && q->details == graph::Quantization::Details::kBlockwise;
  QuantizedWeights weights;
  Tables tables;
  FusedActivation late = FusedActivation::kNone;
  std::vector<float> block_scales;
  if (activations.dynamic) {
    kernels::Activation activation = kernels::Activation::kNone;
    late = LateActivationOf(options);
    if (late == FusedActivation::kNone) {
      LATHE_ASSIGN(activation, ActivationOf(options));
    }
    if (blockwise) {
      if (!matmul.packed) {
        return Unsupported("its weights \"{}\" are not a constant",
                           lowering.NameOf(w));
      }
      LATHE_ASSIGN(block_scales, BlockScalesOf(lowering, w, matmul.product));
      LATHE_ASSIGN(tables, FloatTablesOf(lowering, bias, activation, weights));
      auto sums = std::make_shared<OutputTables>(*tables);
      sums->output.kind = FinishRows::Kind::kFloatSum;
      sums->output.scales = nullptr;
      tables = sums;
      matmul.a.asymmetric = true;
      matmul.product.block = static_cast<size_t>(q->block_size);
    } else {
      LATHE_ASSIGN(weights, WeightsOf(lowering, w, n, 0));
      LATHE_ASSIGN(tables, FloatTablesOf(lowering, bias, activation, weights));
      matmul.a.asymmetric = options.Bool("asymmetric_quantize_inputs") &&
                            !UsesFourBitKernel(lowering, w, matmul.a.m, n, k);
    }
  } else {
    if (blockwise) {
      return Unsupported("blocks of weights have no kernel for {}",
                         Name(lowering.TypeOf(x)));
    }
    LATHE_ASSIGN(const kernels::Activation activation, ActivationOf(options));
    LATHE_ASSIGN(weights, WeightsOf(lowering, w, n, 0));
    IntegerOutput what{x, y, bias};
    const bool wide_weights = lowering.TypeOf(w) == Type::kInt16;
    what.wide = wide_weights || (lowering.TypeOf(x) == Type::kInt16 &&
                                 SumsWide(lowering, node, bias, false));
    what.float_product = !weights.per_channel;
    what.activation = activation;
    LATHE_ASSIGN(tables, TablesOf(lowering, what, weights));
  }
  matmul.product.weight_zero = weights.zero;
  matmul.b_flip = weights.flip;
  ChooseBytes(lowering, matmul);

  Step step;
  step.name = "FULLY_CONNECTED";
  step.kernel = matmul.product.name();
  step.flops = uint64_t{2} * matmul.a.m * n * k;
  step.inputs = {x};
  step.outputs = {y};
  if (lowering.TypeOf(w) == Type::kInt16) {
    const int32_t zero = weights.zero;
    step.kernel = "int16_wide";
    step.inputs.push_back(w);
    if (bias >= 0) step.inputs.push_back(bias);
    step.run = [=](const StepContext& context) -> Status {
      kernels::RunWideMatmul(matmul, zero, OutputAt(*tables, context, bias, y),
                             context.As<int16_t>(x), context.As<int16_t>(w),
                             *context.pool, context.stop);
      return {};
    };
    lowering.Add(std::move(step));
    return {};
  }
  LATHE_TRY(NeedConstantIfNarrow(lowering, w));
  Packed packed;
  size_t scales_at = 0;
  if (matmul.packed) {
    const size_t bytes = RoundUp(kernels::PackedBytes(matmul.product), 4);
    scales_at = bytes;
    const std::string layout =
        fmt::format("int-fc-{}-z{}-b{}.{}", matmul.product.name(), weights.zero,
                    matmul.product.block,
                    blockwise ? lowering.KeyOf(q->scales_tensor) : "");
    LATHE_ASSIGN(packed,
                 PackWeights(lowering, w, layout,
                             bytes + block_scales.size() * sizeof(float),
                             [&](const int8_t* from, std::span<std::byte> to) {
                               PackMatrix(matmul, from, to.data());
                               std::ranges::copy(
                                   std::as_bytes(std::span(block_scales)),
                                   to.begin() + bytes);
                             }));
  } else {
    step.inputs.push_back(w);
  }
  if (bias >= 0) step.inputs.push_back(bias);
  step.scratch_bytes = kernels::IntMatmulScratchBytes(matmul);
  const size_t elements = lowering.Elements(y);
  step.run = [=](const StepContext& context) mutable -> Status {
    if (packed) {
      matmul.product.block_scales =
          reinterpret_cast<const float*>(packed->data() + scales_at);
    }
    kernels::RunIntMatmul(matmul, OutputAt(*tables, context, bias, y),
                          context.tensors[x],
                          packed ? packed->data() : context.tensors[w],
                          *context.pool, context.scratch, context.stop);
    if (late != FusedActivation::kNone) {
      ApplyLate(late, elements, context.As<float>(y));
    }
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// Which matrix of a tensor each batch of the output takes.
std::vector<uint32_t> BatchIndex(const graph::Shape& shape,
                                 const graph::Shape& out) {
  size_t batches = 1;
  for (size_t i = 0; i + 2 < out.size(); ++i) batches *= out[i];
  std::vector<uint32_t> index(batches);
  for (size_t batch = 0; batch < batches; ++batch) {
    size_t rest = batch, run = 1, at = 0;
    for (size_t i = out.size() - 2; i-- > 0;) {
      const size_t position = rest % static_cast<size_t>(out[i]);
      rest /= static_cast<size_t>(out[i]);
      const size_t from_right = out.size() - i;
      if (from_right > shape.size()) continue;
      const size_t dim = static_cast<size_t>(shape[shape.size() - from_right]);
      if (dim != 1) at += position * run;
      run *= dim;
    }
    index[batch] = static_cast<uint32_t>(at);
  }
  return index;
}

size_t MatricesOf(const graph::Shape& shape) {
  size_t count = 1;
  for (size_t i = 0; i + 2 < shape.size(); ++i) {
    count *= static_cast<size_t>(shape[i]);
  }
  return count;
}

Status PrepareBatchMatmulQuantized(Lowering& lowering, const Node& node) {
  const int32_t a = node.inputs[0], b = node.inputs[1], y = node.outputs[0];
  const bool adj_x = node.op->options.Bool("adj_x");
  const bool adj_y = node.op->options.Bool("adj_y");
  const graph::Shape& sa = lowering.ShapeOf(a);
  const graph::Shape& sb = lowering.ShapeOf(b);
  const graph::Shape& sy = lowering.ShapeOf(y);
  kernels::IntMatmul matmul;
  kernels::Product& product = matmul.product;
  product.kernels = &kernels::ChooseQuantized(lowering.options().isa);
  matmul.a.m = static_cast<size_t>(sy[sy.size() - 2]);
  product.n = static_cast<size_t>(sy[sy.size() - 1]);
  product.k = static_cast<size_t>(sa[sa.size() - (adj_x ? 2 : 1)]);
  matmul.a.stride = adj_x ? 1 : product.k;
  matmul.a.k_stride = adj_x ? matmul.a.m : 1;
  matmul.b_k_stride = adj_y ? 1 : product.n;
  matmul.b_n_stride = adj_y ? product.k : 1;
  matmul.a.matrices = MatricesOf(sa);
  matmul.threads = lowering.options().threads;
  const std::vector<uint32_t> a_index = BatchIndex(sa, sy);
  const std::vector<uint32_t> b_index = BatchIndex(sb, sy);
  matmul.batches = a_index.size();
  matmul.packed = lowering.IsConstant(b) && lowering.TypeOf(b) != Type::kInt16;

  const bool raw = lowering.TypeOf(y) == Type::kInt32;
  QuantizedWeights weights;
  Tables tables;
  if (raw) {
    auto made = std::make_shared<OutputTables>();
    made->output.kind = FinishRows::Kind::kRaw;
    made->output.type = Integer::kInt32;
    tables = made;
  } else {
    const size_t channels = sb.size() - (adj_y ? 2 : 1);
    LATHE_ASSIGN(const Activations activations, ActivationsOf(lowering, a));
    matmul.a.dynamic = activations.dynamic;
    matmul.a.type = activations.type;
    matmul.a.zero = activations.zero;
    LATHE_ASSIGN(weights, WeightsOf(lowering, b, product.n, channels));
    if (activations.dynamic) {
      matmul.a.asymmetric = node.op->options.Bool("asymmetric_quantize_inputs");
      LATHE_ASSIGN(tables, FloatTablesOf(lowering, graph::kNoTensor,
                                         kernels::Activation::kNone, weights));
    } else {
      if (weights.per_channel) {
        return Unsupported(
            "scales per channel of the second operand have no kernel");
      }
      IntegerOutput what{a, y};
      what.wide = lowering.TypeOf(a) == Type::kInt16;
      what.float_product = true;
      LATHE_ASSIGN(tables, TablesOf(lowering, what, weights));
    }
  }
  product.weight_zero = weights.zero;
  matmul.b_flip = weights.flip;
  ChooseBytes(lowering, matmul);

  Step step;
  step.name = "BATCH_MATMUL";
  step.kernel = product.name();
  step.flops =
      uint64_t{2} * matmul.batches * matmul.a.m * product.n * product.k;
  step.inputs = {a};
  step.outputs = {y};
  if (lowering.TypeOf(b) == Type::kInt16) {
    const int32_t zero = weights.zero;
    step.kernel = "int16_wide";
    step.inputs.push_back(b);
    step.run = [=](const StepContext& context) mutable -> Status {
      matmul.a_index = a_index.data();
      matmul.b_index = b_index.data();
      kernels::RunWideMatmul(matmul, zero,
                             OutputAt(*tables, context, graph::kNoTensor, y),
                             context.As<int16_t>(a), context.As<int16_t>(b),
                             *context.pool, context.stop);
      return {};
    };
    lowering.Add(std::move(step));
    return {};
  }
  LATHE_TRY(NeedConstantIfNarrow(lowering, b));
  Packed packed;
  if (matmul.packed) {
    const size_t matrices = MatricesOf(sb);
    const size_t bytes = kernels::PackedBytes(product);
    LATHE_ASSIGN(packed,
                 PackWeights(lowering, b,
                             fmt::format("int-bmm-{}-z{}-{}", product.name(),
                                         weights.zero, adj_y),
                             matrices * bytes,
                             [&](const int8_t* from, std::span<std::byte> to) {
                               for (size_t i = 0; i < matrices; ++i) {
                                 PackMatrix(matmul,
                                            from + i * product.k * product.n,
                                            to.data() + i * bytes);
                               }
                             }));
  } else {
    step.inputs.push_back(b);
  }
  step.scratch_bytes = kernels::IntMatmulScratchBytes(matmul);
  step.run = [=](const StepContext& context) mutable -> Status {
    matmul.a_index = a_index.data();
    matmul.b_index = b_index.data();
    kernels::RunIntMatmul(
        matmul, OutputAt(*tables, context, graph::kNoTensor, y),
        context.tensors[a], packed ? packed->data() : context.tensors[b],
        *context.pool, context.scratch, context.stop);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// --- Rows --------------------------------------------------------------------

bool IsWeight(Type type) {
  return type == Type::kInt8 || type == Type::kInt4 || type == Type::kInt2 ||
         type == Type::kUint8;
}

// Floats with quantized weights at input 1 and activations at input `x`.
template <size_t x>
bool Dynamic(const OpTypes& types) {
  return types.Has(x) && types.Has(1) && types.In(x).type == Type::kFloat32 &&
         types.Out(0).type == Type::kFloat32 && IsWeight(types.In(1).type);
}

// Integers: uint8 with uint8; int8 and int16 with signed weights.
template <size_t x>
bool Static(const OpTypes& types) {
  if (!types.Has(x) || !types.Has(1)) return false;
  const Type from = types.In(x).type, to = types.Out(0).type;
  const Type w = types.In(1).type;
  if (from == Type::kUint8) return w == Type::kUint8 && to == from;
  return to == from && (from == Type::kInt8 || from == Type::kInt16) &&
         IsWeight(w) && w != Type::kUint8;
}

bool StaticFullyConnected(const OpTypes& types) {
  if (Static<0>(types)) return true;
  if (!types.Has(0) || !types.Has(1)) return false;
  const Type x = types.In(0).type, w = types.In(1).type;
  const Type y = types.Out(0).type;
  return (x == Type::kUint8 && w == Type::kUint8 && y == Type::kInt16) ||
         (x == Type::kInt16 && w == Type::kInt16 && y == Type::kInt16) ||
         (x == Type::kInt8 && IsWeight(w) && w != Type::kUint8 &&
          y == Type::kInt16);
}

bool StaticBatchMatmul(const OpTypes& types) {
  if (!types.Has(0) || !types.Has(1)) return false;
  const Type a = types.In(0).type, b = types.In(1).type;
  const Type y = types.Out(0).type;
  if (a == Type::kInt8) {
    return b == Type::kInt8 && (y == Type::kInt8 || y == Type::kInt32);
  }
  return a == Type::kInt16 && y == Type::kInt16 &&
         (b == Type::kInt8 || b == Type::kInt16);
}

constexpr TypeMask kIntegers =
    Types({Type::kInt8, Type::kUint8, Type::kInt16, Type::kInt32});
constexpr std::string_view kDynamicNote =
    "float32 activations, int8, int4 or int2 weights";
constexpr std::string_view kStaticNote =
    "int8 or int16 activations with int8, int4 or int2 weights; uint8 with "
    "uint8";

constexpr OpRow kRows[] = {
    {OpCode::kConv2d, PrepareConv2dQuantized, kFloat32, -1, Dynamic<0>,
     kDynamicNote},
    {OpCode::kConv2d, PrepareConv2dQuantized, kIntegers, -1, Static<0>,
     kStaticNote},
    {OpCode::kDepthwiseConv2d, PrepareDepthwiseQuantized, kFloat32, -1,
     Dynamic<0>, kDynamicNote},
    {OpCode::kDepthwiseConv2d, PrepareDepthwiseQuantized, kIntegers, -1,
     Static<0>, kStaticNote},
    {OpCode::kTransposeConv, PrepareTransposeConvQuantized, kFloat32, -1,
     Dynamic<2>, kDynamicNote},
    {OpCode::kTransposeConv, PrepareTransposeConvQuantized, kIntegers, -1,
     Static<2>, kStaticNote},
    {OpCode::kFullyConnected, PrepareFullyConnectedQuantized, kFloat32, -1,
     Dynamic<0>, kDynamicNote},
    {OpCode::kFullyConnected, PrepareFullyConnectedQuantized, kIntegers, -1,
     StaticFullyConnected,
     "int8 or int16 activations with int8, int4 or int2 weights; uint8 with "
     "uint8; int16 with int16"},
    {OpCode::kBatchMatmul, PrepareBatchMatmulQuantized, kFloat32, -1,
     Dynamic<0>, kDynamicNote},
    {OpCode::kBatchMatmul, PrepareBatchMatmulQuantized, kIntegers, -1,
     StaticBatchMatmul,
     "int8 with int8 to int8 or int32; int16 with int8 or int16"},
};

}  // namespace

std::span<const OpRow> QuantizedRows() { return kRows; }

}  // namespace lathe::plan
