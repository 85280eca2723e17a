// Operators that move elements: aliases where the memory already lies right,
// strided copies otherwise.

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "src/graph/shape_rule.h"
#include "src/kernels/elementwise/typed.h"
#include "src/kernels/movement/movement.h"
#include "src/kernels/movement/narrow.h"
#include "src/plan/lowering.h"
#include "src/plan/operands.h"
#include "src/plan/prepare.h"

namespace lathe::plan {
namespace {

using graph::OpCode;
using kernels::CopyLoops;

struct Copy {
  CopyLoops loops;
  int32_t from = 0;
};

bool IsNarrow(const Lowering& lowering, int32_t tensor) {
  return graph::BitsPerElement(lowering.TypeOf(tensor)) < 8;
}

kernels::Narrow NarrowOf(graph::Type type) {
  return {graph::BitsPerElement(type), type != graph::Type::kUint4};
}

void Fill(std::span<const std::byte> value, size_t bytes, std::byte* to) {
  if (value.size() == 1) {
    std::memset(to, std::to_integer<int>(value[0]), bytes);
  } else if (!value.empty()) {
    for (size_t at = 0; at + value.size() <= bytes; at += value.size()) {
      std::memcpy(to + at, value.data(), value.size());
    }
  }
}

// Types of which a byte holds several: one per byte while they move.
void AddNarrowCopies(Lowering& lowering, Step step,
                     const std::vector<Copy>& copies, int32_t y,
                     const std::vector<std::byte>& fill) {
  const kernels::Narrow type = NarrowOf(lowering.TypeOf(y));
  const size_t out = lowering.Elements(y);
  std::vector<size_t> sizes;
  size_t most = 0;
  for (const Copy& copy : copies) {
    sizes.push_back(lowering.Elements(copy.from));
    most = std::max(most, sizes.back());
  }
  step.scratch_bytes = out + most;
  step.run = [=](const StepContext& context) -> Status {
    std::byte* wide = context.scratch + out;
    Fill(fill, out, context.scratch);
    for (size_t i = 0; i < copies.size(); ++i) {
      kernels::Unpack(type, sizes[i], context.tensors[copies[i].from], wide);
      kernels::RunCopy(copies[i].loops, wide, context.scratch, *context.pool);
    }
    kernels::Pack(type, out, context.scratch, context.tensors[y]);
    return {};
  };
  lowering.Add(std::move(step));
}

// One step that runs the copies into `y`; `fill`, one element, is written
// everywhere first.
void AddCopies(Lowering& lowering, const Node& node, std::vector<Copy> copies,
               int32_t y, const std::vector<std::byte>& fill = {},
               kernels::Activation activation = kernels::Activation::kNone) {
  Step step;
  step.name = Name(node.op->code);
  for (Copy& copy : copies) {
    copy.loops.element_bytes = std::max<size_t>(1, ElementBytes(lowering, y));
    copy.loops = kernels::Simplify(copy.loops);
    step.inputs.push_back(copy.from);
  }
  step.outputs = {y};
  if (IsNarrow(lowering, y)) {
    AddNarrowCopies(lowering, std::move(step), copies, y, fill);
    return;
  }
  const size_t bytes = lowering.plan().tensors[y].bytes;
  const size_t elements = lowering.Elements(y);
  const kernels::Number number =
      NumberOf(lowering.TypeOf(y)).value_or(kernels::Number::kUint8);
  step.run = [=, copies =
                     std::move(copies)](const StepContext& context) -> Status {
    Fill(fill, bytes, context.tensors[y]);
    for (const Copy& copy : copies) {
      kernels::RunCopy(copy.loops, context.tensors[copy.from],
                       context.tensors[y], *context.pool);
    }
    kernels::RunClamp(number, activation, elements, context.tensors[y],
                      *context.pool);
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
  bool run =
      simple.rank == 0 || (simple.rank == 1 && simple.from_stride[0] == 1);
  // Elements that share a byte may not start one.
  if (IsNarrow(lowering, x)) run = run && loops.from_first == 0;
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
  LATHE_TRY(NeedSameType(lowering, node.inputs[0], node.outputs[0]));
  lowering.Alias(node.outputs[0], node.inputs[0]);
  return {};
}

Status PrepareTranspose(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, x, y));
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

namespace {

// A first index along an axis of the input that is only known at run time.
struct Begin {
  size_t entry = 0;  // Of the tensor of begins.
  int64_t dim = 0, size = 0;
  ptrdiff_t stride = 0;
  bool from_end = false;  // Negative ones count from the end.
};

// TakePart with the copy's start added up at run time.
Status TakePartLater(Lowering& lowering, const Node& node, int32_t x, int32_t y,
                     CopyLoops loops, std::vector<Begin> begins) {
  const int32_t starts = node.inputs[1];
  LATHE_TRY(NeedIndices(lowering, starts));
  const graph::Type type = lowering.TypeOf(starts);
  loops.element_bytes = ElementBytes(lowering, y);
  loops = kernels::Simplify(loops);
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {x, starts};
  step.outputs = {y};
  step.run = [=, begins =
                     std::move(begins)](const StepContext& context) -> Status {
    CopyLoops placed = loops;
    for (const Begin& begin : begins) {
      const int64_t given = IndexAt(type, context.tensors[starts], begin.entry);
      const int64_t at =
          begin.from_end && given < 0 ? given + begin.dim : given;
      if (at < 0 || at > begin.dim - begin.size) {
        return Invalid("begin {} is {}; allowed are {} to {}", begin.entry,
                       given, begin.from_end ? -begin.dim : 0,
                       begin.dim - begin.size);
      }
      placed.from_first += static_cast<ptrdiff_t>(at) * begin.stride;
    }
    kernels::RunCopy(placed, context.tensors[x], context.tensors[y],
                     *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

}  // namespace

Status PrepareSlice(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, x, y));
  const graph::Shape& in = lowering.ShapeOf(x);
  const graph::Shape& out = lowering.ShapeOf(y);
  const auto begin = lowering.Ints(node.inputs[1]);
  if (begin) {
    TakePart(lowering, node, x, y, *begin,
             std::vector<int64_t>(begin->size(), 1),
             std::vector<int64_t>(out.begin(), out.end()));
    return {};
  }
  if (IsNarrow(lowering, x)) return std::unexpected(begin.error());
  const auto from = StridesOf(in), to = StridesOf(out);
  CopyLoops loops;
  std::vector<Begin> begins;
  for (size_t i = 0; i < in.size(); ++i) {
    loops.Add(static_cast<size_t>(out[i]), from[i], to[i]);
    begins.push_back({i, in[i], out[i], from[i], false});
  }
  return TakePartLater(lowering, node, x, y, loops, std::move(begins));
}

// Reference tflite-format.md, section 2.5.1.
Status PrepareStridedSlice(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, x, y));
  const graph::Options& options = node.op->options;
  LATHE_ASSIGN(const std::vector<int64_t> stride,
               lowering.Ints(node.inputs[3]));
  auto begin = lowering.Ints(node.inputs[1]);
  auto end = lowering.Ints(node.inputs[2]);
  const bool later = !begin || !end;
  if (later) {
    if (!graph::TakesNoBounds(options, stride.size()) ||
        IsNarrow(lowering, x)) {
      return std::unexpected(begin ? end.error() : begin.error());
    }
    begin = end = std::vector<int64_t>(stride.size(), 0);
  }
  const graph::Shape& in = lowering.ShapeOf(x);
  LATHE_ASSIGN(const std::vector<graph::SliceAxis> axes,
               graph::StridedSliceAxes(options, in, *begin, *end, stride));
  std::vector<int64_t> first, step, size;
  for (const graph::SliceAxis& axis : axes) {
    if (axis.kind != graph::SliceAxis::Kind::kTake) continue;
    first.push_back(axis.begin);
    step.push_back(axis.stride);
    size.push_back(axis.count);
  }
  if (!later) {
    TakePart(lowering, node, x, y, first, step, size);
    return {};
  }
  const auto from = StridesOf(in);
  const auto to = StridesOf(graph::Shape(size.begin(), size.end()));
  CopyLoops loops;
  for (size_t i = 0; i < in.size(); ++i) {
    loops.from_first += static_cast<ptrdiff_t>(first[i]) * from[i];
    loops.Add(static_cast<size_t>(size[i]),
              static_cast<ptrdiff_t>(step[i]) * from[i], to[i]);
  }
  // Which axis each shrinking entry indexes.
  const auto bit = [&](std::string_view mask, size_t i) {
    return (options.Int(mask) >> i & 1) != 0;
  };
  std::vector<Begin> begins;
  size_t real = 0;
  for (size_t i = 0; i < stride.size(); ++i) {
    real += !bit("ellipsis_mask", i) && !bit("new_axis_mask", i);
  }
  size_t d = 0;
  for (size_t i = 0; i < stride.size(); ++i) {
    if (bit("ellipsis_mask", i)) {
      d += in.size() - real;
    } else if (!bit("new_axis_mask", i)) {
      if (bit("shrink_axis_mask", i)) {
        begins.push_back({i, in[d], 1, from[d], true});
      }
      ++d;
    }
  }
  return TakePartLater(lowering, node, x, y, loops, std::move(begins));
}

namespace {

// Copies of inputs one behind the other along `axis` of y, each input seen as
// `sizes[i]` wide there.
Status Join(Lowering& lowering, const Node& node, size_t axis, bool new_axis,
            kernels::Activation activation = kernels::Activation::kNone) {
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
    LATHE_TRY(NeedSameType(lowering, x, y));
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
  AddCopies(lowering, node, std::move(copies), y, {}, activation);
  return {};
}

// The other way round; parts that are one run become aliases.
Status Part(Lowering& lowering, const Node& node, int32_t x, size_t axis,
            bool drop_axis) {
  const graph::Shape& in = lowering.ShapeOf(x);
  std::vector<int64_t> first(in.size(), 0), step(in.size(), 1);
  for (const int32_t y : node.outputs) {
    LATHE_TRY(NeedSameType(lowering, x, y));
    std::vector<int64_t> size(in.begin(), in.end());
    size[axis] = drop_axis ? 1 : lowering.ShapeOf(y)[axis];
    TakePart(lowering, node, x, y, first, step, size);
    first[axis] += size[axis];
  }
  return {};
}

}  // namespace

Status PrepareConcatenation(Lowering& lowering, const Node& node) {
  LATHE_ASSIGN(const kernels::Activation activation,
               ActivationOf(node.op->options));
  const int32_t y = node.outputs[0];
  if (activation != kernels::Activation::kNone &&
      (!NumberOf(lowering.TypeOf(y)) ||
       lowering.QuantizationOf(y) != nullptr)) {
    return Unsupported("a fused activation of {} has no kernel",
                       Name(lowering.TypeOf(y)));
  }
  const size_t rank = lowering.ShapeOf(y).size();
  return Join(lowering, node, AxisOf(node.op->options.Int("axis"), rank), false,
              activation);
}

Status PreparePack(Lowering& lowering, const Node& node) {
  const size_t rank = lowering.ShapeOf(node.outputs[0]).size();
  return Join(lowering, node, AxisOf(node.op->options.Int("axis"), rank), true);
}

Status PrepareSplit(Lowering& lowering, const Node& node) {
  const bool sized = node.op->code == graph::OpCode::kSplitV;
  const int32_t x = node.inputs[sized ? 0 : 1];
  LATHE_ASSIGN(const std::vector<int64_t> axis,
               lowering.Ints(node.inputs[sized ? 2 : 0]));
  if (axis.size() != 1) {
    return Invalid("its axis has {} values, expected 1", axis.size());
  }
  return Part(lowering, node, x, AxisOf(axis[0], lowering.ShapeOf(x).size()),
              false);
}

Status PrepareUnpack(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0];
  return Part(lowering, node, x,
              AxisOf(node.op->options.Int("axis"), lowering.ShapeOf(x).size()),
              true);
}

