// Operators that move elements: aliases where the memory already lies right,
// strided copies otherwise.

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "src/kernels/movement/movement.h"
#include "src/plan/lowering.h"
#include "src/plan/prepare.h"

namespace lathe::plan {
namespace {

using graph::OpCode;
using kernels::CopyLoops;

struct Copy {
  CopyLoops loops;
  int32_t from = 0;
};

size_t ElementBytes(const Lowering& lowering, int32_t tensor) {
  return graph::BitsPerElement(lowering.TypeOf(tensor)) / 8;
}

// One step that runs the copies into `y`; `fill`, one element, is written
// everywhere first.
void AddCopies(Lowering& lowering, const Node& node, std::vector<Copy> copies,
               int32_t y, const std::vector<std::byte>& fill = {}) {
  Step step;
  step.name = Name(node.op->code);
  for (Copy& copy : copies) {
    copy.loops.element_bytes = ElementBytes(lowering, y);
    copy.loops = kernels::Simplify(copy.loops);
    step.inputs.push_back(copy.from);
  }
  step.outputs = {y};
  const size_t bytes = lowering.plan().tensors[y].bytes;
  step.run = [=, copies =
                     std::move(copies)](const StepContext& context) -> Status {
    std::byte* to = context.tensors[y];
    if (fill.size() == 1) {
      std::memset(to, static_cast<int>(fill[0]), bytes);
    } else if (!fill.empty()) {
      for (size_t at = 0; at + fill.size() <= bytes; at += fill.size()) {
        std::memcpy(to + at, fill.data(), fill.size());
      }
    }
    for (const Copy& copy : copies) {
      kernels::RunCopy(copy.loops, context.tensors[copy.from],
                       context.tensors[y], *context.pool);
    }
    return {};
  };
  lowering.Add(std::move(step));
}

std::array<ptrdiff_t, kernels::kMaxCopyRank> StridesOf(
    const graph::Shape& shape) {
  std::array<ptrdiff_t, kernels::kMaxCopyRank> strides{};
  kernels::RowMajorStrides(shape, strides.data());
  return strides;
}

// y = x[first + i * step] along each dim of x; dims of y in `kept` order are
// those of x. An alias where that is one run of memory.
void TakePart(Lowering& lowering, const Node& node, int32_t x, int32_t y,
              const std::vector<int64_t>& first,
              const std::vector<int64_t>& step,
              const std::vector<int64_t>& size) {
  const graph::Shape& from = lowering.ShapeOf(x);
  const auto strides = StridesOf(from);
  CopyLoops loops;
  const graph::Shape part(size.begin(), size.end());
  const auto to = StridesOf(part);
  for (size_t i = 0; i < from.size(); ++i) {
    loops.from_first += static_cast<ptrdiff_t>(first[i]) * strides[i];
    loops.Add(static_cast<size_t>(size[i]),
              static_cast<ptrdiff_t>(step[i]) * strides[i], to[i]);
  }
  const CopyLoops simple = kernels::Simplify(loops);
  const bool run =
      simple.rank == 0 || (simple.rank == 1 && simple.from_stride[0] == 1);
  // Kernels want floats aligned to 4 bytes only, so any element may start one.
  if (run && lowering.Elements(y) > 0) {
    lowering.Alias(
        y, x,
        static_cast<uint64_t>(loops.from_first) * ElementBytes(lowering, x));
    return;
  }
  AddCopies(lowering, node, {{loops, x}}, y);
}

}  // namespace

Status PrepareReshape(Lowering& lowering, const Node& node) {
  lowering.Alias(node.outputs[0], node.inputs[0]);
  return {};
}

Status PrepareTranspose(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_ASSIGN(const std::vector<int64_t> perm, lowering.Ints(node.inputs[1]));
  const auto from = StridesOf(lowering.ShapeOf(x));
  const auto to = StridesOf(lowering.ShapeOf(y));
  CopyLoops loops;
  for (size_t i = 0; i < perm.size(); ++i) {
    loops.Add(static_cast<size_t>(lowering.ShapeOf(y)[i]),
              from[AxisOf(perm[i], perm.size())], to[i]);
  }
  const CopyLoops simple = kernels::Simplify(loops);
  if (simple.rank == 0 || (simple.rank == 1 && simple.from_stride[0] == 1)) {
    lowering.Alias(y, x);
    return {};
  }
  AddCopies(lowering, node, {{loops, x}}, y);
  return {};
}

Status PrepareSlice(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_ASSIGN(const std::vector<int64_t> begin, lowering.Ints(node.inputs[1]));
  const graph::Shape& out = lowering.ShapeOf(y);
  TakePart(lowering, node, x, y, begin, std::vector<int64_t>(begin.size(), 1),
           std::vector<int64_t>(out.begin(), out.end()));
  return {};
}

// Reference tflite-format.md, section 2.5.1.
Status PrepareStridedSlice(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_ASSIGN(const std::vector<int64_t> begin, lowering.Ints(node.inputs[1]));
  LATHE_ASSIGN(const std::vector<int64_t> end, lowering.Ints(node.inputs[2]));
  LATHE_ASSIGN(const std::vector<int64_t> stride,
               lowering.Ints(node.inputs[3]));
  const graph::Options& options = node.op->options;
  const auto bit = [&](std::string_view mask, size_t i) {
    return (options.Int(mask) >> i & 1) != 0;
  };
  const graph::Shape& in = lowering.ShapeOf(x);
  const size_t rank = in.size();
  std::vector<int64_t> first(rank, 0), step(rank, 1),
      size(in.begin(), in.end());
  size_t dim = 0;
  bool ellipsis_seen = false;
  for (size_t i = 0; i < begin.size() && dim <= rank; ++i) {
    if (bit("ellipsis_mask", i) && !ellipsis_seen) {
      ellipsis_seen = true;
      size_t left = 0;
      for (size_t j = i + 1; j < begin.size(); ++j) {
        left += !bit("new_axis_mask", j);
      }
      dim = rank - left;
      continue;
    }
    if (bit("new_axis_mask", i)) continue;
    if (dim == rank) break;
    const int64_t n = in[dim];
    const bool forward = stride[i] > 0;
    const int64_t low = forward ? 0 : -1, high = forward ? n : n - 1;
    const auto place = [&](int64_t v) {
      return std::clamp(v < 0 ? v + n : v, low, high);
    };
    int64_t b = bit("begin_mask", i) ? (forward ? 0 : n - 1) : place(begin[i]);
    if (bit("shrink_axis_mask", i)) {
      b = begin[i] < 0 ? begin[i] + n : begin[i];
      first[dim] = b;
      size[dim] = 1;
      ++dim;
      continue;
    }
    const int64_t raw_end = options.Bool("offset") ? begin[i] + end[i] : end[i];
    const int64_t e = bit("end_mask", i) ? (forward ? n : -1) : place(raw_end);
    first[dim] = b;
    step[dim] = stride[i];
    const int64_t span = forward ? e - b : b - e;
    const int64_t pace = forward ? stride[i] : -stride[i];
    size[dim] = std::max<int64_t>(0, (span + pace - 1) / pace);
    ++dim;
  }
  TakePart(lowering, node, x, y, first, step, size);
  return {};
}

namespace {

// Copies of inputs one behind the other along `axis` of y, each input seen as
// `sizes[i]` wide there.
void Join(Lowering& lowering, const Node& node, size_t axis, bool new_axis) {
  const int32_t y = node.outputs[0];
  const graph::Shape& out = lowering.ShapeOf(y);
  size_t outer = 1, inner = 1;
  for (size_t i = 0; i < axis; ++i) outer *= static_cast<size_t>(out[i]);
  for (size_t i = axis + 1; i < out.size(); ++i) {
    inner *= static_cast<size_t>(out[i]);
  }
  const size_t row = static_cast<size_t>(out[axis]) * inner;
  std::vector<Copy> copies;
  size_t at = 0;
  for (const int32_t x : node.inputs) {
    const size_t width =
        (new_axis ? 1 : static_cast<size_t>(lowering.ShapeOf(x)[axis])) * inner;
    CopyLoops loops;
    loops.Add(outer, static_cast<ptrdiff_t>(width),
              static_cast<ptrdiff_t>(row));
    loops.Add(width, 1, 1);
    loops.to_first = static_cast<ptrdiff_t>(at);
    if (outer > 0 && width > 0) copies.push_back({loops, x});
    at += width;
  }
  AddCopies(lowering, node, std::move(copies), y);
}

// The other way round; parts that are one run become aliases.
void Part(Lowering& lowering, const Node& node, int32_t x, size_t axis,
          bool drop_axis) {
  const graph::Shape& in = lowering.ShapeOf(x);
  std::vector<int64_t> first(in.size(), 0), step(in.size(), 1);
  for (const int32_t y : node.outputs) {
    std::vector<int64_t> size(in.begin(), in.end());
    size[axis] = drop_axis ? 1 : lowering.ShapeOf(y)[axis];
    TakePart(lowering, node, x, y, first, step, size);
    first[axis] += size[axis];
  }
}

}  // namespace

Status PrepareConcatenation(Lowering& lowering, const Node& node) {
  if (node.op->options.Int("fused_activation_function") != 0) {
    return Unsupported("a fused activation has no kernel");
  }
  const size_t rank = lowering.ShapeOf(node.outputs[0]).size();
  Join(lowering, node, AxisOf(node.op->options.Int("axis"), rank), false);
  return {};
}

Status PreparePack(Lowering& lowering, const Node& node) {
  const size_t rank = lowering.ShapeOf(node.outputs[0]).size();
  Join(lowering, node, AxisOf(node.op->options.Int("axis"), rank), true);
  return {};
}

Status PrepareSplit(Lowering& lowering, const Node& node) {
  const bool sized = node.op->code == graph::OpCode::kSplitV;
  const int32_t x = node.inputs[sized ? 0 : 1];
  LATHE_ASSIGN(const std::vector<int64_t> axis,
               lowering.Ints(node.inputs[sized ? 2 : 0]));
  if (axis.size() != 1) {
    return Invalid("its axis has {} values, expected 1", axis.size());
  }
  Part(lowering, node, x, AxisOf(axis[0], lowering.ShapeOf(x).size()), false);
  return {};
}

Status PrepareUnpack(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0];
  Part(lowering, node, x,
       AxisOf(node.op->options.Int("axis"), lowering.ShapeOf(x).size()), true);
  return {};
}

