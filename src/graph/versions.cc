// Lowest versions of operators.

#include "src/graph/versions.h"

#include <algorithm>
#include <initializer_list>

namespace lathe::graph {
namespace {

// What the rules look at.
struct Facts {
  const Op& op;
  std::span<const KnownTensor* const> inputs, outputs;

  bool Has(size_t i) const { return i < inputs.size() && inputs[i] != nullptr; }
  Type TypeOf(size_t i) const {
    return Has(i) ? inputs[i]->type : Type::kFloat32;
  }
  size_t RankOf(size_t i) const { return Has(i) ? inputs[i]->shape.size() : 0; }
  Type OutputType() const {
    return outputs.empty() || outputs[0] == nullptr ? Type::kFloat32
                                                    : outputs[0]->type;
  }
  bool Is(std::initializer_list<Type> types) const {
    return std::ranges::find(types, TypeOf(0)) != types.end();
  }
  bool Broadcasts() const {
    return Has(0) && Has(1) && inputs[0]->shape != inputs[1]->shape;
  }
  // Operands of different shape and more than four dims.
  bool BroadcastsHigh() const {
    return Broadcasts() && std::max(RankOf(0), RankOf(1)) > 4;
  }
};

// The version of an operand type, in operators where nothing else counts. The
// first row that fits an operator and its first operand's type wins.
struct TypeRow {
  OpCode code;
  Type type;
  int32_t version;
};
constexpr TypeRow kByType[] = {
    {OpCode::kLess, Type::kInt8, 2},
    {OpCode::kLess, Type::kInt16, 3},
    {OpCode::kGreaterEqual, Type::kInt8, 2},
    {OpCode::kGreaterEqual, Type::kInt16, 3},
    {OpCode::kGreater, Type::kInt8, 2},
    {OpCode::kLessEqual, Type::kInt8, 2},
    {OpCode::kEqual, Type::kInt8, 2},
    {OpCode::kEqual, Type::kString, 3},
    {OpCode::kEqual, Type::kInt16, 5},
    {OpCode::kNotEqual, Type::kInt8, 2},
    {OpCode::kNotEqual, Type::kString, 3},
    {OpCode::kNotEqual, Type::kInt16, 4},
    {OpCode::kBatchMatmul, Type::kInt8, 2},
    {OpCode::kBatchMatmul, Type::kInt16, 3},
    {OpCode::kSoftmax, Type::kInt8, 2},
    {OpCode::kSoftmax, Type::kInt16, 3},
    {OpCode::kSoftmax, Type::kFloat16, 4},
    {OpCode::kLogSoftmax, Type::kInt8, 2},
    {OpCode::kSum, Type::kInt8, 2},
    {OpCode::kSpaceToDepth, Type::kInt8, 2},
    {OpCode::kDepthToSpace, Type::kInt8, 2},
    {OpCode::kSquaredDifference, Type::kInt8, 2},
    {OpCode::kL2Normalization, Type::kInt8, 2},
    {OpCode::kTanh, Type::kInt8, 2},
    {OpCode::kTanh, Type::kInt16, 3},
    {OpCode::kLogistic, Type::kInt8, 2},
    {OpCode::kLogistic, Type::kInt16, 3},
    {OpCode::kAveragePool2d, Type::kInt8, 2},
    {OpCode::kAveragePool2d, Type::kInt16, 3},
    {OpCode::kMaxPool2d, Type::kInt8, 2},
    {OpCode::kMaxPool2d, Type::kInt16, 3},
    {OpCode::kMean, Type::kInt8, 2},
    {OpCode::kMean, Type::kInt16, 3},
    {OpCode::kMirrorPad, Type::kInt8, 2},
    {OpCode::kMirrorPad, Type::kInt16, 3},
    {OpCode::kReduceMax, Type::kInt8, 2},
    {OpCode::kReduceMax, Type::kInt16, 3},
    {OpCode::kReduceMin, Type::kInt8, 2},
    {OpCode::kReduceMin, Type::kInt16, 3},
    {OpCode::kReduceProd, Type::kInt8, 2},
    {OpCode::kReduceProd, Type::kInt16, 2},
    {OpCode::kRelu, Type::kInt8, 2},
    {OpCode::kRelu, Type::kUint8, 2},
    {OpCode::kRelu, Type::kInt16, 3},
    {OpCode::kRelu6, Type::kInt8, 2},
    {OpCode::kRelu6, Type::kInt16, 3},
    {OpCode::kRsqrt, Type::kInt8, 2},
    {OpCode::kRsqrt, Type::kInt16, 3},
    {OpCode::kExp, Type::kInt8, 2},
    {OpCode::kExp, Type::kInt16, 2},
    {OpCode::kLog, Type::kInt8, 2},
    {OpCode::kLog, Type::kInt16, 2},
    {OpCode::kSqrt, Type::kInt8, 2},
    {OpCode::kSqrt, Type::kInt16, 2},
    {OpCode::kAbs, Type::kInt8, 2},
    {OpCode::kAbs, Type::kUint8, 2},
    {OpCode::kAbs, Type::kInt16, 4},
    {OpCode::kAbs, Type::kInt32, 5},
    {OpCode::kGelu, Type::kInt8, 2},
    {OpCode::kGelu, Type::kUint8, 2},
    {OpCode::kGelu, Type::kFloat16, 3},
    {OpCode::kSin, Type::kFloat16, 2},
    {OpCode::kCos, Type::kFloat16, 2},
    {OpCode::kSign, Type::kInt32, 2},
    {OpCode::kLeakyRelu, Type::kInt16, 2},
    {OpCode::kConcatenation, Type::kInt8, 2},
    {OpCode::kConcatenation, Type::kInt16, 3},
    {OpCode::kConcatenation, Type::kUint32, 4},
    {OpCode::kConcatenation, Type::kInt4, 5},
    {OpCode::kConcatenation, Type::kFloat16, 6},
    {OpCode::kPack, Type::kInt8, 2},
    {OpCode::kPack, Type::kInt16, 3},
    {OpCode::kPack, Type::kUint32, 4},
    {OpCode::kUnpack, Type::kInt8, 2},
    {OpCode::kUnpack, Type::kUint8, 2},
    {OpCode::kUnpack, Type::kBool, 3},
    {OpCode::kUnpack, Type::kInt16, 4},
    {OpCode::kUnpack, Type::kFloat16, 5},
    {OpCode::kUnpack, Type::kBfloat16, 5},
    {OpCode::kSplitV, Type::kInt8, 2},
    {OpCode::kWhere, Type::kFloat32, 2},
    {OpCode::kWhere, Type::kInt32, 2},
    {OpCode::kArgMax, Type::kInt8, 2},
    {OpCode::kArgMax, Type::kBool, 3},
    {OpCode::kArgMin, Type::kInt8, 2},
    {OpCode::kArgMin, Type::kBool, 3},
    {OpCode::kTopkV2, Type::kInt8, 2},
    {OpCode::kTopkV2, Type::kInt16, 3},
    {OpCode::kTile, Type::kString, 2},
    {OpCode::kTile, Type::kInt8, 3},
    {OpCode::kSqueeze, Type::kString, 2},
    {OpCode::kRange, Type::kInt64, 2},
    {OpCode::kReverseV2, Type::kBool, 2},
    {OpCode::kReverseV2, Type::kInt8, 3},
    {OpCode::kFloorDiv, Type::kFloat32, 2},
    {OpCode::kFloorDiv, Type::kInt8, 3},
    {OpCode::kFloorDiv, Type::kInt16, 3},
    {OpCode::kFloorMod, Type::kInt8, 2},
    {OpCode::kFloorMod, Type::kInt16, 2},
    {OpCode::kBroadcastTo, Type::kInt8, 3},
    {OpCode::kBroadcastTo, Type::kInt16, 3},
    {OpCode::kDequantize, Type::kInt8, 2},
    {OpCode::kDequantize, Type::kInt16, 3},
    {OpCode::kDequantize, Type::kFloat16, 3},
    {OpCode::kDequantize, Type::kInt4, 6},
};

int32_t ByType(const Facts& facts) {
  for (const TypeRow& row : kByType) {
    if (row.code == facts.op.code && row.type == facts.TypeOf(0)) {
      return row.version;
    }
  }
  return facts.op.code == OpCode::kBroadcastTo ? 2 : 1;
}

// Weights narrower than the float activations they meet.
bool IsHybrid(const Facts& facts, Type weights) {
  return facts.TypeOf(0) == Type::kFloat32 && weights != Type::kFloat32 &&
         weights != Type::kFloat16;
}

int32_t FullyConnected(const Facts& f) {
  const Type weights = f.TypeOf(1);
  if (weights == Type::kInt2) return 14;
  if (f.TypeOf(0) == Type::kInt16 && weights == Type::kInt4) return 13;
  if (f.TypeOf(0) == Type::kInt16 && weights == Type::kInt16) return 7;
  if (f.op.inputs.size() == 2) return 6;
  if (f.op.options.Bool("keep_num_dims")) return 5;
  if (f.TypeOf(0) == Type::kInt8) return weights == Type::kInt4 ? 10 : 4;
  if (IsHybrid(f, weights)) {
    return f.op.options.Bool("asymmetric_quantize_inputs") ? 9 : 3;
  }
  return 1;
}

int32_t Conv2d(const Facts& f) {
  const bool grouped = f.Has(0) && f.Has(1) && f.RankOf(0) == 4 &&
                       f.RankOf(1) == 4 &&
                       f.inputs[0]->shape[3] != f.inputs[1]->shape[3];
  if (f.TypeOf(0) == Type::kInt16) {
    return f.op.options.Int("quantized_bias_type") != 0 ? 8 : 4;
  }
  if (f.TypeOf(0) == Type::kInt8) return f.TypeOf(1) == Type::kInt4 ? 7 : 3;
  if (grouped) return 6;
  return IsHybrid(f, f.TypeOf(1)) ? 5 : 1;
}

int32_t DepthwiseConv2d(const Facts& f) {
  if (f.TypeOf(0) == Type::kInt16) return 5;
  if (f.TypeOf(0) == Type::kInt8) return f.TypeOf(1) == Type::kInt4 ? 7 : 3;
  if (IsHybrid(f, f.TypeOf(1))) return 6;
  const bool dilated = f.op.options.Int("dilation_w_factor", 1) != 1 ||
                       f.op.options.Int("dilation_h_factor", 1) != 1;
  return dilated ? 2 : 1;
}

int32_t TransposeConv(const Facts& f) {
  if (f.op.options.Int("quantized_bias_type") != 0) return 5;
  if (f.op.options.Int("fused_activation_function") != 0) return 4;
  if (f.Has(3)) return 3;
  return f.TypeOf(2) == Type::kInt8 ? 2 : 1;
}

int32_t Transpose(const Facts& f) {
  const size_t rank = f.RankOf(0);
  if (f.Is({Type::kFloat16})) return 9;
  if (rank > 6 || f.Is({Type::kBfloat16})) return 8;
  if (f.Is({Type::kInt4})) return 7;
  if (rank == 6) return 6;
  if (f.Is({Type::kInt16})) return 5;
  if (rank == 5) return 4;
  if (f.Is({Type::kBool})) return 3;
  return f.Is({Type::kInt8}) ? 2 : 1;
}

int32_t Slice(const Facts& f) {
  if (f.Is({Type::kFloat16})) return 8;
  if (f.Is({Type::kInt4})) return 7;
  if (f.Is({Type::kUint32})) return 6;
  if (f.RankOf(0) > 4) return 5;
  if (f.Is({Type::kInt16})) return 4;
  if (f.Is({Type::kString})) return 3;
  return f.Is({Type::kInt8}) ? 2 : 1;
}

int32_t StridedSlice(const Facts& f) {
  if (f.op.options.Bool("offset")) return 8;
  if (f.Is({Type::kUint32})) return 7;
  if (f.op.options.Int("ellipsis_mask") != 0 ||
      f.op.options.Int("new_axis_mask") != 0) {
    return 6;
  }
  if (f.Is({Type::kString})) return 5;
  if (f.RankOf(0) > 4) return 4;
  if (f.Is({Type::kBool})) return 3;
  return f.Is({Type::kInt8}) ? 2 : 1;
}

int32_t Pad(const Facts& f) {
  if (f.Is({Type::kBool})) return 5;
  if (f.RankOf(0) > 4) return 4;
  if (f.Is({Type::kInt16})) return 3;
  return f.Is({Type::kInt8}) ? 2 : 1;
}

int32_t Gather(const Facts& f) {
  if (f.Is({Type::kInt4})) return 7;
  if (f.TypeOf(1) == Type::kInt16) return 6;
  if (f.op.options.Int("batch_dims") != 0) return 5;
  if (f.Is({Type::kInt16})) return 4;
  if (f.Is({Type::kBool})) return 3;
  return f.Is({Type::kInt8}) ? 2 : 1;
}

int32_t GatherNd(const Facts& f) {
  if (f.Is({Type::kBool})) return 5;
  if (f.TypeOf(1) == Type::kInt16) return 4;
  if (f.Is({Type::kInt16})) return 3;
  return f.Is({Type::kString}) ? 2 : 1;
}

int32_t Cast(const Facts& f) {
  const auto either = [&](std::initializer_list<Type> types) {
    return f.Is(types) ||
           std::ranges::find(types, f.OutputType()) != types.end();
  };
  if (either({Type::kFloat8E4m3fn, Type::kFloat8E5m2})) return 9;
  if (either({Type::kInt2, Type::kUint4})) return 8;
  if (either({Type::kBfloat16})) return 7;
  if (either({Type::kInt4})) return 6;
  if (either({Type::kFloat16, Type::kFloat64})) return 5;
  if (either({Type::kUint16})) return 4;
  if (either({Type::kInt8})) return 3;
  return either({Type::kUint32}) ? 2 : 1;
}

int32_t DynamicUpdateSlice(const Facts& f) {
  if (f.Is({Type::kBfloat16})) return 6;
  if (f.Is({Type::kInt4})) return 5;
  if (f.Is({Type::kInt16})) return 4;
  if (f.Is({Type::kFloat16})) return 3;
  return f.TypeOf(2) == Type::kInt64 ? 2 : 1;
}

int32_t Arithmetic(const Facts& f) {
  const bool plain_int16 = f.Is({Type::kInt16});
  switch (f.op.code) {
    case OpCode::kAdd:
      if (f.Is({Type::kFloat16})) return 6;
      if (plain_int16) return 5;
      if (f.Is({Type::kInt64})) return 4;
      break;
    case OpCode::kSub:
      if (plain_int16) return 5;
      if (f.Is({Type::kInt64})) return 4;
      if (f.BroadcastsHigh()) return 3;
      break;
    case OpCode::kMul:
      if (f.Is({Type::kFloat16})) return 8;
      if (f.Is({Type::kInt16, Type::kUint32})) return 7;
      if (f.Is({Type::kComplex64})) return 6;
      if (f.Is({Type::kInt64})) return 5;
      break;
    case OpCode::kDiv:
      return f.BroadcastsHigh() ? 2 : 1;
    default:  // MAXIMUM, MINIMUM
      if (plain_int16) return 4;
      if (f.BroadcastsHigh()) return 3;
      break;
  }
  return f.Is({Type::kInt8}) ? 2 : 1;
}

int32_t Resize(const Facts& f) {
  if (f.Is({Type::kInt16})) return 4;
  const bool nearest = f.op.code == OpCode::kResizeNearestNeighbor;
  if (f.op.options.Bool("half_pixel_centers") ||
      (nearest && f.op.options.Bool("align_corners"))) {
    return 3;
  }
  return f.Is({Type::kInt8}) ? 2 : 1;
}

int32_t Blocks(const Facts& f) {
  if (f.Is({Type::kInt16})) return 4;
  if (f.RankOf(0) != 4) return 3;
  return f.Is({Type::kInt8}) ? 2 : 1;
}

}  // namespace

int32_t LowestVersion(const Op& op, std::span<const KnownTensor* const> inputs,
                      std::span<const KnownTensor* const> outputs) {
  const Facts f{op, inputs, outputs};
  switch (op.code) {
    case OpCode::kFullyConnected:
      return FullyConnected(f);
    case OpCode::kConv2d:
      return Conv2d(f);
    case OpCode::kDepthwiseConv2d:
      return DepthwiseConv2d(f);
    case OpCode::kTransposeConv:
      return TransposeConv(f);
    case OpCode::kTranspose:
      return Transpose(f);
    case OpCode::kSlice:
      return Slice(f);
    case OpCode::kStridedSlice:
      return StridedSlice(f);
    case OpCode::kPad:
    case OpCode::kPadv2:
      return Pad(f);
    case OpCode::kGather:
      return Gather(f);
    case OpCode::kGatherNd:
      return GatherNd(f);
    case OpCode::kCast:
      return Cast(f);
    case OpCode::kDynamicUpdateSlice:
      return DynamicUpdateSlice(f);
    case OpCode::kAdd:
    case OpCode::kSub:
    case OpCode::kMul:
    case OpCode::kDiv:
    case OpCode::kMaximum:
    case OpCode::kMinimum:
      return Arithmetic(f);
    case OpCode::kResizeBilinear:
    case OpCode::kResizeNearestNeighbor:
      return Resize(f);
    case OpCode::kSpaceToBatchNd:
    case OpCode::kBatchToSpaceNd:
      return Blocks(f);
    case OpCode::kSplit:
      if (f.TypeOf(1) == Type::kInt16) return 4;
      if (f.TypeOf(1) == Type::kInt32) return 3;
      return f.TypeOf(1) == Type::kInt8 ? 2 : 1;
    case OpCode::kSelect:
      if (f.TypeOf(1) == Type::kUint32) return 4;
      if (f.RankOf(1) == 5) return 3;
      return f.TypeOf(1) == Type::kInt8 ? 2 : 1;
    case OpCode::kSelectV2:
      return f.TypeOf(1) == Type::kUint32 ? 2 : 1;
    case OpCode::kFill:
      if (f.TypeOf(1) == Type::kFloat16) return 4;
      if (f.TypeOf(1) == Type::kInt8 || f.TypeOf(1) == Type::kInt16) return 3;
      return f.TypeOf(1) == Type::kBool || f.TypeOf(1) == Type::kString ? 2 : 1;
    case OpCode::kQuantize:
      if (f.OutputType() == Type::kInt4) return 4;
      return f.OutputType() == Type::kInt16 ? 2 : 1;
    case OpCode::kEmbeddingLookup:
      if (f.TypeOf(1) == Type::kInt2) return 5;
      return f.TypeOf(1) == Type::kInt4 ? 4 : 1;
    case OpCode::kFakeQuant:
      return op.options.Bool("narrow_range") ? 2 : 1;
    case OpCode::kSparseToDense:
      return f.TypeOf(0) == Type::kInt64 ? 2 : 1;
    default:
      return ByType(f);
  }
}

}  // namespace lathe::graph
