// Element-wise operators and softmax on float16 and bfloat16: made float32,
// worked out, and rounded once.

#include <algorithm>
#include <utility>

#include "src/kernels/elementwise/broadcast.h"
#include "src/kernels/elementwise/cast.h"
#include "src/kernels/norm/norm.h"
#include "src/plan/lowering.h"
#include "src/plan/prepare.h"

namespace lathe::plan {
namespace {

using graph::OpCode;
using graph::Type;
using kernels::Number;

constexpr TypeMask kHalf = Types({Type::kFloat16, Type::kBfloat16});

Number NumberOf(const Lowering& lowering, int32_t tensor) {
  return lowering.TypeOf(tensor) == Type::kBfloat16 ? Number::kBfloat16
                                                    : Number::kFloat16;
}

// work(x, y, pool) gets the operands in float32, one behind the other from x
// on, and writes the result to y, which lies behind them.
template <typename F>
Status AddInFloat(Lowering& lowering, const Node& node, std::string_view kernel,
                  const F& work) {
  const kernels::ElementwiseKernels& kernels =
      kernels::ChooseElementwise(lowering.options().isa);
  const int32_t y = node.outputs[0];
  const size_t n = lowering.Elements(y);
  const Number type = NumberOf(lowering, y);
  std::vector<std::pair<int32_t, size_t>> operands;  // Elements of each.
  size_t floats = 0;
  for (const int32_t x : node.inputs) {
    if (lowering.TypeOf(x) != lowering.TypeOf(y)) {
      return Invalid("an operand is {}, the output {}",
                     Name(lowering.TypeOf(x)), Name(lowering.TypeOf(y)));
    }
    operands.emplace_back(x, lowering.Elements(x));
    floats += lowering.Elements(x);
  }
  Step step;
  step.name = Name(node.op->code);
  step.kernel = kernel;
  step.inputs = node.inputs;
  step.outputs = {y};
  step.scratch_bytes = (floats + n) * sizeof(float);
  step.run = [=, &kernels, operands = std::move(operands)](
                 const StepContext& context) -> Status {
    float* const first = reinterpret_cast<float*>(context.scratch);
    float* to = first;
    for (const auto& [x, count] : operands) {
      kernels::RunCast(kernels, type, Number::kFloat32, count,
                       context.tensors[x], to, *context.pool);
      to += count;
    }
    work(first, to, *context.pool);
    kernels::RunCast(kernels, Number::kFloat32, type, n, to, context.tensors[y],
                     *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareHalfUnary(Lowering& lowering, const Node& node) {
  const auto kind = UnaryOf(*node.op);
  LATHE_CHECK(kind);
  const kernels::ElementwiseKernels& kernels =
      kernels::ChooseElementwise(lowering.options().isa);
  const float alpha = static_cast<float>(node.op->options.Float("alpha"));
  const size_t n = lowering.Elements(node.outputs[0]);
  return AddInFloat(lowering, node, kernels.name,
                    [=, &kernels](const float* x, float* y, ThreadPool& pool) {
                      kernels::RunUnaryF32(kernels, *kind, n, x, y, alpha,
                                           pool);
                    });
}

Status PrepareHalfBinary(Lowering& lowering, const Node& node) {
  const auto kind = BinaryOf(node.op->code);
  LATHE_CHECK(kind);
  LATHE_ASSIGN(const kernels::Activation activation,
               ActivationOf(node.op->options));
  const kernels::ElementwiseKernels& kernels =
      kernels::ChooseElementwise(lowering.options().isa);
  const int32_t a = node.inputs[0], b = node.inputs[1];
  const kernels::BroadcastLoops loops =
      kernels::PlanBroadcast(lowering.ShapeOf(a), lowering.ShapeOf(b),
                             lowering.ShapeOf(node.outputs[0]));
  const size_t count = lowering.Elements(a);
  return AddInFloat(lowering, node, kernels.name,
                    [=, &kernels](const float* x, float* y, ThreadPool& pool) {
                      kernels::RunBinaryF32(kernels, *kind, loops, x, x + count,
                                            y, activation, pool);
                    });
}

Status PrepareHalfSoftmax(Lowering& lowering, const Node& node) {
  const kernels::NormKernels& kernels =
      kernels::ChooseNorm(lowering.options().isa);
  const graph::Shape& shape = lowering.ShapeOf(node.inputs[0]);
  const size_t n = static_cast<size_t>(shape.back());
  const size_t rows = n ? lowering.Elements(node.inputs[0]) / n : 0;
  const float beta = static_cast<float>(node.op->options.Float("beta"));
  return AddInFloat(lowering, node, kernels.name,
                    [=, &kernels](const float* x, float* y, ThreadPool& pool) {
                      pool.Run(rows, [&](size_t i, size_t) {
                        kernels.softmax(n, x + i * n, beta, y + i * n);
                      });
                    });
}

constexpr OpRow kRows[] = {
    {OpCode::kAbs, PrepareHalfUnary, kHalf},
    {OpCode::kNeg, PrepareHalfUnary, kHalf},
    {OpCode::kSqrt, PrepareHalfUnary, kHalf},
    {OpCode::kRsqrt, PrepareHalfUnary, kHalf},
    {OpCode::kSquare, PrepareHalfUnary, kHalf},
    {OpCode::kExp, PrepareHalfUnary, kHalf},
    {OpCode::kLog, PrepareHalfUnary, kHalf},
    {OpCode::kSin, PrepareHalfUnary, kHalf},
    {OpCode::kCos, PrepareHalfUnary, kHalf},
    {OpCode::kTanh, PrepareHalfUnary, kHalf},
    {OpCode::kLogistic, PrepareHalfUnary, kHalf},
    {OpCode::kRelu, PrepareHalfUnary, kHalf},
    {OpCode::kRelu6, PrepareHalfUnary, kHalf},
    {OpCode::kReluN1To1, PrepareHalfUnary, kHalf},
    {OpCode::kRelu0To1, PrepareHalfUnary, kHalf},
    {OpCode::kElu, PrepareHalfUnary, kHalf},
    {OpCode::kHardSwish, PrepareHalfUnary, kHalf},
    {OpCode::kLeakyRelu, PrepareHalfUnary, kHalf},
    {OpCode::kGelu, PrepareHalfUnary, kHalf},
    {OpCode::kFloor, PrepareHalfUnary, kHalf},
    {OpCode::kCeil, PrepareHalfUnary, kHalf},
    {OpCode::kRound, PrepareHalfUnary, kHalf},
    {OpCode::kSign, PrepareHalfUnary, kHalf},
    {OpCode::kAdd, PrepareHalfBinary, kHalf},
    {OpCode::kSub, PrepareHalfBinary, kHalf},
    {OpCode::kMul, PrepareHalfBinary, kHalf},
    {OpCode::kDiv, PrepareHalfBinary, kHalf},
    {OpCode::kMaximum, PrepareHalfBinary, kHalf},
    {OpCode::kMinimum, PrepareHalfBinary, kHalf},
    {OpCode::kSquaredDifference, PrepareHalfBinary, kHalf},
    {OpCode::kPrelu, PrepareHalfBinary, kHalf},
    {OpCode::kSoftmax, PrepareHalfSoftmax, kHalf},
};

}  // namespace

std::span<const OpRow> HalfRows() { return kRows; }

}  // namespace lathe::plan
