// Shape rules of operators that work element by element.

#include "src/graph/shape_rule.h"

namespace lathe::graph {
namespace {

Status SameAsInput(RuleCall& call) {
  return call.Give(0, call.In(0).type, call.ShapeOf(0));
}

Status Binary(RuleCall& call, Type type) {
  if (call.In(0).type != call.In(1).type) {
    return Invalid("inputs are {} and {}; they must be of one type",
                   Name(call.In(0).type), Name(call.In(1).type));
  }
  LATHE_ASSIGN(const Shape shape, Broadcast(call.ShapeOf(0), call.ShapeOf(1)));
  return call.Give(0, type, shape);
}

Status Arithmetic(RuleCall& call) { return Binary(call, call.In(0).type); }
Status Comparison(RuleCall& call) { return Binary(call, Type::kBool); }

Status Logical(RuleCall& call) {
  LATHE_TRY(call.RequireType(0, {Type::kBool}));
  return Binary(call, Type::kBool);
}

Status LogicalNot(RuleCall& call) {
  LATHE_TRY(call.RequireType(0, {Type::kBool}));
  return SameAsInput(call);
}

// alpha broadcasts to x, never the other way round.
Status Prelu(RuleCall& call) {
  LATHE_TRY(Arithmetic(call));
  if (call.outputs[0].shape != call.ShapeOf(0)) {
    return Invalid("alpha of shape {} does not broadcast to {}",
                   ToString(call.ShapeOf(1)), ToString(call.ShapeOf(0)));
  }
  return {};
}

Status AddN(RuleCall& call) {
  for (size_t i = 1; i < call.inputs.size(); ++i) {
    if (!call.Has(i)) return Invalid("input {} is left out", i);
    if (call.ShapeOf(i) != call.ShapeOf(0)) {
      return Invalid("input {} has shape {}; input 0 has {}", i,
                     ToString(call.ShapeOf(i)), ToString(call.ShapeOf(0)));
    }
  }
  return SameAsInput(call);
}

Status CheckSelect(RuleCall& call) {
  LATHE_TRY(call.RequireType(0, {Type::kBool}));
  if (call.In(1).type != call.In(2).type) {
    return Invalid("inputs 1 and 2 are {} and {}; they must be of one type",
                   Name(call.In(1).type), Name(call.In(2).type));
  }
  return {};
}

// The condition is of the full shape, a scalar, or along the first axis.
Status Select(RuleCall& call) {
  LATHE_TRY(CheckSelect(call));
  const Shape& condition = call.ShapeOf(0);
  const Shape& a = call.ShapeOf(1);
  const bool fits =
      condition == a || ElementCount(condition) == 1 ||
      (condition.size() == 1 && !a.empty() && condition[0] == a[0]);
  if (!fits || a != call.ShapeOf(2)) {
    return Invalid("shapes {}, {} and {} do not fit", ToString(condition),
                   ToString(a), ToString(call.ShapeOf(2)));
  }
  return call.Give(0, call.In(1).type, a);
}

Status SelectV2(RuleCall& call) {
  LATHE_TRY(CheckSelect(call));
  LATHE_ASSIGN(const Shape ab, Broadcast(call.ShapeOf(1), call.ShapeOf(2)));
  LATHE_ASSIGN(const Shape shape, Broadcast(call.ShapeOf(0), ab));
  return call.Give(0, call.In(1).type, shape);
}

Status Cast(RuleCall& call) {
  const Type type =
      call.op.options.table.empty()
          ? call.In(0).type
          : static_cast<Type>(call.op.options.Int("out_data_type"));
  return call.Give(0, type, call.ShapeOf(0));
}

// The target type stands only in the stored tensor; int8 is the usual one.
Status Quantize(RuleCall& call) {
  return call.Give(0, Type::kInt8, call.ShapeOf(0));
}

Status ToFloat(RuleCall& call) {
  return call.Give(0, Type::kFloat32, call.ShapeOf(0));
}

Status ComplexPart(RuleCall& call) {
  LATHE_TRY(call.RequireType(0, {Type::kComplex64, Type::kComplex128}));
  const bool wide = call.In(0).type == Type::kComplex128;
  return call.Give(0, wide ? Type::kFloat64 : Type::kFloat32, call.ShapeOf(0));
}

// The last axis takes up or yields the ratio of the types' sizes.
Status Bitcast(RuleCall& call) {
  if (call.more.stored_types.empty()) {
    return Unsupported("its type is only known inside a subgraph");
  }
  const Type from = call.In(0).type, to = call.more.stored_types[0];
  const size_t from_bits = BitsPerElement(from), to_bits = BitsPerElement(to);
  Shape out = call.ShapeOf(0);
  if (from_bits < 8 || to_bits < 8) {
    return Invalid("no bits of {} are those of {}", Name(from), Name(to));
  }
  if (from_bits > to_bits) {
    out.push_back(static_cast<int32_t>(from_bits / to_bits));
    if (out.size() > kMaxRank) return Invalid("more than {} dims", kMaxRank);
  } else if (from_bits < to_bits) {
    if (out.empty() || static_cast<size_t>(out.back()) != to_bits / from_bits) {
      return Invalid("input of shape {}; {} to {} needs a last dim of {}",
                     ToString(out), Name(from), Name(to), to_bits / from_bits);
    }
    out.pop_back();
  }
  return call.Give(0, to, out);
}

Status Bucketize(RuleCall& call) {
  return call.Give(0, Type::kInt32, call.ShapeOf(0));
}

constexpr RuleRow kRules[] = {
    {OpCode::kAbs, 1, 1, 1, SameAsInput},
    {OpCode::kNeg, 1, 1, 1, SameAsInput},
    {OpCode::kSqrt, 1, 1, 1, SameAsInput},
    {OpCode::kRsqrt, 1, 1, 1, SameAsInput},
    {OpCode::kSquare, 1, 1, 1, SameAsInput},
    {OpCode::kExp, 1, 1, 1, SameAsInput},
    {OpCode::kLog, 1, 1, 1, SameAsInput},
    {OpCode::kSin, 1, 1, 1, SameAsInput},
    {OpCode::kCos, 1, 1, 1, SameAsInput},
    {OpCode::kFloor, 1, 1, 1, SameAsInput},
    {OpCode::kCeil, 1, 1, 1, SameAsInput},
    {OpCode::kRound, 1, 1, 1, SameAsInput},
    {OpCode::kSign, 1, 1, 1, SameAsInput},
    {OpCode::kLogistic, 1, 1, 1, SameAsInput},
    {OpCode::kTanh, 1, 1, 1, SameAsInput},
    {OpCode::kRelu, 1, 1, 1, SameAsInput},
    {OpCode::kRelu6, 1, 1, 1, SameAsInput},
    {OpCode::kReluN1To1, 1, 1, 1, SameAsInput},
    {OpCode::kRelu0To1, 1, 1, 1, SameAsInput},
    {OpCode::kElu, 1, 1, 1, SameAsInput},
    {OpCode::kHardSwish, 1, 1, 1, SameAsInput},
    {OpCode::kLeakyRelu, 1, 1, 1, SameAsInput},
    {OpCode::kGelu, 1, 1, 1, SameAsInput},
    {OpCode::kZerosLike, 1, 1, 1, SameAsInput},
    {OpCode::kFakeQuant, 1, 1, 1, SameAsInput},
    {OpCode::kDensify, 1, 1, 1, SameAsInput},
    {OpCode::kLogicalNot, 1, 1, 1, LogicalNot},
    {OpCode::kAdd, 2, 2, 1, Arithmetic},
    {OpCode::kSub, 2, 2, 1, Arithmetic},
    {OpCode::kMul, 2, 2, 1, Arithmetic},
    {OpCode::kDiv, 2, 2, 1, Arithmetic},
    {OpCode::kMaximum, 2, 2, 1, Arithmetic},
    {OpCode::kMinimum, 2, 2, 1, Arithmetic},
    {OpCode::kPow, 2, 2, 1, Arithmetic},
    {OpCode::kSquaredDifference, 2, 2, 1, Arithmetic},
    {OpCode::kFloorDiv, 2, 2, 1, Arithmetic},
    {OpCode::kFloorMod, 2, 2, 1, Arithmetic},
    {OpCode::kAtan2, 2, 2, 1, Arithmetic},
    {OpCode::kBitwiseXor, 2, 2, 1, Arithmetic},
    {OpCode::kRightShift, 2, 2, 1, Arithmetic},
    {OpCode::kStablehloAdd, 2, 2, 1, Arithmetic},
    {OpCode::kStablehloMultiply, 2, 2, 1, Arithmetic},
    {OpCode::kStablehloMaximum, 2, 2, 1, Arithmetic},
    {OpCode::kStablehloMinimum, 2, 2, 1, Arithmetic},
    {OpCode::kStablehloAnd, 2, 2, 1, Arithmetic},
    {OpCode::kStablehloShiftLeft, 2, 2, 1, Arithmetic},
    {OpCode::kEqual, 2, 2, 1, Comparison},
    {OpCode::kNotEqual, 2, 2, 1, Comparison},
    {OpCode::kLess, 2, 2, 1, Comparison},
    {OpCode::kLessEqual, 2, 2, 1, Comparison},
    {OpCode::kGreater, 2, 2, 1, Comparison},
    {OpCode::kGreaterEqual, 2, 2, 1, Comparison},
    {OpCode::kLogicalAnd, 2, 2, 1, Logical},
    {OpCode::kLogicalOr, 2, 2, 1, Logical},
    {OpCode::kPrelu, 2, 2, 1, Prelu},
    {OpCode::kAddN, 1, kAnyNumber, 1, AddN},
    {OpCode::kSelect, 3, 3, 1, Select},
    {OpCode::kSelectV2, 3, 3, 1, SelectV2},
    {OpCode::kCast, 1, 1, 1, Cast},
    {OpCode::kQuantize, 1, 1, 1, Quantize},
    {OpCode::kDequantize, 1, 1, 1, ToFloat},
    {OpCode::kComplexAbs, 1, 1, 1, ComplexPart},
    {OpCode::kReal, 1, 1, 1, ComplexPart},
    {OpCode::kImag, 1, 1, 1, ComplexPart},
    {OpCode::kBitcast, 1, 1, 1, Bitcast},
    {OpCode::kBucketize, 1, 1, 1, Bucketize},
};

}  // namespace

std::span<const RuleRow> ElementwiseRules() { return kRules; }

}  // namespace lathe::graph