Status PreparePad(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_ASSIGN(const std::vector<int64_t> pads, lowering.Ints(node.inputs[1]));
  const graph::Shape& in = lowering.ShapeOf(x);
  const auto from = StridesOf(in), to = StridesOf(lowering.ShapeOf(y));
  CopyLoops loops;
  for (size_t i = 0; i < in.size(); ++i) {
    loops.Add(static_cast<size_t>(in[i]), from[i], to[i]);
    loops.to_first += static_cast<ptrdiff_t>(pads[2 * i]) * to[i];
  }
  // Zero, which quantized integers write as the zero point.
  std::vector<std::byte> zero(ElementBytes(lowering, y));
  const graph::Quantization* q = lowering.QuantizationOf(y);
  if (q != nullptr && q->zero_point.size() == 1) {
    std::memcpy(zero.data(), &q->zero_point[0],
                std::min(zero.size(), sizeof(int64_t)));
  }
  AddCopies(lowering, node, {{loops, x}}, y, zero);
  return {};
}

Status PrepareBroadcastTo(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const graph::Shape& in = lowering.ShapeOf(x);
  const graph::Shape& out = lowering.ShapeOf(y);
  const auto from = StridesOf(in), to = StridesOf(out);
  CopyLoops loops;
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t from_right = out.size() - i;
    ptrdiff_t stride = 0;
    if (from_right <= in.size() && in[in.size() - from_right] != 1) {
      stride = from[in.size() - from_right];
    }
    loops.Add(static_cast<size_t>(out[i]), stride, to[i]);
  }
  AddCopies(lowering, node, {{loops, x}}, y);
  return {};
}

