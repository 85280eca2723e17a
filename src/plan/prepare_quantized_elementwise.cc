// Element-wise operators on quantized tensors.

#include "src/plan/prepare_quantized_elementwise.h"

#include <algorithm>
#include <limits>

#include "src/kernels/quantized/unary.h"
#include "src/plan/prepare.h"

namespace lathe::plan {

using graph::OpCode;
using graph::Type;
using kernels::MultiplierOf;
using kernels::QuantizedType;
using kernels::QuantizedUnary;
using kernels::ScaledBinary;

bool IsQuantized(const OpTypes& types) {
  return types.Has(0) && types.In(0).quantization &&
         !types.In(0).quantization->scale.empty();
}

QuantizedType QuantizedTypeOf(Type type) {
  if (type == Type::kInt8) return QuantizedType::kInt8;
  return type == Type::kUint8 ? QuantizedType::kUint8 : QuantizedType::kInt16;
}

Result<Lowering::Affine> QuantizedAffineOf(const Lowering& lowering,
                                           int32_t tensor) {
  LATHE_ASSIGN(const Lowering::Affine affine, lowering.AffineOf(tensor));
  if (lowering.TypeOf(tensor) == Type::kInt16 && affine.zero_point != 0) {
    return Invalid("tensor {} \"{}\" int16: zero point {}, expected 0", tensor,
                   lowering.NameOf(tensor), affine.zero_point);
  }
  return affine;
}

Status NeedOneType(const Lowering& lowering,
                   std::initializer_list<int32_t> tensors) {
  const Type type = lowering.TypeOf(*tensors.begin());
  for (const int32_t tensor : tensors) {
    if (lowering.TypeOf(tensor) != type) {
      return Unsupported("no kernel for {} beside {} (tensor {} \"{}\")",
                         Name(type), Name(lowering.TypeOf(tensor)), tensor,
                         lowering.NameOf(tensor));
    }
  }
  return {};
}

Result<kernels::Requantized> RequantizedOf(const Lowering& lowering,
                                           int32_t input, int32_t output) {
  LATHE_TRY(NeedOneType(lowering, {input, output}));
  LATHE_ASSIGN(const Lowering::Affine in, QuantizedAffineOf(lowering, input));
  LATHE_ASSIGN(const Lowering::Affine out, QuantizedAffineOf(lowering, output));
  return kernels::Requantized{in.scale, in.zero_point, out.scale,
                              out.zero_point};
}

kernels::IntegerRange IntegerRangeOf(Type type, kernels::Activation activation,
                                     Lowering::Affine affine) {
  int32_t low = std::numeric_limits<int16_t>::min();
  int32_t high = std::numeric_limits<int16_t>::max();
  if (type == Type::kInt8) {
    low = std::numeric_limits<int8_t>::min();
    high = std::numeric_limits<int8_t>::max();
  } else if (type == Type::kUint8) {
    low = 0;
    high = std::numeric_limits<uint8_t>::max();
  }
  return kernels::RangeOf(activation, affine.scale, affine.zero_point, low,
                          high);
}

namespace {

QuantizedUnary UnaryOf(const graph::Op& op) {
  switch (op.code) {
    case OpCode::kRelu:
      return QuantizedUnary::kRelu;
    case OpCode::kRelu6:
      return QuantizedUnary::kRelu6;
    case OpCode::kReluN1To1:
      return QuantizedUnary::kReluN1To1;
    case OpCode::kRelu0To1:
      return QuantizedUnary::kRelu0To1;
    case OpCode::kLeakyRelu:
      return QuantizedUnary::kLeakyRelu;
    case OpCode::kAbs:
      return QuantizedUnary::kAbs;
    case OpCode::kHardSwish:
      return QuantizedUnary::kHardSwish;
    case OpCode::kSqrt:
      return QuantizedUnary::kSqrt;
    case OpCode::kRsqrt:
      return QuantizedUnary::kRsqrt;
    case OpCode::kExp:
      return QuantizedUnary::kExp;
    case OpCode::kLog:
      return QuantizedUnary::kLog;
    case OpCode::kElu:
      return QuantizedUnary::kElu;
    case OpCode::kTanh:
      return QuantizedUnary::kTanh;
    case OpCode::kGelu:
      return op.options.Bool("approximate") ? QuantizedUnary::kGeluTanh
                                            : QuantizedUnary::kGelu;
    default:
      return QuantizedUnary::kLogistic;
  }
}

// The first value below `zero`; n if there is none.
template <typename T>
size_t FirstBelow(const T* x, size_t n, int32_t zero) {
  return static_cast<size_t>(
      std::find_if(x, x + n, [=](T q) { return q < zero; }) - x);
}

Status PrepareQuantizedUnary(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_ASSIGN(const kernels::Requantized scales,
               RequantizedOf(lowering, x, y));
  const QuantizedUnary kind = UnaryOf(*node.op);
  const float alpha = static_cast<float>(node.op->options.Float("alpha"));
  const Type type = lowering.TypeOf(x);
  const size_t n = lowering.Elements(y);
  const std::string name(Name(node.op->code));
  if (kind == QuantizedUnary::kHardSwish &&
      scales.in_scale / 128 / scales.out_scale >= 1) {
    return Invalid("HARD_SWISH: scales {} to {}; allowed: a quotient below 128",
                   scales.in_scale, scales.out_scale);
  }
  // 16-bit curves have the scale of their result built in.
  if ((kind == QuantizedUnary::kLogistic || kind == QuantizedUnary::kTanh) &&
      type == Type::kInt16) {
    int exponent = 0;
    if (!kernels::IsPowerOfTwo(scales.out_scale, &exponent) ||
        exponent != -15) {
      return Invalid("{} int16: output scale {}, expected 1/32768", name,
                     scales.out_scale);
    }
  }
  Step step;
  step.name = name;
  step.inputs = {x};
  step.outputs = {y};
  step.may_overwrite = x;
  const bool positive = NeedsPositive(kind);
  const auto refuse = [=](size_t at, int32_t q) {
    return Invalid("{}: input {} is {}; allowed: {} (zero) and above", name, at,
                   q, scales.in_zero);
  };
  if (type == Type::kInt16) {
    auto run = kernels::UnaryInt16(kind, scales, alpha);
    if (!run) return Unsupported("no kernel for {} with int16", name);
    step.run = [=](const StepContext& context) -> Status {
      const int16_t* from = context.As<int16_t>(x);
      if (positive) {
        const size_t at = FirstBelow(from, n, scales.in_zero);
        if (at < n) return refuse(at, from[at]);
      }
      run(n, from, context.As<int16_t>(y), *context.pool);
      return {};
    };
  } else {
    const bool is_signed = type == Type::kInt8;
    step.run = [=, table =
                       kernels::UnaryByteTable(kind, is_signed, scales, alpha)](
                   const StepContext& context) -> Status {
      if (positive) {
        const int8_t* from = context.As<int8_t>(x);
        const size_t at = FirstBelow(from, n, scales.in_zero);
        if (at < n) return refuse(at, from[at]);
      }
      kernels::RunByteTable(table, n, context.As<uint8_t>(x),
                            context.As<uint8_t>(y), *context.pool);
      return {};
    };
  }
  lowering.Add(std::move(step));
  return {};
}

ScaledBinary BinaryOf(OpCode code) {
  switch (code) {
    case OpCode::kSub:
      return ScaledBinary::kSub;
    case OpCode::kMul:
      return ScaledBinary::kMul;
    case OpCode::kDiv:
      return ScaledBinary::kDiv;
    case OpCode::kSquaredDifference:
      return ScaledBinary::kSquaredDifference;
    case OpCode::kMaximum:
      return ScaledBinary::kMaximum;
    case OpCode::kMinimum:
      return ScaledBinary::kMinimum;
    case OpCode::kEqual:
      return ScaledBinary::kEqual;
    case OpCode::kNotEqual:
      return ScaledBinary::kNotEqual;
    case OpCode::kLess:
      return ScaledBinary::kLess;
    case OpCode::kLessEqual:
      return ScaledBinary::kLessEqual;
    case OpCode::kGreater:
      return ScaledBinary::kGreater;
    case OpCode::kGreaterEqual:
      return ScaledBinary::kGreaterEqual;
    default:
      return ScaledBinary::kAdd;
  }
}

// Scales of ADD and SUB that are powers of two need shifts alone: one operand
// has the output's scale, the other is as fine or finer.
bool ShiftsAlone(const graph::Options& options, const Lowering::Affine& a,
                 const Lowering::Affine& b, const Lowering::Affine& y,
                 kernels::ScaledBinaryParams& params) {
  int ea = 0, eb = 0, ey = 0;
  if (!options.Bool("pot_scale_int16", true) ||
      !kernels::IsPowerOfTwo(a.scale, &ea) ||
      !kernels::IsPowerOfTwo(b.scale, &eb) ||
      !kernels::IsPowerOfTwo(y.scale, &ey)) {
    return false;
  }
  params.scaled = false;
  params.a.shift = std::max(ea - ey, -31);
  params.b.shift = std::max(eb - ey, -31);
  return true;
}

// Operands side by side on the scale 2 * max(a, b) with `bits` more bits.
void ScaleSum(const Lowering::Affine& a, const Lowering::Affine& b,
              int32_t bits, kernels::ScaledBinaryParams& params) {
  const double twice = 2 * std::max(a.scale, b.scale);
  params.a.shift = params.b.shift = bits;
  params.a.scaled = params.b.scaled = true;
  params.a.multiplier = MultiplierOf(double{a.scale} / twice);
  params.b.multiplier = MultiplierOf(double{b.scale} / twice);
}

Result<kernels::ScaledBinaryParams> BinaryParamsOf(const Lowering& lowering,
                                                   const Node& node,
                                                   ScaledBinary kind) {
  kernels::ScaledBinaryParams params;
  if (kind == ScaledBinary::kMaximum || kind == ScaledBinary::kMinimum) {
    return params;
  }
  const graph::Options& options = node.op->options;
  LATHE_ASSIGN(const Lowering::Affine a,
               QuantizedAffineOf(lowering, node.inputs[0]));
  LATHE_ASSIGN(const Lowering::Affine b,
               QuantizedAffineOf(lowering, node.inputs[1]));
  params.a.zero_point = a.zero_point;
  params.b.zero_point = b.zero_point;
  if (kind >= ScaledBinary::kEqual) {
    constexpr int32_t kBits = 8;
    params.a.shift = params.b.shift = kBits;
    params.a.scaled = params.b.scaled = true;
    params.a.multiplier = MultiplierOf(a.scale);
    params.b.multiplier = MultiplierOf(b.scale);
    return params;
  }
  LATHE_ASSIGN(const Lowering::Affine y,
               QuantizedAffineOf(lowering, node.outputs[0]));
  LATHE_ASSIGN(const kernels::Activation activation, ActivationOf(options));
  const Type type = lowering.TypeOf(node.outputs[0]);
  params.out_zero = y.zero_point;
  params.range = IntegerRangeOf(type, activation, y);
  switch (kind) {
    case ScaledBinary::kMul:
      params.multiplier = MultiplierOf(a.scale * b.scale / y.scale);
      return params;
    case ScaledBinary::kDiv:
      params.multiplier = MultiplierOf(a.scale / (b.scale * y.scale));
      return params;
    case ScaledBinary::kSquaredDifference: {
      constexpr int32_t kBits = 7;
      ScaleSum(a, b, kBits, params);
      const double twice = 2 * std::max(a.scale, b.scale);
      params.multiplier =
          MultiplierOf(twice * twice / ((1 << (2 * kBits)) * y.scale));
      return params;
    }
    default: {
      if (type == Type::kInt16 && ShiftsAlone(options, a, b, y, params)) {
        if (params.a.shift > 0 || params.b.shift > 0 ||
            (params.a.shift != 0 && params.b.shift != 0)) {
          return Invalid(
              "{} int16: scales {} and {} to {}; with powers of two, one must "
              "be the output's and none above it",
              Name(node.op->code), a.scale, b.scale, y.scale);
        }
        return params;
      }
      const int32_t bits = type == Type::kInt16 ? 15 : 20;
      ScaleSum(a, b, bits, params);
      const double twice = 2 * std::max(a.scale, b.scale);
      params.multiplier =
          MultiplierOf(twice / (static_cast<float>(1 << bits) * y.scale));
      return params;
    }
  }
}

Status PrepareQuantizedBinary(Lowering& lowering, const Node& node) {
  const int32_t a = node.inputs[0], b = node.inputs[1], y = node.outputs[0];
  const ScaledBinary kind = BinaryOf(node.op->code);
  const Type type = lowering.TypeOf(a);
  LATHE_TRY(NeedOneType(lowering, {a, b}));
  if (kind < ScaledBinary::kEqual) {
    LATHE_TRY(NeedOneType(lowering, {a, y}));
  } else if (lowering.TypeOf(y) != Type::kBool) {
    return Unsupported("no kernel for a comparison to {}",
                       Name(lowering.TypeOf(y)));
  }
  LATHE_ASSIGN(const kernels::ScaledBinaryParams params,
               BinaryParamsOf(lowering, node, kind));
  const kernels::BroadcastLoops loops = kernels::PlanBroadcast(
      lowering.ShapeOf(a), lowering.ShapeOf(b), lowering.ShapeOf(y));
  const QuantizedType quantized = QuantizedTypeOf(type);
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {a, b};
  step.outputs = {y};
  if (kind < ScaledBinary::kEqual) {
    if (lowering.Elements(a) == lowering.Elements(y)) {
      step.may_overwrite = a;
    } else if (lowering.Elements(b) == lowering.Elements(y)) {
      step.may_overwrite = b;
    }
  }
  step.run = [=, name = step.name](const StepContext& context) -> Status {
    const std::optional<size_t> bad = kernels::RunScaledBinary(
        kind, quantized, params, loops, context.tensors[a], context.tensors[b],
        context.tensors[y], *context.pool);
    if (bad) return Invalid("{}: the divisor of element {} is 0", name, *bad);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareQuantizedPrelu(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], alpha = node.inputs[1];
  const int32_t y = node.outputs[0];
  LATHE_TRY(NeedOneType(lowering, {x, y}));
  LATHE_ASSIGN(const Lowering::Affine ax, QuantizedAffineOf(lowering, x));
  LATHE_ASSIGN(const Lowering::Affine aa, lowering.AffineOf(alpha));
  LATHE_ASSIGN(const Lowering::Affine ay, QuantizedAffineOf(lowering, y));
  const Type type = lowering.TypeOf(x);
  const Type wanted = type == Type::kInt16 ? Type::kInt8 : type;
  if (lowering.TypeOf(alpha) != wanted) {
    return Unsupported("no kernel for {} with alpha {}", Name(type),
                       Name(lowering.TypeOf(alpha)));
  }
  kernels::PreluParams params;
  params.x_zero = ax.zero_point;
  params.alpha_zero = aa.zero_point;
  params.out_zero = ay.zero_point;
  params.positive = MultiplierOf(ax.scale / ay.scale);
  params.negative = MultiplierOf(ax.scale * aa.scale / ay.scale);
  const kernels::BroadcastLoops loops = kernels::PlanBroadcast(
      lowering.ShapeOf(x), lowering.ShapeOf(alpha), lowering.ShapeOf(y));
  const QuantizedType quantized = QuantizedTypeOf(type);
  Step step;
  step.name = "PRELU";
  step.inputs = {x, alpha};
  step.outputs = {y};
  step.may_overwrite = x;
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunQuantizedPrelu(quantized, params, loops, context.tensors[x],
                               context.tensors[alpha], context.tensors[y],
                               *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

constexpr OpRow Unary(OpCode code, TypeMask types) {
  return {code, PrepareQuantizedUnary, types, -1, IsQuantized, "quantized"};
}
constexpr OpRow Binary(OpCode code, TypeMask types) {
  return {code, PrepareQuantizedBinary, types, 0, IsQuantized, "quantized"};
}

constexpr OpRow kRows[] = {
    Unary(OpCode::kRelu, kQuantized),
    Unary(OpCode::kRelu6, kQuantized),
    Unary(OpCode::kReluN1To1, kQuantized),
    Unary(OpCode::kRelu0To1, kQuantized),
    Unary(OpCode::kLeakyRelu, kQuantized),
    Unary(OpCode::kAbs, kSignedQuantized),
    Unary(OpCode::kHardSwish, kBytes),
    Unary(OpCode::kSqrt, kSignedQuantized),
    Unary(OpCode::kRsqrt, kSignedQuantized),
    Unary(OpCode::kExp, kSignedQuantized),
    Unary(OpCode::kLog, kSignedQuantized),
    Unary(OpCode::kElu, kBytes),
    Unary(OpCode::kGelu, kQuantized),
    Unary(OpCode::kTanh, kQuantized),
    Unary(OpCode::kLogistic, kQuantized),
    Binary(OpCode::kAdd, kQuantized),
    Binary(OpCode::kSub, kQuantized),
    Binary(OpCode::kMul, kQuantized),
    Binary(OpCode::kDiv, kQuantized),
    Binary(OpCode::kSquaredDifference, kQuantized),
    {OpCode::kMaximum, PrepareQuantizedBinary, kQuantized},
    {OpCode::kMinimum, PrepareQuantizedBinary, kQuantized},
    Binary(OpCode::kEqual, kQuantized),
    Binary(OpCode::kNotEqual, kQuantized),
    // The order of 16-bit numbers is that of their integers.
    Binary(OpCode::kLess, kBytes),
    Binary(OpCode::kLessEqual, kBytes),
    Binary(OpCode::kGreater, kBytes),
    Binary(OpCode::kGreaterEqual, kBytes),
    {OpCode::kPrelu, PrepareQuantizedPrelu, kQuantized, 0, IsQuantized,
     "quantized"},
};

}  // namespace

std::span<const OpRow> QuantizedElementwiseRows() { return kRows; }

}  // namespace lathe::plan
