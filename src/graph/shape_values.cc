// Follows the values of small integer tensors, from which sizes are computed.

#include <algorithm>
#include <functional>

#include "src/graph/shape_rule.h"

namespace lathe::graph {
namespace {

using Values = std::vector<int64_t>;
using Maybe = std::optional<Values>;

// Reads `source` at an offset with one stride per output dim.
struct View {
  int64_t offset = 0;
  std::vector<int64_t> strides;
};

std::vector<int64_t> StridesOf(std::span<const int32_t> shape) {
  // Nothing is read from an empty tensor, and its other dims may be so large
  // that their product does not fit.
  if (ElementCount(shape) == 0) return std::vector<int64_t>(shape.size(), 0);
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) {
    strides[i - 1] = strides[i] * shape[i];
  }
  return strides;
}

Values Read(const Values& source, const View& view, const Shape& shape) {
  Values out(ElementCount(shape));
  std::vector<int32_t> at(shape.size(), 0);
  int64_t from = view.offset;
  for (int64_t& value : out) {
    value = source[static_cast<size_t>(from)];
    for (size_t d = shape.size(); d-- > 0;) {
      from += view.strides[d];
      if (++at[d] < shape[d]) break;
      from -= view.strides[d] * shape[d];
      at[d] = 0;
    }
  }
  return out;
}

// `source` of shape `from`, repeated to shape `to`.
Values Spread(const Values& source, const Shape& from, const Shape& to) {
  View view{0, std::vector<int64_t>(to.size(), 0)};
  const std::vector<int64_t> strides = StridesOf(from);
  for (size_t i = 0; i < from.size(); ++i) {
    const size_t d = to.size() - from.size() + i;
    view.strides[d] = from[i] == 1 ? 0 : strides[i];
  }
  return Read(source, view, to);
}

Values Spread(const RuleCall& call, size_t input) {
  return Spread(*call.In(input).values, call.ShapeOf(input),
                call.outputs[0].shape);
}

// Arithmetic wraps as the kernels' does.
int64_t Wrap(uint64_t bits) { return static_cast<int64_t>(bits); }

// Null when a value has none, such as a quotient by zero.
std::optional<int64_t> Combine(OpCode code, int64_t a, int64_t b) {
  const auto ua = static_cast<uint64_t>(a), ub = static_cast<uint64_t>(b);
  // -2^63 / -1 does not fit either.
  const bool divides = b != 0 && !(b == -1 && a == INT64_MIN);
  switch (code) {
    case OpCode::kAdd:
      return Wrap(ua + ub);
    case OpCode::kSub:
      return Wrap(ua - ub);
    case OpCode::kMul:
      return Wrap(ua * ub);
    case OpCode::kDiv:
      return divides ? std::optional(a / b) : std::nullopt;
    case OpCode::kFloorDiv:
      if (!divides) return std::nullopt;
      return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
    case OpCode::kFloorMod:
      if (!divides) return std::nullopt;
      return a % b + ((a % b != 0 && (a < 0) != (b < 0)) ? b : 0);
    case OpCode::kMaximum:
      return std::max(a, b);
    case OpCode::kMinimum:
      return std::min(a, b);
    case OpCode::kEqual:
      return a == b;
    case OpCode::kNotEqual:
      return a != b;
    case OpCode::kLess:
      return a < b;
    case OpCode::kLessEqual:
      return a <= b;
    case OpCode::kGreater:
      return a > b;
    case OpCode::kGreaterEqual:
      return a >= b;
    case OpCode::kLogicalAnd:
      return (a != 0) && (b != 0);
    case OpCode::kLogicalOr:
      return (a != 0) || (b != 0);
    default:
      return std::nullopt;
  }
}

Maybe Binary(const RuleCall& call) {
  if (call.op.options.Int("fused_activation_function") != 0) return {};
  Values a = Spread(call, 0);
  const Values b = Spread(call, 1);
  for (size_t i = 0; i < a.size(); ++i) {
    const auto value = Combine(call.op.code, a[i], b[i]);
    if (!value) return {};
    a[i] = *value;
  }
  return a;
}

Values Unary(const RuleCall& call) {
  Values out = *call.In(0).values;
  for (int64_t& value : out) {
    switch (call.op.code) {
      case OpCode::kNeg:
        value = Wrap(0 - static_cast<uint64_t>(value));
        break;
      case OpCode::kAbs:
        if (value < 0) value = Wrap(0 - static_cast<uint64_t>(value));
        break;
      case OpCode::kLogicalNot:
        value = value == 0;
        break;
      case OpCode::kZerosLike:
        value = 0;
        break;
      default:
        break;
    }
  }
  return out;
}

Maybe SelectValues(const RuleCall& call) {
  // The old form lets a condition of one axis choose along the first.
  if (call.op.code == OpCode::kSelect && ElementCount(call.ShapeOf(0)) != 1 &&
      call.ShapeOf(0) != call.ShapeOf(1)) {
    return {};
  }
  if (call.ShapeOf(0).size() > call.outputs[0].shape.size()) return {};
  const Values condition = Spread(call, 0);
  Values out = Spread(call, 1);
  const Values otherwise = Spread(call, 2);
  for (size_t i = 0; i < out.size(); ++i) {
    if (condition[i] == 0) out[i] = otherwise[i];
  }
  return out;
}

// Inputs one behind the other along `axis`; PACK's inputs are one thick.
Values Join(const RuleCall& call, size_t axis, bool packed) {
  const Shape& shape = call.outputs[0].shape;
  const uint64_t outer = ElementCount(std::span(shape).first(axis));
  const uint64_t inner = ElementCount(std::span(shape).subspan(axis + 1));
  Values out;
  for (uint64_t o = 0; o < outer; ++o) {
    for (size_t i = 0; i < call.inputs.size(); ++i) {
      const uint64_t chunk =
          inner * (packed ? 1 : static_cast<uint64_t>(call.ShapeOf(i)[axis]));
      const auto from =
          call.In(i).values->begin() + static_cast<std::ptrdiff_t>(o * chunk);
      out.insert(out.end(), from, from + static_cast<std::ptrdiff_t>(chunk));
    }
  }
  return out;
}

size_t Normal(int64_t axis, size_t rank) {
  return NormalAxis(axis, rank).value_or(0);
}

// UNPACK, SPLIT and SPLIT_V: each output is a view of one input.
void Part(RuleCall& call, size_t input, size_t axis) {
  const std::vector<int64_t> strides = StridesOf(call.ShapeOf(input));
  int64_t start = 0;
  for (KnownTensor& output : call.outputs) {
    View view{start * strides[axis], strides};
    int64_t taken = 1;
    if (call.op.code == OpCode::kUnpack) {
      view.strides.erase(view.strides.begin() +
                         static_cast<std::ptrdiff_t>(axis));
    } else {
      taken = output.shape[axis];
    }
    output.values = Read(*call.In(input).values, view, output.shape);
    start += taken;
  }
}

Values SliceValues(const RuleCall& call) {
  View view{0, StridesOf(call.ShapeOf(0))};
  for (size_t i = 0; i < view.strides.size(); ++i) {
    view.offset += (*call.In(1).values)[i] * view.strides[i];
  }
  return Read(*call.In(0).values, view, call.outputs[0].shape);
}

Maybe StridedSliceValues(const RuleCall& call) {
  const auto axes =
      StridedSliceAxes(call.op.options, call.ShapeOf(0), *call.In(1).values,
                       *call.In(2).values, *call.In(3).values);
  if (!axes) return {};
  const std::vector<int64_t> strides = StridesOf(call.ShapeOf(0));
  View view;
  size_t d = 0;
  for (const SliceAxis& axis : *axes) {
    const bool taken = axis.kind == SliceAxis::Kind::kTake;
    if (taken) view.offset += axis.begin * strides[d];
    if (!axis.shrink) {
      view.strides.push_back(taken ? axis.stride * strides[d] : 0);
    }
    d += taken;
  }
  return Read(*call.In(0).values, view, call.outputs[0].shape);
}

Maybe GatherValues(const RuleCall& call) {
  if (call.op.options.Int("batch_dims") != 0) return {};
  const Shape& x = call.ShapeOf(0);
  const size_t axis = Normal(call.op.options.Int("axis"), x.size());
  const uint64_t outer = ElementCount(std::span(x).first(axis));
  const uint64_t inner = ElementCount(std::span(x).subspan(axis + 1));
  Values out;
  for (uint64_t o = 0; o < outer; ++o) {
    for (const int64_t index : *call.In(1).values) {
      if (index < 0 || index >= x[axis]) return {};
      const uint64_t from =
          (o * static_cast<uint64_t>(x[axis]) + static_cast<uint64_t>(index)) *
          inner;
      for (uint64_t i = 0; i < inner; ++i) {
        out.push_back((*call.In(0).values)[from + i]);
      }
    }
  }
  return out;
}

// Over all axes only, as sizes are counted.
Maybe ReduceValues(const RuleCall& call) {
  const Values& x = *call.In(0).values;
  if (ElementCount(call.outputs[0].shape) != 1 || x.empty()) return {};
  int64_t out = x[0];
  for (size_t i = 1; i < x.size(); ++i) {
    switch (call.op.code) {
      case OpCode::kReduceProd:
        out = *Combine(OpCode::kMul, out, x[i]);
        break;
      case OpCode::kSum:
        out = *Combine(OpCode::kAdd, out, x[i]);
        break;
      case OpCode::kReduceMax:
      case OpCode::kReduceAny:
        out = std::max(out, x[i]);
        break;
      default:
        out = std::min(out, x[i]);
        break;
    }
  }
  return Values{out};
}

Values RangeValues(const RuleCall& call) {
  Values out(ElementCount(call.outputs[0].shape));
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = Wrap(static_cast<uint64_t>((*call.In(0).values)[0]) +
                  i * static_cast<uint64_t>((*call.In(2).values)[0]));
  }
  return out;
}