Status PreparePad(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, x, y));
  LATHE_ASSIGN(const std::vector<int64_t> pads, lowering.Ints(node.inputs[1]));
  const graph::Shape& in = lowering.ShapeOf(x);
  const auto from = StridesOf(in), to = StridesOf(lowering.ShapeOf(y));
  CopyLoops loops;
  for (size_t i = 0; i < in.size(); ++i) {
    loops.Add(static_cast<size_t>(in[i]), from[i], to[i]);
    loops.to_first += static_cast<ptrdiff_t>(pads[2 * i]) * to[i];
  }
  AddCopies(lowering, node, {{loops, x}}, y, ZeroOf(lowering, y));
  return {};
}

Status PrepareBroadcastTo(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedSameType(lowering, x, y));
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
  LATHE_TRY(NeedSameType(lowering, x, y));
  const auto from = StridesOf(in), to = StridesOf(out);
  CopyLoops loops;
  for (size_t i = 0; i < in.size(); ++i) {
    const int32_t repeats = in[i] == 0 ? 0 : out[i] / in[i];
    const size_t needed = (repeats != 1) + (in[i] != 1);
    if (loops.rank + needed > kernels::kMaxCopyRank) {
      return Unsupported("more than {} dims that are repeated or copied",
                         kernels::kMaxCopyRank);
    }
    if (repeats != 1) {
      loops.Add(static_cast<size_t>(repeats), 0, to[i] * in[i]);
    }
    if (in[i] != 1) loops.Add(static_cast<size_t>(in[i]), from[i], to[i]);
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
  LATHE_TRY(NeedSameType(lowering, x, y));
  LATHE_TRY(NeedIndices(lowering, indices));
  const graph::Shape& in = lowering.ShapeOf(x);
  const graph::Type type = lowering.TypeOf(indices);
  const graph::Options& options = node.op->options;
  const size_t axis = lookup ? 0 : AxisOf(options.Int("axis"), in.size());
  const size_t batches_at = lookup ? 0
                                   : AxisOf(options.Int("batch_dims"),
                                            lowering.ShapeOf(indices).size());
  const bool narrow = IsNarrow(lowering, x);
  size_t batches = 1, outer = 1;
  size_t row = narrow ? 1 : ElementBytes(lowering, x);
  for (size_t i = 0; i < batches_at; ++i) batches *= static_cast<size_t>(in[i]);
  for (size_t i = batches_at; i < axis; ++i) {
    outer *= static_cast<size_t>(in[i]);
  }
  for (size_t i = axis + 1; i < in.size(); ++i) {
    row *= static_cast<size_t>(in[i]);
  }
  const size_t rows = static_cast<size_t>(in[axis]);
  const size_t count = lowering.Elements(indices);
  if (count == 0 || lowering.Elements(y) == 0) {
    AddCopies(lowering, node, {}, y);  // Nothing to look up.
    return {};
  }
  const size_t each = count / batches;
  const size_t from_elements = lowering.Elements(x);
  const size_t to_elements = lowering.Elements(y);
  const kernels::Narrow packing = NarrowOf(lowering.TypeOf(x));
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {x, indices};
  step.outputs = {y};
  step.scratch_bytes =
      count * sizeof(int64_t) + (narrow ? from_elements + to_elements : 0);
  step.run = [=](const StepContext& context) -> Status {
    int64_t* list = reinterpret_cast<int64_t*>(context.scratch);
    for (size_t i = 0; i < count; ++i) {
      list[i] = IndexAt(type, context.tensors[indices], i);
    }
    const std::byte* from = context.tensors[x];
    std::byte* to = context.tensors[y];
    if (narrow) {
      to = context.scratch + count * sizeof(int64_t);
      kernels::Unpack(packing, from_elements, from, to + to_elements);
      from = to + to_elements;
    }
    for (size_t b = 0; b < batches; ++b) {
      const size_t done = kernels::RunGather(
          outer, rows, row, {list + b * each, each},
          from + b * outer * rows * row, to + b * outer * each * row);
      if (done == each) continue;
      return Invalid("index {} is {}, allowed 0 to {}", b * each + done,
                     list[b * each + done], rows == 0 ? 0 : rows - 1);
    }
    if (narrow) kernels::Pack(packing, to_elements, to, context.tensors[y]);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

namespace {

bool TableAsOutput(const OpTypes& types) {
  return types.Has(1) && types.In(1).type == types.Out(0).type;
}

// Whether the bytes of all inputs mean what they would in the output.
bool QuantizedAlike(const OpTypes& types) {
  const graph::Tensor& out = types.Out(0);
  if (out.type != graph::Type::kInt8 && out.type != graph::Type::kUint8 &&
      out.type != graph::Type::kInt16) {
    return true;
  }
  const auto same = [](const auto& a, const auto& b) {
    if (!a || !b) return !a == !b || (a ? a->scale : b->scale).empty();
    return a->scale == b->scale && a->zero_point == b->zero_point;
  };
  for (size_t i = 0; i < types.op.inputs.size(); ++i) {
    if (!types.Has(i)) return false;
    if (!same(types.In(i).quantization, out.quantization)) return false;
  }
  return true;
}

}  // namespace

namespace {

constexpr TypeMask kAll = kMovable | kNarrow;

constexpr OpRow kRows[] = {
    {OpCode::kReshape, PrepareReshape, kAll},
    {OpCode::kExpandDims, PrepareReshape, kAll},
    {OpCode::kSqueeze, PrepareReshape, kAll},
    {OpCode::kTranspose, PrepareTranspose, kAll},
    {OpCode::kSlice, PrepareSlice, kAll},
    {OpCode::kStridedSlice, PrepareStridedSlice, kAll},
    {OpCode::kConcatenation, PrepareConcatenation, kAll, -1, QuantizedAlike,
     "inputs and output quantized alike"},
    {OpCode::kPack, PreparePack, kAll},
    {OpCode::kSplit, PrepareSplit, kAll},
    {OpCode::kSplitV, PrepareSplit, kAll},
    {OpCode::kUnpack, PrepareUnpack, kAll},
    {OpCode::kPad, PreparePad, kAll},
    {OpCode::kBroadcastTo, PrepareBroadcastTo, kAll},
    {OpCode::kTile, PrepareTile, kAll},
    {OpCode::kGather, PrepareGather, kAll},
    {OpCode::kEmbeddingLookup, PrepareGather, kMovable, -1, TableAsOutput,
     "table and output of one type"},
};

}  // namespace

std::span<const OpRow> MovementRows() { return kRows; }

}  // namespace lathe::plan
