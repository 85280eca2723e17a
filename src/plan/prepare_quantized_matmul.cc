// Matrix products with quantized weights: of integers, and of floats that are
// quantized while the model runs.

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "src/kernels/quantized/matmul.h"
#include "src/plan/matrices.h"
#include "src/plan/operands.h"
#include "src/plan/prepare.h"
#include "src/plan/prepare_quantized.h"

namespace lathe::plan {
namespace {

using graph::Type;
using kernels::FinishRows;
using kernels::Integer;

// Packs one matrix B of a product whose strides say where it lies.
void PackMatrix(const kernels::IntMatmul& matmul, const int8_t* from,
                std::byte* to, ThreadPool* pool) {
  const kernels::Product& product = matmul.product;
  const std::array<size_t, 1> taps = {0};
  kernels::WeightSource source;
  source.data = from;
  source.taps = taps;
  source.per_tap = product.k;
  source.k_stride = matmul.b_k_stride;
  source.n_stride = matmul.b_n_stride;
  source.flip = matmul.b_flip;
  kernels::PackPanels(product, source, 0, kernels::PanelCount(product), to,
                      pool);
}

// How constant matrices B are stored.
struct StoredMatrices {
  size_t count = 1;
  std::optional<Blocks> blocks;
  bool shuffled = false;
};

// Products of bytes where both sides are, or the rows will be; of nibbles where
// the weights are, as the kernel takes them.
void ChooseBytes(const Lowering& lowering, int32_t w,
                 const StoredMatrices& stored, kernels::IntMatmul& matmul) {
  const kernels::RowSource& a = matmul.a;
  if (!matmul.packed || a.k_stride != 1 ||
      (!a.dynamic && a.type == Integer::kInt16)) {
    return;
  }
  kernels::UseBytes(kernels::ChooseByteDot(lowering.options().isa,
                                           matmul.product.kernels->width),
                    matmul.product);
  const bool plain = !stored.blocks || stored.blocks->zeros == nullptr;
  if (graph::BitsPerElement(lowering.TypeOf(w)) <= 4 && plain) {
    kernels::UseNibbles(matmul.product);
  }
}

// Blocks of weights whose products a kernel can sum one by one: along k, of
// constants.
Result<Blocks> BlocksForProduct(const Lowering& lowering, int32_t w) {
  if (!lowering.IsConstant(w)) {
    return Unsupported("its weights \"{}\" are not a constant",
                       lowering.NameOf(w));
  }
  if (lowering.TypeOf(w) == Type::kUint8) {
    return Unsupported("blocks of uint8 weights have no kernel");
  }
  LATHE_ASSIGN(const Blocks blocks, BlocksOf(lowering, w));
  if (blocks.size % 2 != 0) {
    return Unsupported("blocks of {} weights have no kernel, of even sizes do",
                       blocks.size);
  }
  if (blocks.zeros != nullptr && lowering.TypeOf(w) == Type::kInt8) {
    return Unsupported(
        "blocks of int8 weights with zero points have no kernel; int4 and "
        "int2 ones do");
  }
  return blocks;
}

// Scales of one matrix as Product::block_scales has them; it begins at block
// `first`.
void LayScales(const Blocks& blocks, size_t first,
               const kernels::Product& product, float* to) {
  const size_t width = product.kernels->width, along = product.blocks();
  for (size_t panel = 0; panel < kernels::PanelCount(product); ++panel) {
    const auto [column, columns] = kernels::ColumnsOf(product, panel);
    for (size_t i = 0; i < along; ++i, to += width) {
      for (size_t j = 0; j < columns; ++j) {
        to[j] = blocks.Scale(first + (column + j) * along + i);
      }
    }
  }
}

// Weights of `count` numbers less the zero points of their blocks: of less
// than 8 bits, they stay within 8.
std::vector<int8_t> LessZeros(const Blocks& blocks, const int8_t* from,
                              size_t count) {
  std::vector<int8_t> weights(from, from + count);
  for (size_t i = 0; i < count; ++i) {
    weights[i] = static_cast<int8_t>(weights[i] - blocks.Zero(i / blocks.size));
  }
  return weights;
}

// The format's old order of int8 weights [n, k]: tiles of 4 rows and 16
// columns, one behind the other.
constexpr size_t kShuffledRows = 4, kShuffledColumns = 16;

std::vector<int8_t> Unshuffled(const int8_t* from, size_t n, size_t k) {
  std::vector<int8_t> weights(n * k);
  for (size_t row = 0; row < n; row += kShuffledRows) {
    for (size_t column = 0; column < k; column += kShuffledColumns) {
      for (size_t i = 0; i < kShuffledRows; ++i, from += kShuffledColumns) {
        std::copy_n(from, kShuffledColumns,
                    weights.data() + (row + i) * k + column);
      }
    }
  }
  return weights;
}

// Of shuffled weights and their uint8 activations the format's kernel takes 128
// off, whatever the file says; the weights have lost it already.
Result<QuantizedWeights> ShuffledWeightsOf(const Lowering& lowering, int32_t x,
                                           int32_t w) {
  const graph::Shape& shape = lowering.ShapeOf(w);
  if (lowering.TypeOf(w) != Type::kUint8 || !lowering.IsConstant(w) ||
      shape[0] % kShuffledRows != 0 || shape[1] % kShuffledColumns != 0) {
    return Unsupported(
        "shuffled weights \"{}\" {}{}; allowed are constant uint8 in tiles of "
        "{} by {}",
        lowering.NameOf(w), Name(lowering.TypeOf(w)), graph::ToString(shape),
        kShuffledRows, kShuffledColumns);
  }
  for (const int32_t tensor : {x, w}) {
    LATHE_ASSIGN(const Lowering::Affine affine, lowering.AffineOf(tensor));
    if (affine.zero_point != 128) {
      return Invalid("zero point {} of \"{}\"; shuffled weights allow only 128",
                     affine.zero_point, lowering.NameOf(tensor));
    }
  }
  LATHE_ASSIGN(QuantizedWeights weights,
               WeightsOf(lowering, w, static_cast<size_t>(shape[0]), 0));
  weights.zero = 0;
  weights.flip = false;
  return weights;
}

// Packs them one behind the other, and behind them the scales of their blocks,
// where there are any; makes the product read those.
Result<Packed> PackMatrices(Lowering& lowering, int32_t w,
                            const StoredMatrices& stored,
                            kernels::IntMatmul& matmul) {
  const auto& [matrices, blocks, shuffled] = stored;
  kernels::Product& product = matmul.product;
  const size_t each = kernels::PackedBytes(product);
  const size_t scales_at = RoundUp(matrices * each, sizeof(float));
  const size_t scales = blocks ? kernels::BlockScaleCount(product) : 0;
  std::string layout =
      fmt::format("int-matrix-{}-z{}-{}x{}-k{}", product.name(),
                  product.weight_zero, product.n, product.k, matmul.b_k_stride);
  if (shuffled) layout += "-shuffled";
  if (product.gates) layout += "-gates";
  if (product.nibbles) layout += "-nibbles";
  if (blocks) {
    const graph::Quantization& q = *lowering.QuantizationOf(w);
    layout +=
        fmt::format("-b{}.{}.{}", blocks->size, lowering.KeyOf(q.scales_tensor),
                    blocks->zeros ? lowering.KeyOf(q.zero_points_tensor) : "");
  }
  LATHE_ASSIGN(
      Packed packed,
      PackWeights(
          lowering, w, layout, scales_at + matrices * scales * sizeof(float),
          [&](const int8_t* from, std::span<std::byte> to) {
            const size_t count = product.k * product.n;
            std::vector<int8_t> plain;
            if (blocks && blocks->zeros) {
              plain = LessZeros(*blocks, from, matrices * count);
            } else if (shuffled) {
              plain = Unshuffled(from, product.n, product.k);
            }
            if (!plain.empty()) from = plain.data();
            for (size_t i = 0; i < matrices; ++i) {
              PackMatrix(matmul, from + i * count, to.data() + i * each,
                         lowering.options().pool);
              if (!blocks) continue;
              LayScales(
                  *blocks, i * count / blocks->size, product,
                  reinterpret_cast<float*>(to.data() + scales_at) + i * scales);
            }
          }));
  if (blocks) {
    product.block_scales =
        reinterpret_cast<const float*>(packed->data() + scales_at);
  }
  return packed;
}

// Of float x and y, where blocks have scaled the sums already.
Result<Tables> BlockTablesOf(const Lowering& lowering, int32_t bias,
                             kernels::Activation activation) {
  LATHE_ASSIGN(const Tables tables,
               FloatTablesOf(lowering, bias, activation, {}));
  auto sums = std::make_shared<OutputTables>(*tables);
  sums->output.kind = FinishRows::Kind::kFloatSum;
  sums->output.scales = nullptr;
  return sums;
}

// Whether the product's floats `x` may be quantized for another layer as well.
bool QuantizedAgain(const Lowering& lowering, int32_t x) {
  size_t layers = 0;
  for (const uint32_t i : lowering.ReadersOf(x)) {
    const graph::Op& op = lowering.subgraph().ops[i];
    layers += (op.code == graph::OpCode::kFullyConnected ||
               op.code == graph::OpCode::kBatchMatmul) &&
              op.inputs[0] == x &&
              graph::BitsPerElement(lowering.TypeOf(op.inputs[1])) <= 8;
  }
  return layers > 1;
}

// The rows of `x`, quantized once for all products that take them alike. `x`
// stays the step's input.
class SharedRows {
 public:
  SharedRows(Lowering& lowering, int32_t x, kernels::IntMatmul& matmul,
             Step& step)
      : x_(x) {
    const kernels::RowSource& a = matmul.a;
    const kernels::Product& product = matmul.product;
    // A variable may change between them.
    if (!a.dynamic || a.k_stride != 1 || lowering.TensorOf(x).is_variable ||
        !QuantizedAgain(lowering, x)) {
      return;
    }
    const std::string key = fmt::format(
        "{}: {} rows of {}, asymmetric {}, {}, {} blocks, zero {}", x, a.rows(),
        product.padded_k(), a.asymmetric, product.name(), product.blocks(),
        product.weight_zero + product.offset());
    share_ = lowering.ShareSpace(key, kernels::RowsBytes(product, a));
    step.shared = share_.index;
    matmul.laid = true;
  }

