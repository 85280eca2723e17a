// Operators that put values where indices say, and add up what meets there.

#include <cstdint>
#include <span>

#include "src/kernels/indexing/scatter.h"
#include "src/plan/lowering.h"
#include "src/plan/operands.h"
#include "src/plan/prepare.h"

namespace lathe::plan {
namespace {

using graph::OpCode;
using graph::Type;
using kernels::Number;

Status PrepareScatterNd(Lowering& lowering, const Node& node) {
  const int32_t indices = node.inputs[0], updates = node.inputs[1];
  const int32_t y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, updates, y));
  LATHE_TRY(NeedIndices(lowering, indices));
  const Type type = lowering.TypeOf(indices);
  const Number number = *NumberOf(lowering.TypeOf(y));
  const graph::Shape& out = lowering.ShapeOf(y);
  const graph::Shape& rows_of = lowering.ShapeOf(indices);
  const auto depth = static_cast<size_t>(rows_of.back());
  const graph::Shape dims(out.begin(),
                          out.begin() + static_cast<ptrdiff_t>(depth));
  const size_t inner = Product(std::span(out).subspan(depth));
  const size_t rows = Product(std::span(rows_of).first(rows_of.size() - 1));
  const size_t elements = lowering.Elements(y);
  Step step = StepOf(node);
  step.inputs = {indices, updates};
  step.scratch_bytes = rows * depth * sizeof(int64_t);
  step.run = [=](const StepContext& context) -> Status {
    const std::span<int64_t> list(reinterpret_cast<int64_t*>(context.scratch),
                                  rows * depth);
    LoadIndices(type, context.tensors[indices], list);
    const size_t done = kernels::RunScatterNd(number, dims, inner, list, rows,
                                              context.tensors[updates],
                                              elements, context.tensors[y]);
    if (done == rows) return {};
    return BadRow(done, list, dims);
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareSparseToDense(Lowering& lowering, const Node& node) {
  const int32_t indices = node.inputs[0], values = node.inputs[2];
  const int32_t filler = node.inputs[3], y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, values, y));
  LATHE_TRY(NeedSameType(lowering, filler, y));
  LATHE_TRY(NeedIndices(lowering, indices));
  const Type type = lowering.TypeOf(indices);
  const graph::Shape dims = lowering.ShapeOf(y);
  const graph::Shape& shape = lowering.ShapeOf(indices);
  // One index; a list of them into one dim; or rows of indices.
  const size_t rows = shape.empty() ? 1 : static_cast<size_t>(shape[0]);
  const bool fits = shape.size() == 2
                        ? static_cast<size_t>(shape[1]) == dims.size()
                        : shape.size() < 2 && dims.size() == 1;
  if (!fits) {
    return Invalid("indices {} do not lead into {}", graph::ToString(shape),
                   graph::ToString(dims));
  }
  const size_t given = lowering.Elements(values);
  const bool one_value = lowering.ShapeOf(values).empty();
  if ((!one_value && given != rows) || lowering.Elements(filler) != 1) {
    return Invalid("{} values and {} fillers for {} indices", given,
                   lowering.Elements(filler), rows);
  }
  const size_t elements = lowering.Elements(y);
  const size_t bytes = ElementBytes(lowering, y);
  Step step = StepOf(node);
  step.inputs = {indices, values, filler};
  step.scratch_bytes = rows * dims.size() * sizeof(int64_t);
  step.run = [=](const StepContext& context) -> Status {
    const std::span<int64_t> list(reinterpret_cast<int64_t*>(context.scratch),
                                  rows * dims.size());
    LoadIndices(type, context.tensors[indices], list);
    const size_t done = kernels::RunSparseToDense(
        dims, bytes, list, rows, context.tensors[values], one_value,
        context.tensors[filler], elements, context.tensors[y]);
    if (done == rows) return {};
    return BadRow(done, list, dims);
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareSegments(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], ids = node.inputs[1];
  const int32_t y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, x, y));
  LATHE_TRY(NeedIndices(lowering, ids));
  const Type type = lowering.TypeOf(ids);
  const Number number = *NumberOf(lowering.TypeOf(y));
  kernels::Segments kind = kernels::Segments::kSum;
  if (node.op->code == OpCode::kUnsortedSegmentProd) {
    kind = kernels::Segments::kProd;
  } else if (node.op->code == OpCode::kUnsortedSegmentMax) {
    kind = kernels::Segments::kMax;
  } else if (node.op->code == OpCode::kUnsortedSegmentMin) {
    kind = kernels::Segments::kMin;
  }
  const bool sorted = node.op->code == OpCode::kSegmentSum;
  const size_t n = lowering.Elements(ids);
  const graph::Shape& out = lowering.ShapeOf(y);
  const auto segments = static_cast<size_t>(out[0]);
  const size_t inner = Product(std::span(out).subspan(1));
  if (lowering.Elements(x) != n * inner) {
    return Invalid("{} segment ids for input {}", n,
                   graph::ToString(lowering.ShapeOf(x)));
  }
  Step step = StepOf(node);
  step.inputs = {x, ids};
  step.scratch_bytes = n * sizeof(int64_t);
  step.run = [=](const StepContext& context) -> Status {
    const std::span<int64_t> list(reinterpret_cast<int64_t*>(context.scratch),
                                  n);
    LoadIndices(type, context.tensors[ids], list);
    for (size_t i = 0; sorted && i < n; ++i) {
      const int64_t least = i == 0 ? 0 : list[i - 1];
      if (list[i] < least) {
        return Invalid("segment id {} is {}; the ids must ascend from 0", i,
                       list[i]);
      }
    }
    const size_t done =
        kernels::RunSegments(kind, number, list, segments, inner,
                             context.tensors[x], context.tensors[y]);
    if (done == n) return {};
    return Invalid("segment id {} is {}; there are {} segments", done,
                   list[done], segments);
  };
  lowering.Add(std::move(step));
  return {};
}

