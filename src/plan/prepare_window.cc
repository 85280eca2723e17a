// StableHLO operators, window reductions, diagonals, DILATE, ADD_N and
// FAKE_QUANT.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "src/kernels/elementwise/broadcast.h"
#include "src/kernels/elementwise/fake_quant.h"
#include "src/kernels/window/combine.h"
#include "src/kernels/window/reduce_window.h"
#include "src/kernels/window/slices.h"
#include "src/plan/copies.h"
#include "src/plan/lowering.h"
#include "src/plan/operands.h"
#include "src/plan/prepare.h"

namespace lathe::plan {
namespace {

using graph::OpCode;
using graph::Type;
using kernels::Combine;
using kernels::Number;

constexpr TypeMask kNumbers =
    kIntegers | Types({Type::kFloat32, Type::kFloat64, Type::kFloat16,
                       Type::kBfloat16, Type::kBool});

Result<kernels::CombineFn> CombineFor(Combine combine, Type type) {
  const std::optional<Number> number = NumberOf(type);
  const kernels::CombineFn fn =
      number ? kernels::CombineOf(combine, *number) : nullptr;
  if (fn == nullptr) return Unsupported("no kernel for {}", Name(type));
  return fn;
}

Combine ElementwiseOf(OpCode code) {
  switch (code) {
    case OpCode::kStablehloMultiply:
      return Combine::kMultiply;
    case OpCode::kStablehloMaximum:
      return Combine::kMaximum;
    case OpCode::kStablehloMinimum:
      return Combine::kMinimum;
    case OpCode::kStablehloAnd:
      return Combine::kAnd;
    case OpCode::kStablehloShiftLeft:
      return Combine::kShiftLeft;
    default:
      return Combine::kAdd;
  }
}

Status PrepareStablehloBinary(Lowering& lowering, const Node& node) {
  const int32_t a = node.inputs[0], b = node.inputs[1], y = node.outputs[0];
  LATHE_ASSIGN(const kernels::CombineFn combine,
               CombineFor(ElementwiseOf(node.op->code), lowering.TypeOf(y)));
  if (lowering.ShapeOf(a) != lowering.ShapeOf(b)) {
    return Invalid("inputs of shapes {} and {}; they must be equal",
                   graph::ToString(lowering.ShapeOf(a)),
                   graph::ToString(lowering.ShapeOf(b)));
  }
  const size_t n = lowering.Elements(y), bytes = ElementBytes(lowering, y);
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {a, b};
  step.outputs = {y};
  step.may_overwrite = a;
  step.run = [=](const StepContext& context) -> Status {
    constexpr size_t kPiece = 8192;
    context.pool->Run((n + kPiece - 1) / kPiece, [&](size_t job, size_t) {
      const size_t at = job * kPiece;
      combine(std::min(kPiece, n - at), context.tensors[a] + at * bytes,
              context.tensors[b] + at * bytes, context.tensors[y] + at * bytes);
    });
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// What a region of two values does: its one operator. Without an operator it
// returns its second value.
Result<Combine> RegionOf(const Lowering& lowering, int64_t index) {
  const auto& subgraphs = lowering.graph().subgraphs;
  if (index < 0 || index >= static_cast<int64_t>(subgraphs.size())) {
    return Invalid("region {}; there are {} subgraphs", index,
                   subgraphs.size());
  }
  const graph::Subgraph& region = subgraphs[index];
  const auto unknown = [&] {
    return Unsupported(
        "region {} \"{}\" has no kernel: only one operator on its two values "
        "has",
        index, region.name);
  };
  if (region.inputs.size() != 2 || region.outputs.size() != 1) return unknown();
  if (region.ops.empty()) {
    if (region.outputs[0] != region.inputs[1]) return unknown();
    return Combine::kReplace;
  }
  const graph::Op& op = region.ops[0];
  if (region.ops.size() != 1 || op.outputs != region.outputs ||
      !std::ranges::is_permutation(op.inputs, region.inputs) ||
      op.options.Int("fused_activation_function") != 0) {
    return unknown();
  }
  switch (op.code) {
    case OpCode::kAdd:
    case OpCode::kStablehloAdd:
      return Combine::kAdd;
    case OpCode::kMul:
    case OpCode::kStablehloMultiply:
      return Combine::kMultiply;
    case OpCode::kMaximum:
    case OpCode::kStablehloMaximum:
      return Combine::kMaximum;
    case OpCode::kMinimum:
    case OpCode::kStablehloMinimum:
      return Combine::kMinimum;
    case OpCode::kLogicalAnd:
    case OpCode::kStablehloAnd:
      return Combine::kAll;
    case OpCode::kLogicalOr:
    case OpCode::kStablehloOr:
      return Combine::kAny;
    default:
      return unknown();
  }
}

Status AddReduceWindow(Lowering& lowering, const Node& node, Combine kind,
                       kernels::WindowShape shape) {
  const int32_t x = node.inputs[0], initial = node.inputs[1];
  const int32_t y = node.outputs[0];
  LATHE_ASSIGN(const kernels::CombineFn combine,
               CombineFor(kind, lowering.TypeOf(y)));
  shape.element_bytes = ElementBytes(lowering, y);
  // A few bytes of a file must not ask for days of work.
  constexpr uint64_t kMostSteps = uint64_t{1} << 40;
  uint64_t steps = 1;
  for (size_t i = 0; i < shape.rank; ++i) {
    if (__builtin_mul_overflow(steps,
                               static_cast<uint64_t>(shape.axes[i].out) *
                                   static_cast<uint64_t>(shape.axes[i].window),
                               &steps) ||
        steps > kMostSteps) {
      return Invalid("more than {} numbers meet its windows", kMostSteps);
    }
  }
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {x, initial};
  step.outputs = {y};
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunReduceWindow(combine, shape, context.tensors[x],
                             context.tensors[initial], context.tensors[y],
                             *context.pool, context.stop);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

kernels::WindowShape WindowShapeOf(const Lowering& lowering, const Node& node) {
  const graph::Shape& in = lowering.ShapeOf(node.inputs[0]);
  const graph::Shape& out = lowering.ShapeOf(node.outputs[0]);
  kernels::WindowShape shape;
  shape.rank = in.size();
  for (size_t i = 0; i < in.size(); ++i) {
    shape.axes[i].in = in[i];
    shape.axes[i].out = out[i];
  }
  return shape;
}

Status PrepareReduceWindow(Lowering& lowering, const Node& node) {
  LATHE_ASSIGN(const auto window, lowering.Ints(node.inputs[2]));
  LATHE_ASSIGN(const auto stride, lowering.Ints(node.inputs[3]));
  LATHE_ASSIGN(const auto dilation, lowering.Ints(node.inputs[4]));
  kernels::WindowShape shape = WindowShapeOf(lowering, node);
  for (size_t i = 0; i < shape.rank; ++i) {
    shape.axes[i].window = window[i];
    shape.axes[i].stride = stride[i];
    shape.axes[i].window_dilation = dilation[i];
  }
  static constexpr Combine kKinds[] = {Combine::kAdd,     Combine::kMultiply,
                                       Combine::kMinimum, Combine::kMaximum,
                                       Combine::kAll,     Combine::kAny};
  const int64_t kind = node.op->options.Int("reduce_function");
  if (kind < 1 || kind > 6) {
    return Invalid("reduce_function is {}; allowed: 1 to 6", kind);
  }
  return AddReduceWindow(lowering, node, kKinds[kind - 1], shape);
}

// An option with a number for each axis, or the same for all.
std::vector<int64_t> PerAxis(const Node& node, std::string_view field,
                             size_t count, int64_t otherwise) {
  std::vector<int64_t> values = node.op->options.Ints(field);
  if (values.empty()) values.assign(count, otherwise);
  return values;
}

Status PrepareStablehloReduceWindow(Lowering& lowering, const Node& node) {
  LATHE_ASSIGN(const Combine kind,
               RegionOf(lowering, node.op->options.Int("body_subgraph_index")));
  if (kind == Combine::kReplace) {
    return Unsupported("a reduction that keeps the last value has no kernel");
  }
  kernels::WindowShape shape = WindowShapeOf(lowering, node);
  const size_t rank = shape.rank;
  const auto window = PerAxis(node, "window_dimensions", rank, 1);
  const auto stride = PerAxis(node, "window_strides", rank, 1);
  const auto base = PerAxis(node, "base_dilations", rank, 1);
  const auto dilation = PerAxis(node, "window_dilations", rank, 1);
  const auto padding = PerAxis(node, "padding", 2 * rank, 0);
  for (size_t i = 0; i < rank; ++i) {
    kernels::WindowAxis& axis = shape.axes[i];
    axis.window = window[i];
    axis.stride = stride[i];
    axis.base_dilation = base[i];
    axis.window_dilation = dilation[i];
    axis.low = padding[2 * i];
  }
  return AddReduceWindow(lowering, node, kind, shape);
}

// x, padding value: elements 1 + interior apart from edge_padding_low on; what
// falls outside is cut.
Status PrepareStablehloPad(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const graph::Shape& in = lowering.ShapeOf(x);
  const graph::Shape& out = lowering.ShapeOf(y);
  const auto low = PerAxis(node, "edge_padding_low", in.size(), 0);
  const auto interior = PerAxis(node, "interior_padding", in.size(), 0);
  const auto from = StridesOf(in), to = StridesOf(out);
  kernels::CopyLoops loops;
  for (size_t i = 0; i < in.size(); ++i) {
    const int64_t step = interior[i] + 1;
    const int64_t first = low[i] < 0 ? (-low[i] + step - 1) / step : 0;
    const int64_t room = int64_t{out[i]} - 1 - low[i];
    const int64_t end =
        room < 0 ? 0 : std::min<int64_t>(in[i], room / step + 1);
    loops.Add(static_cast<size_t>(std::max<int64_t>(0, end - first)), from[i],
              static_cast<ptrdiff_t>(step) * to[i]);
    loops.from_first += static_cast<ptrdiff_t>(first) * from[i];
    loops.to_first += static_cast<ptrdiff_t>(first * step + low[i]) * to[i];
  }
  AddCopies(lowering, node, {{loops, x}}, y, {{}, node.inputs[1]});
  return {};
}

// x, dilations, filling value.
Status PrepareDilate(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], fill = node.inputs[2], y = node.outputs[0];
  LATHE_ASSIGN(const auto dilations, lowering.Ints(node.inputs[1]));
  if (lowering.Elements(fill) != 1 ||
      lowering.TypeOf(fill) != lowering.TypeOf(y)) {
    return Invalid("the filling value is {}{}; it must be one {}",
                   Name(lowering.TypeOf(fill)),
                   graph::ToString(lowering.ShapeOf(fill)),
                   Name(lowering.TypeOf(y)));
  }
  const graph::Shape& in = lowering.ShapeOf(x);
  const auto from = StridesOf(in), to = StridesOf(lowering.ShapeOf(y));
  kernels::CopyLoops loops;
  for (size_t i = 0; i < in.size(); ++i) {
    loops.Add(static_cast<size_t>(in[i]), from[i],
              static_cast<ptrdiff_t>(dilations[i]) * to[i]);
  }
  AddCopies(lowering, node, {{loops, x}}, y, {{}, fill});
  return {};
}

bool Contains(const std::vector<int64_t>& axes, size_t axis) {
  return std::ranges::find(axes, static_cast<int64_t>(axis)) != axes.end();
}

// `parts` walks inside the slices along `inside` of its axes, in the order of
// the axes of `whole` that are not among `dropped`.
kernels::SliceShape SliceShapeOf(const Lowering& lowering, int32_t whole,
                                 int32_t indices, int32_t parts,
                                 const std::vector<int64_t>& inside,
                                 const std::vector<int64_t>& dropped,
                                 const std::vector<int64_t>& component_axes,
                                 int64_t vector_axis) {
  kernels::SliceShape shape;
  const graph::Shape& dims = lowering.ShapeOf(whole);
  const graph::Shape& part = lowering.ShapeOf(parts);
  const graph::Shape& index = lowering.ShapeOf(indices);
  const auto strides = StridesOf(index);
  shape.whole_rank = dims.size();
  std::copy(dims.begin(), dims.end(), shape.whole.begin());
  shape.part_rank = part.size();
  size_t next_axis = 0, next_index = 0;
  for (size_t i = 0; i < part.size(); ++i) {
    shape.parts[i].size = static_cast<size_t>(part[i]);
    if (Contains(inside, i)) {
      while (Contains(dropped, next_axis)) ++next_axis;
      shape.parts[i].whole_axis = static_cast<int>(next_axis++);
      continue;
    }
    if (static_cast<int64_t>(next_index) == vector_axis) ++next_index;
    shape.parts[i].index_stride = static_cast<size_t>(strides[next_index++]);
  }
  shape.components = component_axes.size();
  for (size_t c = 0; c < component_axes.size(); ++c) {
    shape.component_axis[c] = static_cast<size_t>(component_axes[c]);
  }
  // Behind the last axis each index is a vector of one.
  shape.component_stride =
      static_cast<size_t>(vector_axis) < index.size()
          ? static_cast<size_t>(strides[static_cast<size_t>(vector_axis)])
          : 0;
  shape.wide = lowering.TypeOf(indices) == Type::kInt64;
  shape.element_bytes = ElementBytes(lowering, whole);
  return shape;
}

Status PrepareStablehloGather(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], indices = node.inputs[1];
  const int32_t y = node.outputs[0];
  const graph::Options& options = node.op->options;
  kernels::SliceShape shape = SliceShapeOf(
      lowering, x, indices, y, options.Ints("offset_dims"),
      options.Ints("collapsed_slice_dims"), options.Ints("start_index_map"),
      options.Int("index_vector_dim"));
  const std::vector<int64_t> slice = options.Ints("slice_sizes");
  std::copy(slice.begin(), slice.end(), shape.slice.begin());
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {x, indices};
  step.outputs = {y};
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunGatherSlices(shape, context.tensors[x],
                             context.tensors[indices], context.tensors[y]);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareStablehloScatter(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], indices = node.inputs[1];
  const int32_t updates = node.inputs[2], y = node.outputs[0];
  const graph::Options& options = node.op->options;
  LATHE_ASSIGN(
      const Combine kind,
      RegionOf(lowering, options.Int("update_computation_subgraph_index")));
  LATHE_ASSIGN(const kernels::CombineFn combine,
               CombineFor(kind, lowering.TypeOf(y)));
  const kernels::SliceShape shape = SliceShapeOf(
      lowering, x, indices, updates, options.Ints("update_window_dims"),
      options.Ints("inserted_window_dims"),
      options.Ints("scatter_dims_to_operand_dims"),
      options.Int("index_vector_dim"));
  const size_t bytes = lowering.Elements(y) * shape.element_bytes;
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {x, indices, updates};
  step.outputs = {y};
  step.may_overwrite = x;
  step.run = [=](const StepContext& context) -> Status {
    std::byte* to = context.tensors[y];
    if (to != context.tensors[x] && bytes > 0) {
      std::memcpy(to, context.tensors[x], bytes);
    }
    kernels::RunScatterSlices(shape, combine, context.tensors[updates],
                              context.tensors[indices], to);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// The last axis of the input becomes the diagonal of matrices.
Status PrepareMatrixDiag(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const ptrdiff_t n = lowering.ShapeOf(x).back();
  const size_t rows = n ? lowering.Elements(x) / static_cast<size_t>(n) : 0;
  kernels::CopyLoops loops;
  loops.Add(rows, n, n * n);
  loops.Add(static_cast<size_t>(n), 1, n + 1);
  AddCopies(lowering, node, {{loops, x}}, y, {ZeroOf(lowering, y), -1});
  return {};
}

// The input with the second one as the diagonal of its matrices.
Status PrepareMatrixSetDiag(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], diagonal = node.inputs[1];
  const int32_t y = node.outputs[0];
  const graph::Shape& dims = lowering.ShapeOf(x);
  const ptrdiff_t rows = dims[dims.size() - 2], columns = dims.back();
  const ptrdiff_t n = std::min(rows, columns);
  graph::Shape expected(dims.begin(), dims.end() - 2);
  expected.push_back(static_cast<int32_t>(n));
  if (lowering.ShapeOf(diagonal) != expected ||
      lowering.TypeOf(diagonal) != lowering.TypeOf(x)) {
    return Invalid(
        "diagonal {}{} for {}{}; allowed: {}", Name(lowering.TypeOf(diagonal)),
        graph::ToString(lowering.ShapeOf(diagonal)), Name(lowering.TypeOf(x)),
        graph::ToString(dims), graph::ToString(expected));
  }
  const size_t elements = lowering.Elements(x);
  const ptrdiff_t plane = rows * columns;
  const size_t planes = plane ? elements / static_cast<size_t>(plane) : 0;
  kernels::CopyLoops all, line;
  all.Add(elements, 1, 1);
  line.Add(planes, n, plane);
  line.Add(static_cast<size_t>(n), 1, columns + 1);
  AddCopies(lowering, node, {{all, x}, {line, diagonal}}, y);
  return {};
}

Status PrepareAddN(Lowering& lowering, const Node& node) {
  const int32_t y = node.outputs[0];
  for (const int32_t x : node.inputs) {
    if (lowering.TypeOf(x) == lowering.TypeOf(y)) continue;
    return Invalid("an input is {}, the output {}", Name(lowering.TypeOf(x)),
                   Name(lowering.TypeOf(y)));
  }
  LATHE_ASSIGN(const kernels::CombineFn add,
               CombineFor(Combine::kAdd, lowering.TypeOf(y)));
  const size_t n = lowering.Elements(y), bytes = ElementBytes(lowering, y);
  Step step;
  step.name = "ADD_N";
  step.inputs = node.inputs;
  step.outputs = {y};
  step.run = [=, inputs = node.inputs](const StepContext& context) -> Status {
    constexpr size_t kPiece = 4096;
    context.pool->Run((n + kPiece - 1) / kPiece, [&](size_t job, size_t) {
      const size_t at = job * kPiece, count = std::min(kPiece, n - at);
      std::byte* to = context.tensors[y] + at * bytes;
      std::memcpy(to, context.tensors[inputs[0]] + at * bytes, count * bytes);
      for (size_t i = 1; i < inputs.size(); ++i) {
        add(count, to, context.tensors[inputs[i]] + at * bytes, to);
      }
    });
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareFakeQuant(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const graph::Options& options = node.op->options;
  const float min = static_cast<float>(options.Float("min"));
  const float max = static_cast<float>(options.Float("max"));
  const int64_t bits = options.Int("num_bits");
  if (bits < 2 || bits > 16) {
    return Invalid("num_bits is {}; allowed: 2 to 16", bits);
  }
  if (!(min <= 0 && max >= 0 && min < max) || !std::isfinite(max - min)) {
    return Invalid("a range from {} to {}; it must be finite and contain 0",
                   min, max);
  }
  const kernels::FakeQuant grid = kernels::PlanFakeQuant(
      min, max, static_cast<int>(bits), options.Bool("narrow_range"));
  const size_t n = lowering.Elements(x);
  Step step;
  step.name = "FAKE_QUANT";
  step.inputs = {x};
  step.outputs = {y};
  step.may_overwrite = x;
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunFakeQuant(grid, n, context.As<float>(x), context.As<float>(y),
                          *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

constexpr OpRow kRows[] = {
    {OpCode::kStablehloAdd, PrepareStablehloBinary, kNumbers, -1, KeepsType,
     kKeepsType},
    {OpCode::kStablehloMultiply, PrepareStablehloBinary, kNumbers, -1,
     KeepsType, kKeepsType},
    {OpCode::kStablehloMaximum, PrepareStablehloBinary, kNumbers, -1, KeepsType,
     kKeepsType},
    {OpCode::kStablehloMinimum, PrepareStablehloBinary, kNumbers, -1, KeepsType,
     kKeepsType},
    {OpCode::kStablehloAnd, PrepareStablehloBinary,
     kIntegers | Types({Type::kBool}), -1, KeepsType, kKeepsType},
    {OpCode::kStablehloShiftLeft, PrepareStablehloBinary, kIntegers, -1,
     KeepsType, kKeepsType},
    {OpCode::kReduceWindow, PrepareReduceWindow, kNumbers, -1, KeepsType,
     kKeepsType},
    {OpCode::kStablehloReduceWindow, PrepareStablehloReduceWindow, kNumbers, -1,
     KeepsType, kKeepsType},
    {OpCode::kStablehloPad, PrepareStablehloPad, kMovable, -1, KeepsType,
     kKeepsType},
    {OpCode::kStablehloGather, PrepareStablehloGather, kMovable, -1, KeepsType,
     kKeepsType},
    {OpCode::kStablehloScatter, PrepareStablehloScatter, kNumbers, -1,
     KeepsType, kKeepsType},
    {OpCode::kDilate, PrepareDilate, kMovable, -1, KeepsType, kKeepsType},
    {OpCode::kMatrixDiag, PrepareMatrixDiag, kMovable, -1, KeepsType,
     kKeepsType},
    {OpCode::kMatrixSetDiag, PrepareMatrixSetDiag, kMovable, -1, KeepsType,
     kKeepsType},
    {OpCode::kAddN, PrepareAddN, kNumbers, -1, KeepsType, kKeepsType},
    {OpCode::kFakeQuant, PrepareFakeQuant, kFloat32, -1, KeepsType, kKeepsType},
};

}  // namespace

std::span<const OpRow> WindowRows() { return kRows; }

}  // namespace lathe::plan