// The broadcast of two shapes that are values themselves.
Maybe BroadcastArgsValues(const RuleCall& call) {
  Shape shapes[2];
  for (size_t i = 0; i < 2; ++i) {
    for (const int64_t dim : *call.In(i).values) {
      if (dim < 0 || dim > INT32_MAX) return {};
      shapes[i].push_back(static_cast<int32_t>(dim));
    }
  }
  const auto joined = Broadcast(shapes[0], shapes[1]);
  if (!joined) return {};
  return Values(joined->begin(), joined->end());
}

bool AllKnown(const RuleCall& call) {
  return std::ranges::all_of(call.inputs, [](const KnownTensor* input) {
    return input == nullptr || input->values.has_value();
  });
}

Maybe FirstOutput(RuleCall& call) {
  const Shape& out = call.outputs[0].shape;
  switch (call.op.code) {
    case OpCode::kShape:
      return Values(call.ShapeOf(0).begin(), call.ShapeOf(0).end());
    case OpCode::kRank:
      return Values{static_cast<int64_t>(call.ShapeOf(0).size())};
    case OpCode::kReshape:
    case OpCode::kExpandDims:
    case OpCode::kSqueeze:
      return call.In(0).values;
    default:
      break;
  }
  if (!AllKnown(call)) return {};
  switch (call.op.code) {
    case OpCode::kCast:
    case OpCode::kNeg:
    case OpCode::kAbs:
    case OpCode::kLogicalNot:
    case OpCode::kZerosLike:
      return Unary(call);
    case OpCode::kAdd:
    case OpCode::kSub:
    case OpCode::kMul:
    case OpCode::kDiv:
    case OpCode::kFloorDiv:
    case OpCode::kFloorMod:
    case OpCode::kMaximum:
    case OpCode::kMinimum:
    case OpCode::kEqual:
    case OpCode::kNotEqual:
    case OpCode::kLess:
    case OpCode::kLessEqual:
    case OpCode::kGreater:
    case OpCode::kGreaterEqual:
    case OpCode::kLogicalAnd:
    case OpCode::kLogicalOr:
      return Binary(call);
    case OpCode::kSelect:
    case OpCode::kSelectV2:
      return SelectValues(call);
    case OpCode::kPack:
      return Join(call, Normal(call.op.options.Int("axis"), out.size()), true);
    case OpCode::kConcatenation:
      return Join(call, Normal(call.op.options.Int("axis"), out.size()), false);
    case OpCode::kSlice:
      return SliceValues(call);
    case OpCode::kStridedSlice:
      return StridedSliceValues(call);
    case OpCode::kGather:
      return GatherValues(call);
    case OpCode::kReduceProd:
    case OpCode::kReduceMax:
    case OpCode::kReduceMin:
    case OpCode::kReduceAny:
    case OpCode::kReduceAll:
    case OpCode::kSum:
      return ReduceValues(call);
    case OpCode::kRange:
      return RangeValues(call);
    case OpCode::kFill:
      return Values(ElementCount(out), call.In(1).values->at(0));
    case OpCode::kBroadcastTo:
      return Spread(call, 0);
    case OpCode::kBroadcastArgs:
      return BroadcastArgsValues(call);
    default:
      return {};
  }
}

}  // namespace

