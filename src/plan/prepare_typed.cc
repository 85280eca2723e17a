// Element-wise operators of any number type.

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "src/kernels/elementwise/broadcast.h"
#include "src/kernels/elementwise/cast.h"
#include "src/kernels/elementwise/elementwise.h"
#include "src/kernels/elementwise/select.h"
#include "src/kernels/elementwise/typed.h"
#include "src/kernels/movement/narrow.h"
#include "src/kernels/strings/strings.h"
#include "src/plan/lowering.h"
#include "src/plan/operands.h"
#include "src/plan/prepare.h"

namespace lathe::plan {
namespace {

using graph::OpCode;
using graph::Type;
using kernels::Number;
using kernels::TypedBinary;
using kernels::TypedUnary;

std::optional<TypedBinary> BinaryOf(OpCode code) {
  switch (code) {
    case OpCode::kAdd:
      return TypedBinary::kAdd;
    case OpCode::kSub:
      return TypedBinary::kSub;
    case OpCode::kMul:
      return TypedBinary::kMul;
    case OpCode::kDiv:
      return TypedBinary::kDiv;
    case OpCode::kMaximum:
      return TypedBinary::kMaximum;
    case OpCode::kMinimum:
      return TypedBinary::kMinimum;
    case OpCode::kSquaredDifference:
      return TypedBinary::kSquaredDifference;
    case OpCode::kPow:
      return TypedBinary::kPow;
    case OpCode::kFloorDiv:
      return TypedBinary::kFloorDiv;
    case OpCode::kFloorMod:
      return TypedBinary::kFloorMod;
    case OpCode::kAtan2:
      return TypedBinary::kAtan2;
    case OpCode::kBitwiseXor:
      return TypedBinary::kXor;
    case OpCode::kRightShift:
      return TypedBinary::kRightShift;
    case OpCode::kEqual:
      return TypedBinary::kEqual;
    case OpCode::kNotEqual:
      return TypedBinary::kNotEqual;
    case OpCode::kLess:
      return TypedBinary::kLess;
    case OpCode::kLessEqual:
      return TypedBinary::kLessEqual;
    case OpCode::kGreater:
      return TypedBinary::kGreater;
    case OpCode::kGreaterEqual:
      return TypedBinary::kGreaterEqual;
    case OpCode::kLogicalAnd:
      return TypedBinary::kAnd;
    case OpCode::kLogicalOr:
      return TypedBinary::kOr;
    default:
      return std::nullopt;
  }
}

// An output's position as indices: "[1,0,3]".
std::string IndexText(const graph::Shape& shape, size_t position) {
  graph::Shape index(shape.size());
  for (size_t i = shape.size(); i-- > 0;) {
    const auto dim = static_cast<size_t>(shape[i]);
    index[i] = static_cast<int32_t>(position % dim);
    position /= dim;
  }
  return graph::ToString(index);
}

Status PrepareTypedBinary(Lowering& lowering, const Node& node) {
  const int32_t a = node.inputs[0], b = node.inputs[1], y = node.outputs[0];
  const Type type = lowering.TypeOf(a);
  const std::optional<TypedBinary> kind = BinaryOf(node.op->code);
  const std::optional<Number> number = NumberOf(type);
  if (!kind || !number || !kernels::HasTypedBinary(*kind, *number)) {
    return Unsupported("no kernel for {}", Name(type));
  }
  const bool compares = *kind >= TypedBinary::kEqual;
  LATHE_TRY(NeedSameType(lowering, a, b));
  LATHE_TRY(NeedType(lowering, y, compares ? Type::kBool : type));
  kernels::Activation activation = kernels::Activation::kNone;
  if (!compares) {
    LATHE_ASSIGN(activation, ActivationOf(node.op->options));
    if (activation != kernels::Activation::kNone && type == Type::kComplex64) {
      return Invalid("a fused activation has no meaning for {}", Name(type));
    }
  }
  const kernels::BroadcastLoops loops = kernels::PlanBroadcast(
      lowering.ShapeOf(a), lowering.ShapeOf(b), lowering.ShapeOf(y));
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {a, b};
  step.outputs = {y};
  if (!compares || type == Type::kBool) {
    if (lowering.Elements(a) == lowering.Elements(y)) {
      step.may_overwrite = a;
    } else if (lowering.Elements(b) == lowering.Elements(y)) {
      step.may_overwrite = b;
    }
  }
  step.run =
      [=, shape = lowering.ShapeOf(y)](const StepContext& context) -> Status {
    const std::optional<size_t> bad = kernels::RunTypedBinary(
        *kind, *number, loops, context.tensors[a], context.tensors[b],
        context.tensors[y], activation, *context.pool);
    if (!bad) return {};
    return Invalid("at {} the second input is {}", IndexText(shape, *bad),
                   *kind == TypedBinary::kPow
                       ? "a negative power; integers allow 0 and above"
                       : "a divisor of 0; integers allow any other");
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareStringEqual(Lowering& lowering, const Node& node) {
  const int32_t a = node.inputs[0], b = node.inputs[1], y = node.outputs[0];
  LATHE_TRY(NeedType(lowering, b, Type::kString));
  LATHE_TRY(NeedType(lowering, y, Type::kBool));
  const bool equal = node.op->code == OpCode::kEqual;
  const kernels::BroadcastLoops loops = kernels::PlanBroadcast(
      lowering.ShapeOf(a), lowering.ShapeOf(b), lowering.ShapeOf(y));
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {a, b};
  step.outputs = {y};
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunStringEqual(kernels::StringsView(context.tensors[a]),
                            kernels::StringsView(context.tensors[b]), loops,
                            equal, context.As<uint8_t>(y));
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareTypedUnary(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, x, y));
  TypedUnary kind = TypedUnary::kAbs;
  if (node.op->code == OpCode::kNeg) kind = TypedUnary::kNeg;
  if (node.op->code == OpCode::kSign) kind = TypedUnary::kSign;
  if (node.op->code == OpCode::kSquare) kind = TypedUnary::kSquare;
  const Number number = *NumberOf(lowering.TypeOf(x));
  const size_t n = lowering.Elements(x);
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {x};
  step.outputs = {y};
  step.may_overwrite = x;
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunTypedUnary(kind, number, n, context.tensors[x],
                           context.tensors[y], *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareNot(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, x, y));
  const size_t n = lowering.Elements(x);
  Step step;
  step.name = "LOGICAL_NOT";
  step.inputs = {x};
  step.outputs = {y};
  step.may_overwrite = x;
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunNot(n, context.As<uint8_t>(x), context.As<uint8_t>(y));
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareSelect(Lowering& lowering, const Node& node) {
  const int32_t c = node.inputs[0], a = node.inputs[1], b = node.inputs[2];
  const int32_t y = node.outputs[0];
  LATHE_TRY(NeedType(lowering, c, Type::kBool));
  LATHE_TRY(NeedSameType(lowering, a, b));
  LATHE_TRY(NeedSameType(lowering, a, y));
  graph::Shape condition = lowering.ShapeOf(c);
  const graph::Shape& out = lowering.ShapeOf(y);
  if (node.op->code == OpCode::kSelect && condition != out) {
    if (lowering.Elements(c) == 1) {
      condition.clear();
    } else {
      condition.resize(out.size(), 1);  // It chooses along the first axis.
    }
  }
  const kernels::SelectLoops loops = kernels::PlanSelect(
      condition, lowering.ShapeOf(a), lowering.ShapeOf(b), out);
  const size_t bytes = graph::BitsPerElement(lowering.TypeOf(y)) / 8;
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {c, a, b};
  step.outputs = {y};
  if (lowering.Elements(a) == lowering.Elements(y)) {
    step.may_overwrite = a;
  } else if (lowering.Elements(b) == lowering.Elements(y)) {
    step.may_overwrite = b;
  }
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunSelect(loops, bytes, context.As<uint8_t>(c), context.tensors[a],
                       context.tensors[b], context.tensors[y], *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// From types of less than a byte through bytes.
Status PrepareCast(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const Type from_type = lowering.TypeOf(x), to_type = lowering.TypeOf(y);
  const bool narrow = graph::BitsPerElement(from_type) < 8;
  const std::optional<Number> from =
      !narrow                     ? NumberOf(from_type)
      : from_type == Type::kUint4 ? std::optional(Number::kUint8)
      : from_type == Type::kInt4 || from_type == Type::kInt2
          ? std::optional(Number::kInt8)
          : std::nullopt;
  const std::optional<Number> to = NumberOf(to_type);
  if (!from || !to) {
    return Unsupported("no kernel from {} to {}", Name(from_type),
                       Name(to_type));
  }
  const size_t n = lowering.Elements(x);
  const kernels::Narrow packing{graph::BitsPerElement(from_type),
                                from_type != Type::kUint4};
  const kernels::ElementwiseKernels& kernels =
      kernels::ChooseElementwise(lowering.options().isa);
  Step step;
  step.name = "CAST";
  step.kernel = from == Number::kFloat16 && to == Number::kFloat32
                    ? kernels.name
                    : std::string();
  step.inputs = {x};
  step.outputs = {y};
  if (narrow) step.scratch_bytes = n;
  step.run = [=, &kernels](const StepContext& context) -> Status {
    const std::byte* source = context.tensors[x];
    if (narrow) {
      kernels::Unpack(packing, n, source, context.scratch);
      source = context.scratch;
    }
    kernels::RunCast(kernels, *from, *to, n, source, context.tensors[y],
                     *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// The same bytes under another type.
Status PrepareBitcast(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const size_t from = graph::ByteCount(lowering.TypeOf(x), lowering.ShapeOf(x));
  const size_t to = graph::ByteCount(lowering.TypeOf(y), lowering.ShapeOf(y));
  if (from != to) {
    return Invalid("{}{} has {} bytes, {}{} has {}", Name(lowering.TypeOf(x)),
                   graph::ToString(lowering.ShapeOf(x)), from,
                   Name(lowering.TypeOf(y)),
                   graph::ToString(lowering.ShapeOf(y)), to);
  }
  // A copy, as the input may be aligned for its own type only.
  Step step;
  step.name = "BITCAST";
  step.inputs = {x};
  step.outputs = {y};
  step.may_overwrite = x;
  step.run = [=](const StepContext& context) -> Status {
    if (context.tensors[x] != context.tensors[y]) {
      std::copy_n(context.tensors[x], from, context.tensors[y]);
    }
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareBucketize(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedType(lowering, y, Type::kInt32));
  std::vector<float> bounds;
  if (const auto* stored = node.op->options.Find("boundaries")) {
    if (const auto* values = std::get_if<std::vector<double>>(stored)) {
      bounds.assign(values->begin(), values->end());
    }
  }
  if (!std::ranges::is_sorted(bounds)) {
    return Invalid("its {} boundaries do not ascend", bounds.size());
  }
  const Number number = *NumberOf(lowering.TypeOf(x));
  const size_t n = lowering.Elements(x);
  Step step;
  step.name = "BUCKETIZE";
  step.inputs = {x};
  step.outputs = {y};
  step.run = [=, bounds =
                     std::move(bounds)](const StepContext& context) -> Status {
    kernels::RunBucketize(number, bounds, n, context.tensors[x],
                          context.As<int32_t>(y), *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

constexpr TypeMask kComplex64 = Types({Type::kComplex64});
constexpr TypeMask kString = Types({Type::kString});
constexpr TypeMask kPlain = kIntegers | kFloat64;

#define LATHE_PLAIN(code, types) \
  {OpCode::code, PrepareTypedBinary, types, 0, NotQuantized, kNotQuantized}
#define LATHE_UNARY(code) \
  {OpCode::code, PrepareTypedUnary, kPlain, -1, NotQuantized, kNotQuantized}

constexpr OpRow kRows[] = {
    LATHE_PLAIN(kAdd, kPlain | kComplex64),
    LATHE_PLAIN(kSub, kPlain | kComplex64),
    LATHE_PLAIN(kMul, kPlain | kComplex64),
    LATHE_PLAIN(kDiv, kPlain | kComplex64),
    LATHE_PLAIN(kMaximum, kPlain),
    LATHE_PLAIN(kMinimum, kPlain),
    LATHE_PLAIN(kSquaredDifference, kPlain),
    LATHE_PLAIN(kPow, kCounting),
    LATHE_PLAIN(kFloorDiv, kCounting),
    LATHE_PLAIN(kFloorMod, kCounting),
    LATHE_PLAIN(kAtan2, kFloat32 | kFloat64),
    {OpCode::kBitwiseXor, PrepareTypedBinary, kIntegers, 0},
    {OpCode::kRightShift, PrepareTypedBinary, kIntegers, 0},
    LATHE_PLAIN(kEqual, kCounting | kBool | kComplex64),
    LATHE_PLAIN(kNotEqual, kCounting | kBool | kComplex64),
    {OpCode::kEqual, PrepareStringEqual, kString, 0},
    {OpCode::kNotEqual, PrepareStringEqual, kString, 0},
    LATHE_PLAIN(kLess, kCounting),
    LATHE_PLAIN(kLessEqual, kCounting),
    LATHE_PLAIN(kGreater, kCounting),
    LATHE_PLAIN(kGreaterEqual, kCounting),
    {OpCode::kLogicalAnd, PrepareTypedBinary, kBool, 0},
    {OpCode::kLogicalOr, PrepareTypedBinary, kBool, 0},
    {OpCode::kLogicalNot, PrepareNot, kBool},
    LATHE_UNARY(kAbs),
    LATHE_UNARY(kNeg),
    LATHE_UNARY(kSign),
    LATHE_UNARY(kSquare),
    {OpCode::kSelect, PrepareSelect, kMovable},
    {OpCode::kSelectV2, PrepareSelect, kMovable},
    {OpCode::kCast, PrepareCast, kMovable},
    {OpCode::kBitcast, PrepareBitcast, kMovable},
    {OpCode::kBucketize, PrepareBucketize, kCounting, 0},
};

#undef LATHE_PLAIN
#undef LATHE_UNARY

}  // namespace

std::span<const OpRow> TypedRows() { return kRows; }

}  // namespace lathe::plan
