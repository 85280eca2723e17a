// Reductions of whole numbers; extremes and running sums along one axis.

#include <vector>

#include "src/kernels/reduce/reduce.h"
#include "src/kernels/reduce/scan.h"
#include "src/plan/lowering.h"
#include "src/plan/operands.h"
#include "src/plan/prepare.h"

namespace lathe::plan {
namespace {

using graph::OpCode;
using graph::Type;
using kernels::Number;

// Integers and bool; ANY and ALL are the largest and smallest truth.
Status PrepareReduceWhole(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, x, y));
  kernels::Reduction kind = kernels::Reduction::kSum;
  switch (node.op->code) {
    case OpCode::kMean:
      kind = kernels::Reduction::kMean;
      break;
    case OpCode::kReduceProd:
      kind = kernels::Reduction::kProd;
      break;
    case OpCode::kReduceMax:
    case OpCode::kReduceAny:
      kind = kernels::Reduction::kMax;
      break;
    case OpCode::kReduceMin:
    case OpCode::kReduceAll:
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
  const Number number = *NumberOf(lowering.TypeOf(x));
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {x};
  step.outputs = {y};
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunReduceWhole(number, kind, loops, context.tensors[x],
                            context.tensors[y], *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareArg(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const bool wide = lowering.TypeOf(y) == Type::kInt64;
  if (!wide) LATHE_TRY(NeedType(lowering, y, Type::kInt32));
  LATHE_ASSIGN(const std::vector<int64_t> axis, lowering.Ints(node.inputs[1]));
  const graph::Shape& shape = lowering.ShapeOf(x);
  const kernels::AxisLoops loops =
      kernels::PlanAxis(shape, AxisOf(axis[0], shape.size()));
  if (loops.n == 0 && lowering.Elements(y) > 0) {
    return Invalid("axis {} of {} holds nothing to choose from", axis[0],
                   graph::ToString(shape));
  }
  const Number number = *NumberOf(lowering.TypeOf(x));
  const bool largest = node.op->code == OpCode::kArgMax;
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {x};
  step.outputs = {y};
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunArg(largest, number, loops, context.tensors[x], wide,
                    context.tensors[y], *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareCumsum(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, x, y));
  LATHE_ASSIGN(const std::vector<int64_t> axis, lowering.Ints(node.inputs[1]));
  const graph::Shape& shape = lowering.ShapeOf(x);
  if (axis.size() != 1) {
    return Invalid("its axis has {} values, expected 1", axis.size());
  }
  const kernels::AxisLoops loops =
      kernels::PlanAxis(shape, AxisOf(axis[0], shape.size()));
  const Number number = *NumberOf(lowering.TypeOf(x));
  const bool exclusive = node.op->options.Bool("exclusive");
  const bool reverse = node.op->options.Bool("reverse");
  Step step;
  step.name = "CUMSUM";
  step.inputs = {x};
  step.outputs = {y};
  step.may_overwrite = x;
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunCumsum(number, loops, exclusive, reverse, context.tensors[x],
                       context.tensors[y], *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

#define LATHE_REDUCE(code, types) \
  {OpCode::code, PrepareReduceWhole, types, -1, NotQuantized, kNotQuantized}

constexpr OpRow kRows[] = {
    LATHE_REDUCE(kSum, kIntegers),
    LATHE_REDUCE(kMean, kIntegers),
    LATHE_REDUCE(kReduceProd, kIntegers),
    LATHE_REDUCE(kReduceMax, kIntegers),
    LATHE_REDUCE(kReduceMin, kIntegers),
    {OpCode::kReduceAny, PrepareReduceWhole, kBool},
    {OpCode::kReduceAll, PrepareReduceWhole, kBool},
    {OpCode::kArgMax, PrepareArg, kCounting | kBool, 0},
    {OpCode::kArgMin, PrepareArg, kCounting | kBool, 0},
    {OpCode::kCumsum, PrepareCumsum, kCounting},
};

#undef LATHE_REDUCE

}  // namespace

std::span<const OpRow> ScanRows() { return kRows; }

}  // namespace lathe::plan