void FitValues(KnownTensor& tensor) {
  if (!tensor.values) return;
  if (!IsFollowed(tensor.type) ||
      tensor.values->size() != ElementCount(tensor.shape) ||
      tensor.values->size() > kMostFollowedValues) {
    tensor.values.reset();
    return;
  }
  for (int64_t& value : *tensor.values) {
    if (tensor.type == Type::kBool) value = value != 0;
    if (tensor.type == Type::kInt32) value = static_cast<int32_t>(value);
  }
}

void FollowValues(RuleCall& call) {
  if (call.outputs.empty()) return;
  for (const KnownTensor& output : call.outputs) {
    if (ElementCount(output.shape) > kMostFollowedValues) return;
  }
  switch (call.op.code) {
    case OpCode::kUnpack:
      if (!AllKnown(call)) return;
      Part(call, 0,
           Normal(call.op.options.Int("axis"), call.ShapeOf(0).size()));
      break;
    case OpCode::kSplit:
      if (!AllKnown(call)) return;
      Part(call, 1, Normal(call.In(0).values->at(0), call.ShapeOf(1).size()));
      break;
    case OpCode::kSplitV:
      if (!AllKnown(call)) return;
      Part(call, 0, Normal(call.In(2).values->at(0), call.ShapeOf(0).size()));
      break;
    default:
      if (auto values = FirstOutput(call)) {
        call.outputs[0].values = std::move(values);
      }
      break;
  }
  for (KnownTensor& output : call.outputs) FitValues(output);
}

}  // namespace lathe::graph
