// Which convolutions and matrix products with quantized weights there are, and
// what their preparers share.

#include "src/plan/prepare_quantized.h"

#include "src/plan/prepare.h"

namespace lathe::plan {

using graph::OpCode;
using graph::Type;

int32_t InputOf(const Node& node, size_t i) {
  return i < node.inputs.size() ? node.inputs[i] : graph::kNoTensor;
}

bool IsFloat(const Lowering& lowering, int32_t tensor) {
  return lowering.TypeOf(tensor) == Type::kFloat32;
}

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

namespace {

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
