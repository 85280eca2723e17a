// Matrix products with quantized weights: of integers, and of floats that are
// quantized while the model runs.

#include <algorithm>
#include <array>
#include <cstring>

#include "src/base/half.h"
#include "src/kernels/quantized/matmul.h"
#include "src/plan/prepare.h"
#include "src/plan/prepare_quantized.h"

namespace lathe::plan {
namespace {

using graph::Type;
using kernels::FinishRows;
using kernels::Integer;

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

// Scales of blocks along the last axis, as Product::block_scales has them.
Result<std::vector<float>> PanelScalesOf(const Lowering& lowering, int32_t w,
                                         const kernels::Product& product) {
  const size_t n = product.n;
  const auto block =
      static_cast<size_t>(lowering.QuantizationOf(w)->block_size);
  if (block % 2 != 0) {
    return Unsupported("blocks of {} weights have no kernel", block);
  }
  LATHE_ASSIGN(const std::vector<float> rows,
               BlockScalesOf(lowering, w, n, product.k));
  const size_t blocks = product.k / block, width = product.kernels->width;
  std::vector<float> scales(kernels::PanelCount(product) * blocks * width);
  for (size_t j = 0; j < n; ++j) {
    for (size_t i = 0; i < blocks; ++i) {
      scales[(j / width * blocks + i) * width + j % width] =
          rows[j * blocks + i];
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

}  // namespace

Result<std::vector<float>> BlockScalesOf(const Lowering& lowering,
                                         int32_t tensor, size_t rows,
                                         size_t width) {
  const graph::Quantization& q = *lowering.QuantizationOf(tensor);
  if (width % static_cast<size_t>(q.block_size) != 0) {
    return Invalid("tensor \"{}\": blocks of {} do not divide its last dim, {}",
                   lowering.NameOf(tensor), q.block_size, width);
  }
  if (q.zero_points_tensor > 0) {
    return Unsupported("blocks of weights with zero points have no kernel");
  }
  const int32_t from = q.scales_tensor;
  const size_t count = rows * (width / static_cast<size_t>(q.block_size));
  const Type type = lowering.TypeOf(from);
  if (!lowering.IsConstant(from) || lowering.Elements(from) != count ||
      (type != Type::kFloat16 && type != Type::kFloat32 &&
       type != Type::kBfloat16)) {
    return Invalid(
        "scales \"{}\" {}{}; needed are {} constant 16- or 32-bit floats",
        lowering.NameOf(from), Name(type),
        graph::ToString(lowering.ShapeOf(from)), count);
  }
  const std::byte* bytes = lowering.ConstantBytes(from).data();
  std::vector<float> scales(count);
  for (size_t i = 0; i < count; ++i) {
    if (type == Type::kFloat32) {
      std::memcpy(&scales[i], bytes + i * sizeof(float), sizeof(float));
      continue;
    }
    uint16_t bits;
    std::memcpy(&bits, bytes + i * sizeof(bits), sizeof(bits));
    scales[i] = type == Type::kFloat16 ? HalfToFloat(bits) : Bf16ToFloat(bits);
  }
  return scales;
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
      LATHE_ASSIGN(block_scales, PanelScalesOf(lowering, w, matmul.product));
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

}  // namespace lathe::plan