Status PrepareTile(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const graph::Shape& in = lowering.ShapeOf(x);
  const graph::Shape& out = lowering.ShapeOf(y);
  if (2 * in.size() > kernels::kMaxCopyRank) {
    return Unsupported("rank {}, limit {}", in.size(),
                       kernels::kMaxCopyRank / 2);
  }
  const auto from = StridesOf(in), to = StridesOf(out);
  CopyLoops loops;
  for (size_t i = 0; i < in.size(); ++i) {
    const int32_t repeats = in[i] == 0 ? 0 : out[i] / in[i];
    loops.Add(static_cast<size_t>(repeats), 0, to[i] * in[i]);
    loops.Add(static_cast<size_t>(in[i]), from[i], to[i]);
  }
  AddCopies(lowering, node, {{loops, x}}, y);
  return {};
}

// GATHER(params, indices) and EMBEDDING_LOOKUP(ids, table).
Status PrepareGather(Lowering& lowering, const Node& node) {
  const bool lookup = node.op->code == graph::OpCode::kEmbeddingLookup;
  const int32_t x = node.inputs[lookup ? 1 : 0];
  const int32_t indices = node.inputs[lookup ? 0 : 1];
  const int32_t y = node.outputs[0];
  const graph::Shape& in = lowering.ShapeOf(x);
  if (node.op->options.Int("batch_dims") != 0) {
    return Unsupported("batch_dims {} has no kernel",
                       node.op->options.Int("batch_dims"));
  }
  const bool wide = lowering.TypeOf(indices) == graph::Type::kInt64;
  if (!wide && lowering.TypeOf(indices) != graph::Type::kInt32) {
    return Unsupported("indices of type {} have no kernel",
                       Name(lowering.TypeOf(indices)));
  }
  const size_t axis =
      lookup ? 0 : AxisOf(node.op->options.Int("axis"), in.size());
  size_t outer = 1, row = ElementBytes(lowering, x);
  for (size_t i = 0; i < axis; ++i) outer *= static_cast<size_t>(in[i]);
  for (size_t i = axis + 1; i < in.size(); ++i) {
    row *= static_cast<size_t>(in[i]);
  }
  const size_t rows = static_cast<size_t>(in[axis]);
  const size_t count = lowering.Elements(indices);
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {x, indices};
  step.outputs = {y};
  step.scratch_bytes = count * sizeof(int64_t);
  step.run = [=](const StepContext& context) -> Status {
    int64_t* list = reinterpret_cast<int64_t*>(context.scratch);
    for (size_t i = 0; i < count; ++i) {
      list[i] = wide ? context.As<int64_t>(indices)[i]
                     : context.As<int32_t>(indices)[i];
    }
    const size_t done =
        kernels::RunGather(outer, rows, row, {list, count}, context.tensors[x],
                           context.tensors[y]);
    if (done == count) return {};
    return Invalid("index {} is {}, allowed 0 to {}", done, list[done],
                   rows == 0 ? 0 : rows - 1);
  };
  lowering.Add(std::move(step));
  return {};
}

