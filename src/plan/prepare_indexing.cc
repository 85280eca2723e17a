// Operators that pick, search or reorder values by index.

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "src/kernels/indexing/search.h"
#include "src/kernels/indexing/suppression.h"
#include "src/kernels/movement/indexed.h"
#include "src/kernels/movement/movement.h"
#include "src/plan/lowering.h"
#include "src/plan/operands.h"
#include "src/plan/prepare.h"

namespace lathe::plan {
namespace {

using graph::OpCode;
using graph::Type;
using kernels::CopyLoops;
using kernels::Number;

Status PrepareGatherNd(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], indices = node.inputs[1];
  const int32_t y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, x, y));
  LATHE_TRY(NeedIndices(lowering, indices));
  const Type type = lowering.TypeOf(indices);
  const graph::Shape& table = lowering.ShapeOf(x);
  const graph::Shape& rows_of = lowering.ShapeOf(indices);
  const auto depth = static_cast<size_t>(rows_of.back());
  const graph::Shape dims(table.begin(),
                          table.begin() + static_cast<ptrdiff_t>(depth));
  const size_t row_bytes =
      Product(std::span(table).subspan(depth)) * ElementBytes(lowering, x);
  const size_t rows = Product(std::span(rows_of).first(rows_of.size() - 1));
  Step step = StepOf(node);
  step.scratch_bytes = rows * depth * sizeof(int64_t);
  step.run = [=](const StepContext& context) -> Status {
    const std::span<int64_t> list(reinterpret_cast<int64_t*>(context.scratch),
                                  rows * depth);
    LoadIndices(type, context.tensors[indices], list);
    const size_t done = kernels::RunGatherNd(
        dims, row_bytes, list, rows, context.tensors[x], context.tensors[y]);
    if (done == rows) return {};
    return BadRow(done, list, dims);
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareOneHot(Lowering& lowering, const Node& node) {
  const int32_t indices = node.inputs[0], on = node.inputs[2];
  const int32_t off = node.inputs[3], y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, on, y));
  LATHE_TRY(NeedSameType(lowering, off, y));
  LATHE_TRY(NeedIndices(lowering, indices));
  if (lowering.Elements(on) != 1 || lowering.Elements(off) != 1) {
    return Invalid("{} values for on and {} for off; one each is needed",
                   lowering.Elements(on), lowering.Elements(off));
  }
  const Type type = lowering.TypeOf(indices);
  const graph::Shape& out = lowering.ShapeOf(y);
  const size_t axis = AxisOf(node.op->options.Int("axis"), out.size());
  const size_t outer = Product(std::span(out).first(axis));
  const size_t inner = Product(std::span(out).subspan(axis + 1));
  const auto depth = static_cast<size_t>(out[axis]);
  const size_t bytes = ElementBytes(lowering, y);
  Step step = StepOf(node);
  step.inputs = {indices, on, off};
  step.scratch_bytes = outer * inner * sizeof(int64_t);
  step.run = [=](const StepContext& context) -> Status {
    int64_t* list = reinterpret_cast<int64_t*>(context.scratch);
    LoadIndices(type, context.tensors[indices], {list, outer * inner});
    kernels::RunOneHot(outer, depth, inner, bytes, list, context.tensors[on],
                       context.tensors[off], context.tensors[y], *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareReverse(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, x, y));
  LATHE_ASSIGN(const std::vector<int64_t> axes, lowering.Ints(node.inputs[1]));
  const graph::Shape& shape = lowering.ShapeOf(x);
  std::array<ptrdiff_t, kernels::kMaxCopyRank> strides{};
  kernels::RowMajorStrides(shape, strides.data());
  std::vector<bool> reversed(shape.size());
  for (const int64_t axis : axes) {
    LATHE_ASSIGN(const size_t normal, CheckedAxis(axis, shape.size()));
    reversed[normal] = true;
  }
  CopyLoops loops;
  for (size_t i = 0; i < shape.size(); ++i) {
    const ptrdiff_t stride = strides[i];
    if (reversed[i]) loops.from_first += (shape[i] - 1) * stride;
    loops.Add(static_cast<size_t>(shape[i]), reversed[i] ? -stride : stride,
              stride);
  }
  loops.element_bytes = ElementBytes(lowering, y);
  loops = kernels::Simplify(loops);
  Step step = StepOf(node);
  step.inputs = {x};
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunCopy(loops, context.tensors[x], context.tensors[y],
                     *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareReverseSequence(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], lengths = node.inputs[1];
  const int32_t y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, x, y));
  LATHE_TRY(NeedIndices(lowering, lengths));
  const Type type = lowering.TypeOf(lengths);
  const graph::Shape& shape = lowering.ShapeOf(x);
  const size_t along = AxisOf(node.op->options.Int("seq_dim"), shape.size());
  const size_t batch = AxisOf(node.op->options.Int("batch_dim"), shape.size());
  const size_t low = std::min(along, batch), high = std::max(along, batch);
  const std::span<const int32_t> dims = shape;
  kernels::SequenceLoops loops;
  loops.outer = Product(dims.first(low));
  loops.first = static_cast<size_t>(dims[low]);
  loops.middle = Product(dims.subspan(low + 1, high - low - 1));
  loops.second = static_cast<size_t>(dims[high]);
  loops.inner_bytes =
      Product(dims.subspan(high + 1)) * ElementBytes(lowering, x);
  loops.sequence_first = along < batch;
  const int64_t longest = shape[along];
  const size_t batches = static_cast<size_t>(shape[batch]);
  Step step = StepOf(node);
  step.scratch_bytes = batches * sizeof(int64_t);
  step.run = [=](const StepContext& context) -> Status {
    int64_t* list = reinterpret_cast<int64_t*>(context.scratch);
    LoadIndices(type, context.tensors[lengths], {list, batches});
    for (size_t i = 0; i < batches; ++i) {
      if (list[i] >= 0 && list[i] <= longest) continue;
      return Invalid("length {} is {}, allowed 0 to {}", i, list[i], longest);
    }
    kernels::RunReverseSequence(loops, list, context.tensors[x],
                                context.tensors[y], *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareTopK(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0];
  const int32_t values = node.outputs[0], positions = node.outputs[1];
  LATHE_TRY(NeedSameType(lowering, x, values));
  const bool narrow = lowering.TypeOf(positions) == Type::kInt16;
  if (!narrow) LATHE_TRY(NeedType(lowering, positions, Type::kInt32));
  const auto n = static_cast<size_t>(lowering.ShapeOf(x).back());
  const auto k = static_cast<size_t>(lowering.ShapeOf(values).back());
  if (narrow && n > 32768) {
    return Invalid("int16 cannot name the {} positions of a row", n);
  }
  const size_t rows = Product(
      std::span(lowering.ShapeOf(x)).first(lowering.ShapeOf(x).size() - 1));
  const Number number = *NumberOf(lowering.TypeOf(x));
  Step step = StepOf(node);
  step.inputs = {x};
  step.scratch_bytes = lowering.options().threads * k * sizeof(int32_t);
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunTopK(
        number, rows, n, k, context.tensors[x], context.tensors[values], narrow,
        context.tensors[positions], reinterpret_cast<int32_t*>(context.scratch),
        *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// The planner has counted before; another count means another shape.
Status NeedCount(size_t found, size_t expected) {
  if (found == expected) return {};
  return Invalid("{} values come out where the shape has room for {}", found,
                 expected);
}

Status PrepareUnique(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0];
  const int32_t values = node.outputs[0], numbers = node.outputs[1];
  LATHE_TRY(NeedSameType(lowering, x, values));
  const bool wide = lowering.TypeOf(numbers) == Type::kInt64;
  if (!wide) LATHE_TRY(NeedType(lowering, numbers, Type::kInt32));
  const Number number = *NumberOf(lowering.TypeOf(x));
  const size_t n = lowering.Elements(x), room = lowering.Elements(values);
  Step step = StepOf(node);
  step.scratch_bytes = 2 * n * sizeof(int32_t);
  step.run = [=](const StepContext& context) -> Status {
    return NeedCount(
        kernels::RunUnique(number, n, context.tensors[x], room,
                           context.tensors[values], wide,
                           context.tensors[numbers],
                           reinterpret_cast<int32_t*>(context.scratch)),
        room);
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareWhere(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedType(lowering, y, Type::kInt64));
  const Number number = *NumberOf(lowering.TypeOf(x));
  const auto room = static_cast<size_t>(lowering.ShapeOf(y)[0]);
  const graph::Shape shape = lowering.ShapeOf(x);
  Step step = StepOf(node);
  step.run = [=](const StepContext& context) -> Status {
    return NeedCount(kernels::RunWhere(number, shape, context.tensors[x], room,
                                       context.As<int64_t>(y)),
                     room);
  };
  lowering.Add(std::move(step));
  return {};
}

// boxes, scores, most, iou and score thresholds, and V5's sigma.
Status PrepareSuppression(Lowering& lowering, const Node& node) {
  const bool soft = node.op->code == OpCode::kNonMaxSuppressionV5;
  const int32_t boxes = node.inputs[0], scores = node.inputs[1];
  const int32_t overlap = node.inputs[3], least = node.inputs[4];
  const int32_t sigma = soft ? node.inputs[5] : graph::kNoTensor;
  const int32_t chosen = node.outputs[0];
  const int32_t kept = soft ? node.outputs[1] : graph::kNoTensor;
  const int32_t count = node.outputs[soft ? 2 : 1];
  for (const int32_t t : {boxes, scores, overlap, least, sigma, kept}) {
    if (t >= 0) LATHE_TRY(NeedType(lowering, t, Type::kFloat32));
  }
  for (const int32_t t : {chosen, count}) {
    LATHE_TRY(NeedType(lowering, t, Type::kInt32));
  }
  const size_t n = lowering.Elements(scores);
  const graph::Shape& shape = lowering.ShapeOf(boxes);
  bool fits =
      shape.size() == 2 && shape[1] == 4 && static_cast<size_t>(shape[0]) == n;
  for (const int32_t t : {overlap, least, sigma}) {
    fits = fits && (t < 0 || lowering.Elements(t) == 1);
  }
  if (!fits) {
    return Invalid(
        "boxes {} for {} scores; [{},4] and single thresholds are "
        "needed",
        graph::ToString(shape), n, n);
  }
  const size_t most = lowering.Elements(chosen);
  Step step = StepOf(node);
  step.inputs = {boxes, scores, overlap, least};
  if (soft) step.inputs.push_back(sigma);
  step.scratch_bytes = n * sizeof(kernels::Candidate);
  step.run = [=](const StepContext& context) -> Status {
    kernels::SuppressionLimits limits;
    limits.most = most;
    limits.iou_threshold = *context.As<float>(overlap);
    limits.score_threshold = *context.As<float>(least);
    if (soft) limits.sigma = *context.As<float>(sigma);
    const size_t found = kernels::RunSuppression(
        n, context.As<float>(boxes), context.As<float>(scores), limits,
        context.As<int32_t>(chosen),
        kept >= 0 ? context.As<float>(kept) : nullptr,
        reinterpret_cast<kernels::Candidate*>(context.scratch));
    *context.As<int32_t>(count) = static_cast<int32_t>(found);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// Copies the operand only where its memory must stay as it is.
Status PrepareDynamicUpdateSlice(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], update = node.inputs[1];
  const int32_t start = node.inputs[2], y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, x, y));
  LATHE_TRY(NeedSameType(lowering, x, update));
  LATHE_TRY(NeedIndices(lowering, start));
  const Type type = lowering.TypeOf(start);
  const graph::Shape& whole = lowering.ShapeOf(x);
  const graph::Shape& part = lowering.ShapeOf(update);
  std::array<ptrdiff_t, kernels::kMaxCopyRank> from{}, to{};
  kernels::RowMajorStrides(part, from.data());
  kernels::RowMajorStrides(whole, to.data());
  CopyLoops loops;
  // The largest start in each dim.
  std::array<int64_t, kernels::kMaxCopyRank> last{};
  for (size_t i = 0; i < whole.size(); ++i) {
    loops.Add(static_cast<size_t>(part[i]), from[i], to[i]);
    last[i] = whole[i] - part[i];
  }
  loops.element_bytes = ElementBytes(lowering, y);
  loops = kernels::Simplify(loops);
  const size_t rank = whole.size();
  const size_t bytes = lowering.Elements(x) * loops.element_bytes;
  const bool empty = lowering.Elements(update) == 0;
  Step step = StepOf(node);
  step.may_overwrite = x;
  step.run = [=](const StepContext& context) -> Status {
    if (context.tensors[x] != context.tensors[y] && bytes > 0) {
      std::memcpy(context.tensors[y], context.tensors[x], bytes);
    }
    if (empty) return {};
    CopyLoops placed = loops;
    for (size_t i = 0; i < rank; ++i) {
      const int64_t at = std::clamp<int64_t>(
          IndexAt(type, context.tensors[start], i), 0, last[i]);
      placed.to_first += static_cast<ptrdiff_t>(at) * to[i];
    }
    kernels::RunCopy(placed, context.tensors[update], context.tensors[y],
                     *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// Whatever IsNotZero of the kernel knows.
constexpr TypeMask kZeroOrNot =
    kCounting | kBool |
    Types({Type::kFloat16, Type::kBfloat16, Type::kComplex64});

constexpr OpRow kRows[] = {
    {OpCode::kGatherNd, PrepareGatherNd, kMovable},
    {OpCode::kOneHot, PrepareOneHot, kMovable},
    {OpCode::kReverseV2, PrepareReverse, kMovable},
    {OpCode::kReverseSequence, PrepareReverseSequence, kMovable},
    {OpCode::kTopkV2, PrepareTopK, kCounting},
    {OpCode::kUnique, PrepareUnique, kCounting},
    {OpCode::kWhere, PrepareWhere, kZeroOrNot, 0},
    {OpCode::kNonMaxSuppressionV4, PrepareSuppression, kFloat32, 0},
    {OpCode::kNonMaxSuppressionV5, PrepareSuppression, kFloat32, 0},
    {OpCode::kDynamicUpdateSlice, PrepareDynamicUpdateSlice, kMovable},
};

}  // namespace

std::span<const OpRow> IndexingRows() { return kRows; }

}  // namespace lathe::plan