  // What RunIntMatmul takes for A.
  const void* At(const StepContext& context,
                 const kernels::IntMatmul& matmul) const {
    if (!matmul.laid) return context.tensors[x_];
    if (share_.first) {
      kernels::LayRows(matmul.product, matmul.a, context.tensors[x_],
                       *context.pool, context.shared);
    }
    return context.shared;
  }

 private:
  int32_t x_;
  Lowering::Share share_;
};

// The format's kernel for these is symmetric, whatever the options say.
bool UsesFourBitKernel(const Lowering& lowering, int32_t w, size_t m, size_t n,
                       size_t k) {
  return lowering.TypeOf(w) == Type::kInt4 && lowering.IsConstant(w) && m > 0 &&
         k % 2 == 0 && n >= 4 && k >= 32;
}

size_t MatricesOf(const graph::Shape& shape) {
  size_t count = 1;
  for (size_t i = 0; i + 2 < shape.size(); ++i) {
    count *= static_cast<size_t>(shape[i]);
  }
  return count;
}

// Which matrix of a tensor each batch of the output takes.
std::vector<uint32_t> BatchIndex(const graph::Shape& shape,
                                 const graph::Shape& out) {
  const Matrices matrices(shape);
  const size_t elements =
      std::max<size_t>(1, matrices.Dim(0) * matrices.Dim(1));
  std::vector<uint32_t> index;
  for (const size_t offset : matrices.Offsets(Matrices(out), MatricesOf(out))) {
    index.push_back(static_cast<uint32_t>(offset / elements));
  }
  return index;
}

}  // namespace

Status PrepareFullyConnectedQuantized(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], w = node.inputs[1];
  const int32_t bias = InputOf(node, 2), y = node.outputs[0];
  const graph::Options& options = node.op->options;
  StoredMatrices stored;
  stored.shuffled = options.Int("weights_format") != 0;
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