// ids, their buckets, the buckets' shape, weights, table.
Status PrepareEmbeddingLookupSparse(Lowering& lowering, const Node& node) {
  const int32_t ids = node.inputs[0], buckets = node.inputs[1];
  const int32_t weights = node.inputs[3], table = node.inputs[4];
  const int32_t y = node.outputs[0];
  LATHE_TRY(NeedType(lowering, ids, Type::kInt32));
  LATHE_TRY(NeedType(lowering, buckets, Type::kInt32));
  LATHE_TRY(NeedType(lowering, weights, Type::kFloat32));
  LATHE_TRY(NeedType(lowering, table, Type::kFloat32));
  LATHE_TRY(NeedType(lowering, y, Type::kFloat32));
  const graph::Shape& out = lowering.ShapeOf(y);
  const graph::Shape& rows_of = lowering.ShapeOf(buckets);
  const auto width = static_cast<size_t>(rows_of[1]);
  const graph::Shape dims(out.begin(),
                          out.begin() + static_cast<ptrdiff_t>(width - 1));
  const size_t inner = Product(std::span(out).subspan(dims.size()));
  const auto rows = static_cast<int64_t>(lowering.ShapeOf(table)[0]);
  const size_t n = lowering.Elements(ids), elements = lowering.Elements(y);
  const int64_t asked = node.op->options.Int("combiner");
  if (asked < 0 || asked > 2) return Invalid("combiner {}", asked);
  const auto combiner = static_cast<kernels::Combiner>(asked);
  Step step = StepOf(node);
  step.inputs = {ids, buckets, weights, table};
  step.scratch_bytes = n * sizeof(int64_t);
  step.run = [=](const StepContext& context) -> Status {
    int64_t* to = reinterpret_cast<int64_t*>(context.scratch);
    const int32_t* id = context.As<int32_t>(ids);
    const int32_t* row = context.As<int32_t>(buckets);
    for (size_t i = 0; i < n; ++i, row += width) {
      if (id[i] < 0 || id[i] >= rows) {
        return Invalid("id {} is {}, allowed 0 to {}", i, id[i], rows - 1);
      }
      to[i] = 0;
      for (size_t d = 0; d < dims.size(); ++d) {
        if (row[d] < 0 || row[d] >= dims[d]) {
          return Invalid("index {} of row {} is {}, allowed 0 to {}", d, i,
                         row[d], dims[d] - 1);
        }
        to[i] = to[i] * dims[d] + row[d];
      }
    }
    kernels::RunEmbeddingSums(combiner, {to, n}, id, context.As<float>(weights),
                              inner, context.As<float>(table), elements,
                              context.As<float>(y));
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

constexpr OpRow kRows[] = {
    {OpCode::kScatterNd, PrepareScatterNd, kCounting | kBool},
    {OpCode::kSparseToDense, PrepareSparseToDense, kMovable},
    {OpCode::kSegmentSum, PrepareSegments, kCounting},
    {OpCode::kUnsortedSegmentSum, PrepareSegments, kCounting},
    {OpCode::kUnsortedSegmentProd, PrepareSegments, kCounting},
    {OpCode::kUnsortedSegmentMax, PrepareSegments, kCounting},
    {OpCode::kUnsortedSegmentMin, PrepareSegments, kCounting},
    {OpCode::kEmbeddingLookupSparse, PrepareEmbeddingLookupSparse, kFloat32},
};

}  // namespace

std::span<const OpRow> ScatterRows() { return kRows; }

}  // namespace lathe::plan
