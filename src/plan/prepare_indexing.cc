// Operators that pick, place, search or reorder values by index.

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "src/kernels/indexing/scatter.h"
#include "src/kernels/indexing/search.h"
#include "src/kernels/indexing/suppression.h"
#include "src/kernels/movement/indexed.h"
#include "src/kernels/movement/movement.h"
#include "src/plan/lowering.h"
#include "src/plan/number_of.h"
#include "src/plan/prepare.h"

namespace lathe::plan {
namespace {

using graph::OpCode;
using graph::Type;
using kernels::CopyLoops;
using kernels::Number;

size_t ElementBytes(const Lowering& lowering, int32_t tensor) {
  return graph::BitsPerElement(lowering.TypeOf(tensor)) / 8;
}

size_t Product(std::span<const int32_t> dims) {
  size_t product = 1;
  for (const int32_t dim : dims) product *= static_cast<size_t>(dim);
  return product;
}

Step StepOf(const Node& node) {
  Step step;
  step.name = Name(node.op->code);
  step.inputs = node.inputs;
  step.outputs = node.outputs;
  return step;
}

void LoadIndices(Type type, const std::byte* from, std::span<int64_t> to) {
  for (size_t i = 0; i < to.size(); ++i) to[i] = IndexAt(type, from, i);
}

// The first row of indices that leaves `dims`, in words.
std::unexpected<Error> BadRow(size_t row, std::span<const int64_t> indices,
                              std::span<const int32_t> dims) {
  std::string found;
  for (size_t d = 0; d < dims.size(); ++d) {
    found += fmt::format("{}{}", d ? "," : "", indices[row * dims.size() + d]);
  }
  return Invalid("row {} of the indices is [{}]; it must lie in {}", row, found,
                 graph::ToString(dims));
}

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

constexpr TypeMask kCounting = kFloat32 | kFloat64 | kIntegers;
// Whatever IsNotZero of the kernel knows.
constexpr TypeMask kZeroOrNot =
    kCounting | kBool |
    Types({Type::kFloat16, Type::kBfloat16, Type::kComplex64});

constexpr OpRow kRows[] = {
    {OpCode::kGatherNd, PrepareGatherNd, kMovable},
    {OpCode::kScatterNd, PrepareScatterNd, kCounting | kBool},
    {OpCode::kSparseToDense, PrepareSparseToDense, kMovable},
    {OpCode::kSegmentSum, PrepareSegments, kCounting},
    {OpCode::kUnsortedSegmentSum, PrepareSegments, kCounting},
    {OpCode::kUnsortedSegmentProd, PrepareSegments, kCounting},
    {OpCode::kUnsortedSegmentMax, PrepareSegments, kCounting},
    {OpCode::kUnsortedSegmentMin, PrepareSegments, kCounting},
    {OpCode::kEmbeddingLookupSparse, PrepareEmbeddingLookupSparse, kFloat32},
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
