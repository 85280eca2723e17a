// Operators that make values out of sizes and single values.

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "src/graph/shapes_runtime.h"
#include "src/kernels/elementwise/typed.h"
#include "src/kernels/movement/movement.h"
#include "src/plan/lowering.h"
#include "src/plan/operands.h"
#include "src/plan/prepare.h"

namespace lathe::plan {
namespace {

using graph::OpCode;
using graph::Type;

// One element everywhere, in pieces on all threads.
kernels::CopyLoops Everywhere(size_t elements, size_t element_bytes) {
  constexpr size_t kPiece = 16384;
  kernels::CopyLoops loops;
  loops.element_bytes = element_bytes;
  const size_t pieces = elements / kPiece;
  if (pieces > 1 && elements % kPiece == 0) {
    loops.Add(pieces, 0, static_cast<ptrdiff_t>(kPiece));
    loops.Add(kPiece, 0, 1);
  } else {
    loops.Add(elements, 0, 1);
  }
  return loops;
}

Status PrepareFill(Lowering& lowering, const Node& node) {
  const int32_t value = node.inputs[1], y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, value, y));
  const kernels::CopyLoops loops = Everywhere(
      lowering.Elements(y), graph::BitsPerElement(lowering.TypeOf(y)) / 8);
  Step step;
  step.name = "FILL";
  step.inputs = {value};
  step.outputs = {y};
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunCopy(loops, context.tensors[value], context.tensors[y],
                     *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// A step that writes the same bytes in each run.
void AddWritten(Lowering& lowering, const Node& node,
                std::vector<std::byte> bytes) {
  const int32_t y = node.outputs[0];
  Step step;
  step.name = Name(node.op->code);
  step.outputs = {y};
  step.run = [y,
              bytes = std::move(bytes)](const StepContext& context) -> Status {
    std::copy(bytes.begin(), bytes.end(), context.tensors[y]);
    return {};
  };
  lowering.Add(std::move(step));
}

Status PrepareZerosLike(Lowering& lowering, const Node& node) {
  const int32_t y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, node.inputs[0], y));
  const std::vector<std::byte> zero = ZeroOf(lowering, y);
  const kernels::CopyLoops loops =
      Everywhere(lowering.Elements(y), zero.size());
  Step step;
  step.name = "ZEROS_LIKE";
  step.outputs = {y};
  step.run = [=](const StepContext& context) -> Status {
    // Copied to memory that is aligned for any element.
    alignas(16) std::byte value[16];
    std::copy(zero.begin(), zero.end(), value);
    kernels::RunCopy(loops, value, context.tensors[y], *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// SHAPE and RANK, where the value was not followed when the plan was made.
Status PrepareShape(Lowering& lowering, const Node& node) {
  const graph::Shape& shape = lowering.ShapeOf(node.inputs[0]);
  const Type type = lowering.TypeOf(node.outputs[0]);
  const bool wide = type == Type::kInt64;
  if (!wide) LATHE_TRY(NeedType(lowering, node.outputs[0], Type::kInt32));
  std::vector<int64_t> values(shape.begin(), shape.end());
  if (node.op->code == OpCode::kRank) {
    values = {static_cast<int64_t>(shape.size())};
  }
  std::vector<std::byte> bytes;
  for (const int64_t value : values) {
    // Little-endian, as everywhere: the low bytes come first.
    const auto* p = reinterpret_cast<const std::byte*>(&value);
    bytes.insert(bytes.end(), p, p + (wide ? 8 : 4));
  }
  AddWritten(lowering, node, std::move(bytes));
  return {};
}

Status PrepareRange(Lowering& lowering, const Node& node) {
  const int32_t start = node.inputs[0], limit = node.inputs[1];
  const int32_t delta = node.inputs[2], y = node.outputs[0];
  for (const int32_t t : node.inputs) {
    LATHE_TRY(NeedSameType(lowering, y, t));
    if (lowering.Elements(t) != 1) {
      return Invalid("tensor \"{}\" has shape {}; a single value is needed",
                     lowering.NameOf(t), graph::ToString(lowering.ShapeOf(t)));
    }
  }
  const Type type = lowering.TypeOf(y);
  const kernels::Number number = *NumberOf(type);
  const auto n = static_cast<int64_t>(lowering.Elements(y));
  Step step;
  step.name = "RANGE";
  step.inputs = {start, limit, delta};
  step.outputs = {y};
  step.run = [=](const StepContext& context) -> Status {
    LATHE_ASSIGN(
        const int64_t length,
        graph::RangeLength(type, context.tensors[start], context.tensors[limit],
                           context.tensors[delta]));
    if (length != n) {
      return Invalid("a range of {} values where the shape has room for {}",
                     length, n);
    }
    kernels::RunRange(number, context.tensors[start], context.tensors[delta],
                      static_cast<size_t>(n), context.tensors[y]);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareBroadcastArgs(Lowering& lowering, const Node& node) {
  const int32_t a = node.inputs[0], b = node.inputs[1], y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, a, y));
  LATHE_TRY(NeedSameType(lowering, b, y));
  const Type type = lowering.TypeOf(y);
  const size_t n_a = lowering.Elements(a), n_b = lowering.Elements(b);
  const size_t n = lowering.Elements(y);
  Step step;
  step.name = "BROADCAST_ARGS";
  step.inputs = {a, b};
  step.outputs = {y};
  step.run = [=](const StepContext& context) -> Status {
    const auto dim = [&](int32_t tensor, size_t count, size_t i) {
      return i + count < n
                 ? 1
                 : IndexAt(type, context.tensors[tensor], i + count - n);
    };
    for (size_t i = 0; i < n; ++i) {
      const int64_t from_a = dim(a, n_a, i), from_b = dim(b, n_b, i);
      if (from_a != from_b && from_a != 1 && from_b != 1) {
        return Invalid("dims {} and {} at {} do not broadcast", from_a, from_b,
                       i);
      }
      const int64_t both = from_a == 1 ? from_b : from_a;
      if (type == Type::kInt64) {
        context.As<int64_t>(y)[i] = both;
      } else {
        context.As<int32_t>(y)[i] = static_cast<int32_t>(both);
      }
    }
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

constexpr TypeMask kSizes = Types({Type::kInt32, Type::kInt64});

constexpr OpRow kRows[] = {
    {OpCode::kFill, PrepareFill, kMovable},
    {OpCode::kZerosLike, PrepareZerosLike, kMovable},
    {OpCode::kShape, PrepareShape, kSizes},
    {OpCode::kRank, PrepareShape, kSizes},
    {OpCode::kRange, PrepareRange, kCounting},
    {OpCode::kBroadcastArgs, PrepareBroadcastArgs, kSizes},
};

}  // namespace

std::span<const OpRow> FillingRows() { return kRows; }

}  // namespace lathe::plan