  QuantizedWeights weights;
  Tables tables;
  FusedActivation late = FusedActivation::kNone;
  if (activations.dynamic) {
    kernels::Activation activation = kernels::Activation::kNone;
    late = LateActivationOf(options);
    if (late == FusedActivation::kNone) {
      LATHE_ASSIGN(activation, ActivationOf(options));
    }
    if (HasBlocks(lowering, w)) {
      LATHE_ASSIGN(stored.blocks, BlocksForProduct(lowering, w));
      LATHE_ASSIGN(tables, BlockTablesOf(lowering, bias, activation));
      matmul.a.asymmetric = true;
      matmul.product.block = stored.blocks->size;
    } else {
      LATHE_ASSIGN(weights, WeightsOf(lowering, w, n, 0));
      LATHE_ASSIGN(tables, FloatTablesOf(lowering, bias, activation, weights));
      matmul.a.asymmetric = options.Bool("asymmetric_quantize_inputs") &&
                            !UsesFourBitKernel(lowering, w, matmul.a.m, n, k);
    }
  } else {
    if (HasBlocks(lowering, w)) {
      return Unsupported("blocks of weights have no kernel for {}",
                         Name(lowering.TypeOf(x)));
    }
    LATHE_ASSIGN(const kernels::Activation activation, ActivationOf(options));
    if (stored.shuffled) {
      LATHE_ASSIGN(weights, ShuffledWeightsOf(lowering, x, w));
    } else {
      LATHE_ASSIGN(weights, WeightsOf(lowering, w, n, 0));
    }
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
  ChooseBytes(lowering, w, stored, matmul);

  Step step;
  step.name = "FULLY_CONNECTED";
  step.kernel = matmul.product.name();
  if (node.gated) {
    step.kernel += "/gated_silu";
    matmul.product.gates = &kernels::ChooseElementwise(lowering.options().isa);
  }
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
  if (matmul.packed) {
    LATHE_ASSIGN(packed, PackMatrices(lowering, w, stored, matmul));
  } else {
    step.inputs.push_back(w);
  }
  if (bias >= 0) step.inputs.push_back(bias);
  const int32_t residual = node.residual;
  if (residual >= 0) {
    step.inputs.push_back(residual);
    step.may_overwrite = residual;
  }
  const SharedRows rows(lowering, x, matmul, step);
  step.scratch_bytes = kernels::IntMatmulScratchBytes(matmul);
  const size_t elements = lowering.Elements(y);
  // Shuffled weights come with an output for the kernel's own use.
  const int32_t workspace =
      stored.shuffled ? node.outputs[1] : graph::kNoTensor;
  const size_t workspace_bytes =
      stored.shuffled ? lowering.Elements(workspace) : 0;
  if (stored.shuffled) {
    LATHE_TRY(NeedType(lowering, workspace, Type::kUint8));
    step.outputs.push_back(workspace);
  }
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunIntMatmul(matmul, OutputAt(*tables, context, bias, y, residual),
                          rows.At(context, matmul),
                          packed ? packed->data() : context.tensors[w],
                          *context.pool, context.scratch, context.stop);
    if (late != FusedActivation::kNone) {
      ApplyLate(late, elements, context.As<float>(y));
    }
    if (workspace >= 0) {
      std::memset(context.tensors[workspace], 0, workspace_bytes);
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

  StoredMatrices stored;
  stored.count = MatricesOf(sb);
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
    if (HasBlocks(lowering, b)) {
      if (!activations.dynamic || !adj_y) {
        return Unsupported(
            "blocks of weights have no kernel for {} with adj_y {}; allowed is "
            "float32 with adj_y true",
            Name(lowering.TypeOf(a)), adj_y);
      }
      LATHE_ASSIGN(stored.blocks, BlocksForProduct(lowering, b));
      product.block = stored.blocks->size;
      matmul.a.asymmetric = true;
    } else {
      LATHE_ASSIGN(weights, WeightsOf(lowering, b, product.n, channels));
    }
    if (stored.blocks) {
      LATHE_ASSIGN(tables, BlockTablesOf(lowering, graph::kNoTensor,
                                         kernels::Activation::kNone));
    } else if (activations.dynamic) {
      matmul.a.asymmetric = node.op->options.Bool("asymmetric_quantize_inputs");
      LATHE_ASSIGN(tables, FloatTablesOf(lowering, graph::kNoTensor,
                                         kernels::Activation::kNone, weights));
    } else {
      IntegerOutput what{a, y};
      what.wide = lowering.TypeOf(a) == Type::kInt16;
      what.float_product = !weights.per_channel;
      LATHE_ASSIGN(tables, TablesOf(lowering, what, weights));
    }
  }
  product.weight_zero = weights.zero;
  matmul.b_flip = weights.flip;
  ChooseBytes(lowering, b, stored, matmul);

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
    LATHE_ASSIGN(packed, PackMatrices(lowering, b, stored, matmul));
  } else {
    step.inputs.push_back(b);
  }
  const SharedRows rows(lowering, a, matmul, step);
  step.scratch_bytes = kernels::IntMatmulScratchBytes(matmul);
  step.run = [=](const StepContext& context) mutable -> Status {
    matmul.a_index = a_index.data();
    matmul.b_index = b_index.data();
    kernels::RunIntMatmul(
        matmul, OutputAt(*tables, context, graph::kNoTensor, y),
        rows.At(context, matmul), packed ? packed->data() : context.tensors[b],
        *context.pool, context.scratch, context.stop);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

}  // namespace lathe::plan
