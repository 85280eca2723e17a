// What preparers of quantized operators share.

#ifndef LATHE_PLAN_PREPARE_QUANTIZED_H_
#define LATHE_PLAN_PREPARE_QUANTIZED_H_

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "src/kernels/quantized/product.h"
#include "src/plan/lowering.h"

namespace lathe::plan {

// int8, uint8, int16, int32.
std::optional<kernels::Integer> IntegerOf(graph::Type type);

// One zero point per scale. Errors: kInvalidInput when counts differ.
Result<std::vector<int32_t>> ZeroPointsOf(const Lowering& lowering,
                                          int32_t tensor);

// Weights of `n` output channels: one scale for all, or one for each along the
// axis `channels`.
struct QuantizedWeights {
  std::vector<float> scales;  // n
  bool per_channel = false;
  int32_t zero = 0;   // Less 128 for `flip`.
  bool flip = false;  // Stored as uint8.
};
Result<QuantizedWeights> WeightsOf(const Lowering& lowering, int32_t w,
                                   size_t n, size_t channels);

// Weights with a scale for each `size` neighbours along the last axis, as the
// file stores them.
struct Blocks {
  size_t size = 0;
  graph::Type scale_type = graph::Type::kFloat16;
  const std::byte* scales = nullptr;
  graph::Type zero_type = graph::Type::kInt8;
  const std::byte* zeros = nullptr;  // Null: all are 0.

  // Of block i, counted in the order of the weights.
  float Scale(size_t i) const;
  int32_t Zero(size_t i) const;
};
bool HasBlocks(const Lowering& lowering, int32_t tensor);
// Of a tensor that has them. Errors: kInvalidInput unless the tensors that its
// quantization names are constants with one number for each block.
Result<Blocks> BlocksOf(const Lowering& lowering, int32_t tensor);

// Arrays behind a kernels::Output, and the parts of it that do not change.
struct OutputTables {
  std::vector<int32_t> multiplier, shift;
  std::vector<float> scales;
  kernels::Output output;
};
using Tables = std::shared_ptr<const OutputTables>;

// Of integers x, y and weights. `float_product`: the scales of x and weights
// are multiplied in float32, as the format's older kernels do. Errors:
// kInvalidInput for scales, zero points or a bias that the types do not allow.
struct IntegerOutput {
  int32_t x = graph::kNoTensor, y = graph::kNoTensor;
  int32_t bias = graph::kNoTensor;
  bool wide = false;  // 64-bit sums.
  bool float_product = false;
  kernels::Activation activation = kernels::Activation::kNone;
};
Result<Tables> TablesOf(const Lowering& lowering, const IntegerOutput& what,
                        const QuantizedWeights& weights);
// Of float x and y.
Result<Tables> FloatTablesOf(const Lowering& lowering, int32_t bias,
                             kernels::Activation activation,
                             const QuantizedWeights& weights);

// Whether 16-bit activations sum in 64 bits: so says the bias, else
// `quantized_bias_type`, else `without`.
bool SumsWide(const Lowering& lowering, const Node& node, int32_t bias,
              bool without);

// The bytes of weights of type `type` as n int8 (uint8 as they are).
struct PlainWeights {
  std::vector<int8_t> unpacked;
  const int8_t* data = nullptr;
};
PlainWeights PlainWeightsOf(std::span<const std::byte> bytes, graph::Type type,
                            size_t n);

// Input i, or kNoTensor.
int32_t InputOf(const Node& node, size_t i);

bool IsFloat(const Lowering& lowering, int32_t tensor);

// Activations of what is quantized: float32 or an integer.
struct Activations {
  bool dynamic = false;
  kernels::Integer type = kernels::Integer::kInt8;
  int32_t zero = 0;
};
Result<Activations> ActivationsOf(const Lowering& lowering, int32_t x);

// Weights below 8 bits are unpacked when they are packed, so they must be
// there.
Status NeedConstantIfNarrow(const Lowering& lowering, int32_t w);

// Packs constant weights, of which `pack` gets int8 (uint8 as they are).
Result<Packed> PackWeights(
    Lowering& lowering, int32_t w, std::string_view layout, size_t bytes,
    const std::function<void(const int8_t*, std::span<std::byte>)>& pack);

// The run's own part of an Output.
inline kernels::Output OutputAt(const OutputTables& tables,
                                const StepContext& context, int32_t bias,
                                int32_t y,
                                int32_t residual = graph::kNoTensor) {
  kernels::Output output = tables.output;
  output.bias = bias >= 0 ? context.tensors[bias] : nullptr;
  output.residual = residual >= 0 ? context.As<float>(residual) : nullptr;
  output.y = context.tensors[y];
  return output;
}

// Rows of prepare_quantized.cc, by the file that has them.
Status PrepareConv2dQuantized(Lowering& lowering, const Node& node);
Status PrepareTransposeConvQuantized(Lowering& lowering, const Node& node);
Status PrepareDepthwiseQuantized(Lowering& lowering, const Node& node);
Status PrepareFullyConnectedQuantized(Lowering& lowering, const Node& node);
Status PrepareBatchMatmulQuantized(Lowering& lowering, const Node& node);

}  // namespace lathe::plan

#endif  // LATHE_PLAN_PREPARE_QUANTIZED_H_