namespace {

// SHAPE and RANK: known when the plan is made, so there is never a step.
Status PrepareFolded(Lowering&, const Node&) {
  return Unsupported("its value is not known before the model runs");
}

bool TableAsOutput(const OpTypes& types) {
  return types.Has(1) && types.In(1).type == types.Out(0).type;
}

}  // namespace

namespace {

constexpr OpRow kRows[] = {
    {OpCode::kReshape, PrepareReshape, kMovable},
    {OpCode::kExpandDims, PrepareReshape, kMovable},
    {OpCode::kSqueeze, PrepareReshape, kMovable},
    {OpCode::kTranspose, PrepareTranspose, kMovable},
    {OpCode::kSlice, PrepareSlice, kMovable},
    {OpCode::kStridedSlice, PrepareStridedSlice, kMovable},
    {OpCode::kConcatenation, PrepareConcatenation, kMovable},
    {OpCode::kPack, PreparePack, kMovable},
    {OpCode::kSplit, PrepareSplit, kMovable},
    {OpCode::kSplitV, PrepareSplit, kMovable},
    {OpCode::kUnpack, PrepareUnpack, kMovable},
    {OpCode::kPad, PreparePad, kMovable},
    {OpCode::kBroadcastTo, PrepareBroadcastTo, kMovable},
    {OpCode::kTile, PrepareTile, kMovable},
    {OpCode::kGather, PrepareGather, kMovable},
    {OpCode::kEmbeddingLookup, PrepareGather, kMovable, -1, TableAsOutput,
     "table and output of one type"},
    {OpCode::kShape, PrepareFolded, kMovable},
    {OpCode::kRank, PrepareFolded, kMovable},
};

}  // namespace

std::span<const OpRow> MovementRows() { return kRows; }

}  // namespace lathe::plan
