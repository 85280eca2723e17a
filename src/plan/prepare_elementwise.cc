// Element-wise operators, softmax and reductions of float32.

#include <algorithm>
#include <optional>

#include "src/kernels/elementwise/broadcast.h"
#include "src/kernels/elementwise/elementwise.h"
#include "src/kernels/norm/norm.h"
#include "src/kernels/reduce/reduce.h"
#include "src/plan/lowering.h"
#include "src/plan/prepare.h"

namespace lathe::plan {
namespace {

using graph::OpCode;
using kernels::Binary;
using kernels::Unary;

std::optional<Unary> UnaryOf(const graph::Op& op) {
  switch (op.code) {
    case OpCode::kAbs:
      return Unary::kAbs;
    case OpCode::kNeg:
      return Unary::kNeg;
    case OpCode::kSqrt:
      return Unary::kSqrt;
    case OpCode::kRsqrt:
      return Unary::kRsqrt;
    case OpCode::kSquare:
      return Unary::kSquare;
    case OpCode::kExp:
      return Unary::kExp;
    case OpCode::kLog:
      return Unary::kLog;
    case OpCode::kSin:
      return Unary::kSin;
    case OpCode::kCos:
      return Unary::kCos;
    case OpCode::kTanh:
      return Unary::kTanh;
    case OpCode::kLogistic:
      return Unary::kLogistic;
    case OpCode::kRelu:
      return Unary::kRelu;
    case OpCode::kRelu6:
      return Unary::kRelu6;
    case OpCode::kReluN1To1:
      return Unary::kReluN1To1;
    case OpCode::kRelu0To1:
      return Unary::kRelu0To1;
    case OpCode::kElu:
      return Unary::kElu;
    case OpCode::kHardSwish:
      return Unary::kHardSwish;
    case OpCode::kLeakyRelu:
      return Unary::kLeakyRelu;
    case OpCode::kGelu:
      return op.options.Bool("approximate") ? Unary::kGeluTanh : Unary::kGelu;
    case OpCode::kFloor:
      return Unary::kFloor;
    case OpCode::kCeil:
      return Unary::kCeil;
    case OpCode::kRound:
      return Unary::kRound;
    case OpCode::kSign:
      return Unary::kSign;
    default:
      return std::nullopt;
  }
}

std::optional<Binary> BinaryOf(OpCode code) {
  switch (code) {
    case OpCode::kAdd:
      return Binary::kAdd;
    case OpCode::kSub:
      return Binary::kSub;
    case OpCode::kMul:
      return Binary::kMul;
    case OpCode::kDiv:
      return Binary::kDiv;
    case OpCode::kMaximum:
      return Binary::kMaximum;
    case OpCode::kMinimum:
      return Binary::kMinimum;
    case OpCode::kSquaredDifference:
      return Binary::kSquaredDifference;
    default:
      return std::nullopt;
  }
}

Status AddUnary(Lowering& lowering, const Node& node, Unary kind,
                std::string_view name, float alpha) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedFloat(lowering, node));
  const kernels::ElementwiseKernels& kernels =
      kernels::ChooseElementwise(lowering.options().isa);
  const size_t n = lowering.Elements(y);
  Step step;
  step.name = name;
  step.kernel = kernels.name;
  step.inputs = {x};
  step.outputs = {y};
  step.may_overwrite = x;
  step.run = [=, &kernels](const StepContext& context) -> Status {
    kernels::RunUnaryF32(kernels, kind, n, context.As<float>(x),
                         context.As<float>(y), alpha, *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

}  // namespace

Status PrepareUnary(Lowering& lowering, const Node& node) {
  const std::optional<Unary> kind = UnaryOf(*node.op);
  LATHE_CHECK(kind);
  return AddUnary(lowering, node, *kind, Name(node.op->code),
                  static_cast<float>(node.op->options.Float("alpha")));
}

Status PrepareSilu(Lowering& lowering, const Node& node) {
  return AddUnary(lowering, node, Unary::kSilu, "silu", 0);
}

Status PrepareBinary(Lowering& lowering, const Node& node) {
  const int32_t a = node.inputs[0], b = node.inputs[1], y = node.outputs[0];
  LATHE_TRY(NeedFloat(lowering, node));
  if (lowering.TypeOf(a) != graph::Type::kFloat32) {
    return Unsupported("no kernel for {}", Name(lowering.TypeOf(a)));
  }
  const std::optional<Binary> kind = BinaryOf(node.op->code);
  LATHE_CHECK(kind);
  LATHE_ASSIGN(const kernels::Activation activation,
               ActivationOf(node.op->options));
  const kernels::ElementwiseKernels& kernels =
      kernels::ChooseElementwise(lowering.options().isa);
  const kernels::BroadcastLoops loops = kernels::PlanBroadcast(
      lowering.ShapeOf(a), lowering.ShapeOf(b), lowering.ShapeOf(y));
  Step step;
  step.name = Name(node.op->code);
  step.kernel = kernels.name;
  step.inputs = {a};
  if (b != a) step.inputs.push_back(b);
  step.outputs = {y};
  if (lowering.Elements(a) == lowering.Elements(y)) {
    step.may_overwrite = a;
  } else if (lowering.Elements(b) == lowering.Elements(y)) {
    step.may_overwrite = b;
  }
  step.run = [=, &kernels](const StepContext& context) -> Status {
    kernels::RunBinaryF32(kernels, *kind, loops, context.As<float>(a),
                          context.As<float>(b), context.As<float>(y),
                          activation, *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareSoftmax(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedFloat(lowering, node));
  const kernels::NormKernels& kernels =
      kernels::ChooseNorm(lowering.options().isa);
  const graph::Shape& shape = lowering.ShapeOf(x);
  const size_t n = shape.empty() ? 1 : static_cast<size_t>(shape.back());
  const size_t rows = n ? lowering.Elements(x) / n : 0;
  const float beta = static_cast<float>(node.op->options.Float("beta"));
  Step step;
  step.name = "SOFTMAX";
  step.kernel = kernels.name;
  step.inputs = {x};
  step.outputs = {y};
  step.may_overwrite = x;
  step.run = [=, &kernels](const StepContext& context) -> Status {
    const float* from = context.As<float>(x);
    float* to = context.As<float>(y);
    constexpr size_t kRows = 16;
    context.pool->Run((rows + kRows - 1) / kRows, [&](size_t job, size_t) {
      const size_t end = std::min(rows, (job + 1) * kRows);
      for (size_t i = job * kRows; i < end; ++i) {
        kernels.softmax(n, from + i * n, beta, to + i * n);
      }
    });
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareReduce(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedFloat(lowering, node));
  kernels::Reduction kind = kernels::Reduction::kSum;
  switch (node.op->code) {
    case OpCode::kMean:
      kind = kernels::Reduction::kMean;
      break;
    case OpCode::kReduceProd:
      kind = kernels::Reduction::kProd;
      break;
    case OpCode::kReduceMax:
      kind = kernels::Reduction::kMax;
      break;
    case OpCode::kReduceMin:
      kind = kernels::Reduction::kMin;
      break;
    default:
      break;
  }
  LATHE_ASSIGN(const std::vector<int64_t> axes, lowering.Ints(node.inputs[1]));
  const graph::Shape& shape = lowering.ShapeOf(x);
  std::vector<int32_t> positive;
  for (const int64_t axis : axes) {
    positive.push_back(static_cast<int32_t>(AxisOf(axis, shape.size())));
  }
  const kernels::ReduceLoops loops = kernels::PlanReduce(shape, positive);
  const kernels::NormKernels& kernels =
      kernels::ChooseNorm(lowering.options().isa);
  Step step;
  step.name = Name(node.op->code);
  step.kernel = kernels.name;
  step.inputs = {x};
  step.outputs = {y};
  step.run = [=, &kernels](const StepContext& context) -> Status {
    kernels::RunReduce(kernels, kind, loops, context.As<float>(x),
                       context.As<float>(y), *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

namespace {

constexpr OpRow kRows[] = {
    {OpCode::kAbs, PrepareUnary, kFloat32},
    {OpCode::kNeg, PrepareUnary, kFloat32},
    {OpCode::kSqrt, PrepareUnary, kFloat32},
    {OpCode::kRsqrt, PrepareUnary, kFloat32},
    {OpCode::kSquare, PrepareUnary, kFloat32},
    {OpCode::kExp, PrepareUnary, kFloat32},
    {OpCode::kLog, PrepareUnary, kFloat32},
    {OpCode::kSin, PrepareUnary, kFloat32},
    {OpCode::kCos, PrepareUnary, kFloat32},
    {OpCode::kTanh, PrepareUnary, kFloat32},
    {OpCode::kLogistic, PrepareUnary, kFloat32},
    {OpCode::kRelu, PrepareUnary, kFloat32},
    {OpCode::kRelu6, PrepareUnary, kFloat32},
    {OpCode::kReluN1To1, PrepareUnary, kFloat32},
    {OpCode::kRelu0To1, PrepareUnary, kFloat32},
    {OpCode::kElu, PrepareUnary, kFloat32},
    {OpCode::kHardSwish, PrepareUnary, kFloat32},
    {OpCode::kLeakyRelu, PrepareUnary, kFloat32},
    {OpCode::kGelu, PrepareUnary, kFloat32},
    {OpCode::kFloor, PrepareUnary, kFloat32},
    {OpCode::kCeil, PrepareUnary, kFloat32},
    {OpCode::kRound, PrepareUnary, kFloat32},
    {OpCode::kSign, PrepareUnary, kFloat32},
    {OpCode::kAdd, PrepareBinary, kFloat32},
    {OpCode::kSub, PrepareBinary, kFloat32},
    {OpCode::kMul, PrepareBinary, kFloat32},
    {OpCode::kDiv, PrepareBinary, kFloat32},
    {OpCode::kMaximum, PrepareBinary, kFloat32},
    {OpCode::kMinimum, PrepareBinary, kFloat32},
    {OpCode::kSquaredDifference, PrepareBinary, kFloat32},
    {OpCode::kSoftmax, PrepareSoftmax, kFloat32},
    {OpCode::kSum, PrepareReduce, kFloat32},
    {OpCode::kMean, PrepareReduce, kFloat32},
    {OpCode::kReduceProd, PrepareReduce, kFloat32},
    {OpCode::kReduceMax, PrepareReduce, kFloat32},
    {OpCode::kReduceMin, PrepareReduce, kFloat32},
};

}  // namespace

std::span<const OpRow> ElementwiseRows() { return kRows; }

}  // namespace lathe::plan
