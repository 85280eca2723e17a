#include "src/plan/string_op.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "src/graph/shape_rule.h"
#include "src/kernels/elementwise/broadcast.h"
#include "src/kernels/elementwise/select.h"
#include "src/kernels/movement/movement.h"
#include "src/kernels/strings/strings.h"
#include "src/plan/lowering.h"
#include "src/plan/operands.h"
#include "src/plan/prepare.h"

namespace lathe::plan {
namespace {

using graph::KnownTensor;
using graph::OpCode;
using graph::Shape;
using graph::Type;
using kernels::CopyLoops;
using kernels::StringsView;
using Strides = std::array<ptrdiff_t, kernels::kMaxCopyRank>;

Strides StridesOf(const Shape& shape) {
  Strides strides{};
  kernels::RowMajorStrides(shape, strides.data());
  return strides;
}

// One call, its operands checked.
struct Call {
  const graph::Op& op;
  std::span<const KnownTensor* const> inputs;
  std::span<const std::span<const std::byte>> bytes;
  std::span<const KnownTensor> outputs;
  std::span<std::vector<std::byte>> out;

  const Shape& ShapeOf(size_t i) const { return inputs[i]->shape; }
  StringsView Strings(size_t i) const { return StringsView(bytes[i].data()); }
  size_t Count(size_t i) const { return Product(ShapeOf(i)); }
  Result<std::vector<int64_t>> Ints(size_t i) const {
    if (i < inputs.size() && inputs[i] != nullptr) {
      if (auto values =
              graph::IntegersIn(inputs[i]->type, Count(i), bytes[i])) {
        return *std::move(values);
      }
    }
    return Invalid("input {} holds no integers", i);
  }
  size_t Axis(std::string_view option, size_t rank) const {
    return AxisOf(op.options.Int(option), rank);
  }
};

// out[0][i] = x at first + i * step along each of its dims.
Status TakePart(const Call& call, size_t x, size_t output,
                std::span<const int64_t> first, std::span<const int64_t> step,
                std::span<const int64_t> size) {
  const Strides strides = StridesOf(call.ShapeOf(x));
  CopyLoops loops;
  for (size_t i = 0; i < size.size(); ++i) {
    loops.from_first += static_cast<ptrdiff_t>(first[i]) * strides[i];
    loops.Add(static_cast<size_t>(size[i]),
              static_cast<ptrdiff_t>(step[i]) * strides[i], 0);
  }
  return kernels::RunStringCopy(loops, call.Strings(x), call.out[output]);
}

Status Slice(const Call& call) {
  LATHE_ASSIGN(const std::vector<int64_t> begin, call.Ints(1));
  const Shape& out = call.outputs[0].shape;
  const Shape& in = call.ShapeOf(0);
  bool fits = begin.size() == in.size() && out.size() == in.size();
  for (size_t i = 0; fits && i < in.size(); ++i) {
    fits = begin[i] >= 0 && begin[i] <= in[i] - out[i];
  }
  if (!fits) {
    return Invalid("no part {} of {} begins there", graph::ToString(out),
                   graph::ToString(in));
  }
  return TakePart(call, 0, 0, begin, std::vector<int64_t>(in.size(), 1),
                  std::vector<int64_t>(out.begin(), out.end()));
}

Status StridedSlice(const Call& call) {
  LATHE_ASSIGN(const std::vector<int64_t> begin, call.Ints(1));
  LATHE_ASSIGN(const std::vector<int64_t> end, call.Ints(2));
  LATHE_ASSIGN(const std::vector<int64_t> strides, call.Ints(3));
  LATHE_ASSIGN(const std::vector<graph::SliceAxis> axes,
               graph::StridedSliceAxes(call.op.options, call.ShapeOf(0), begin,
                                       end, strides));
  std::vector<int64_t> first, step, size;
  for (const graph::SliceAxis& axis : axes) {
    if (axis.kind != graph::SliceAxis::Kind::kTake) continue;
    first.push_back(axis.begin);
    step.push_back(axis.stride);
    size.push_back(axis.count);
  }
  return TakePart(call, 0, 0, first, step, size);
}

Status Transpose(const Call& call) {
  LATHE_ASSIGN(const std::vector<int64_t> order, call.Ints(1));
  const Strides from = StridesOf(call.ShapeOf(0));
  CopyLoops loops;
  for (const int64_t each : order) {
    LATHE_ASSIGN(const size_t axis, CheckedAxis(each, call.ShapeOf(0).size()));
    loops.Add(static_cast<size_t>(call.ShapeOf(0)[axis]), from[axis], 0);
  }
  return kernels::RunStringCopy(loops, call.Strings(0), call.out[0]);
}

Status Reverse(const Call& call) {
  LATHE_ASSIGN(const std::vector<int64_t> axes, call.Ints(1));
  const Shape& in = call.ShapeOf(0);
  std::vector<int64_t> first(in.size(), 0), step(in.size(), 1);
  for (const int64_t each : axes) {
    LATHE_ASSIGN(const size_t axis, CheckedAxis(each, in.size()));
    first[axis] = in[axis] - 1;
    step[axis] = -1;
  }
  return TakePart(call, 0, 0, first, step,
                  std::vector<int64_t>(in.begin(), in.end()));
}

// TILE and BROADCAST_TO: index modulo the input's dim.
Status Repeat(const Call& call) {
  const Shape& in = call.ShapeOf(0);
  const Shape& out = call.outputs[0].shape;
  const Strides strides = StridesOf(in);
  const StringsView from = call.Strings(0);
  return kernels::WriteStrings(
      Product(out),
      [&](size_t i) {
        ptrdiff_t at = 0;
        for (size_t d = out.size(); d-- > 0;) {
          const auto size = static_cast<size_t>(out[d]);
          const size_t index = i % size;
          i /= size;
          if (d + in.size() < out.size()) continue;
          const size_t axis = d + in.size() - out.size();
          at += static_cast<ptrdiff_t>(index % static_cast<size_t>(in[axis])) *
                strides[axis];
        }
        return from[static_cast<size_t>(at)];
      },
      call.out[0]);
}

Status Join(const Call& call, bool packed) {
  const Shape& out = call.outputs[0].shape;
  const size_t axis = call.Axis("axis", out.size());
  const size_t outer = Product(std::span(out).first(axis));
  const size_t inner = Product(std::span(out).subspan(axis + 1));
  std::vector<StringsView> parts;
  std::vector<size_t> widths;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    parts.push_back(call.Strings(i));
    widths.push_back(inner *
                     (packed ? 1 : static_cast<size_t>(call.ShapeOf(i)[axis])));
  }
  return kernels::RunStringJoin(parts, widths, outer, call.out[0]);
}

Status Part(const Call& call, size_t x, size_t axis) {
  const Shape& in = call.ShapeOf(x);
  const bool drops = call.op.code == OpCode::kUnpack;
  std::vector<int64_t> first(in.size(), 0);
  const std::vector<int64_t> step(in.size(), 1);
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    std::vector<int64_t> size(in.begin(), in.end());
    size[axis] = drops ? 1 : call.outputs[i].shape[axis];
    if (first[axis] + size[axis] > in[axis]) {
      return Invalid("the parts are longer than axis {} of {}", axis,
                     graph::ToString(in));
    }
    LATHE_TRY(TakePart(call, x, i, first, step, size));
    first[axis] += size[axis];
  }
  return {};
}

Status Split(const Call& call) {
  const bool sized = call.op.code == OpCode::kSplitV;
  const size_t x = sized ? 0 : 1;
  LATHE_ASSIGN(const std::vector<int64_t> axis, call.Ints(sized ? 2 : 0));
  if (axis.size() != 1) {
    return Invalid("its axis has {} values, expected 1", axis.size());
  }
  LATHE_ASSIGN(const size_t normal,
               CheckedAxis(axis[0], call.ShapeOf(x).size()));
  return Part(call, x, normal);
}

Status Gather(const Call& call) {
  LATHE_ASSIGN(const std::vector<int64_t> indices, call.Ints(1));
  const Shape& in = call.ShapeOf(0);
  const std::span<const int32_t> dims = in;
  const size_t axis = call.Axis("axis", in.size());
  const size_t batch_dims = call.Axis("batch_dims", call.ShapeOf(1).size());
  const size_t batches = Product(dims.first(batch_dims));
  const size_t outer = Product(dims.subspan(batch_dims, axis - batch_dims));
  const size_t rows = static_cast<size_t>(in[axis]);
  const size_t inner = Product(dims.subspan(axis + 1));
  if (batches == 1) {
    return kernels::RunStringGather(outer, rows, inner, indices,
                                    call.Strings(0), call.out[0]);
  }
  const size_t each = batches == 0 ? 0 : indices.size() / batches;
  for (size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] >= 0 && indices[i] < in[axis]) continue;
    return Invalid("index {} is {}, allowed 0 to {}", i, indices[i],
                   rows == 0 ? 0 : rows - 1);
  }
  const StringsView table = call.Strings(0);
  return kernels::WriteStrings(
      Product(call.outputs[0].shape),
      [&](size_t i) {
        const size_t column = i % inner, index = i / inner % each;
        const size_t plane = i / inner / each;
        const auto row =
            static_cast<size_t>(indices[plane / outer * each + index]);
        return table[(plane * rows + row) * inner + column];
      },
      call.out[0]);
}

Status GatherNd(const Call& call) {
  LATHE_ASSIGN(const std::vector<int64_t> indices, call.Ints(1));
  const std::span<const int32_t> in = call.ShapeOf(0);
  const std::span<const int32_t> rows_of = call.ShapeOf(1);
  const auto depth = static_cast<size_t>(rows_of.back());
  return kernels::RunStringGatherNd(
      in.first(depth), Product(in.subspan(depth)), indices,
      Product(rows_of.first(rows_of.size() - 1)), call.Strings(0), call.out[0]);
}

Status Select(const Call& call) {
  Shape condition = call.ShapeOf(0);
  const Shape& out = call.outputs[0].shape;
  if (call.op.code == OpCode::kSelect && condition != out) {
    if (call.Count(0) == 1) {
      condition.clear();
    } else {
      condition.resize(out.size(), 1);  // It chooses along the first axis.
    }
  }
  if (call.bytes[0].size() != call.Count(0)) {
    return Invalid("the condition has {} bytes, expected {}",
                   call.bytes[0].size(), call.Count(0));
  }
  return kernels::RunStringSelect(
      kernels::PlanSelect(condition, call.ShapeOf(1), call.ShapeOf(2), out),
      reinterpret_cast<const uint8_t*>(call.bytes[0].data()), call.Strings(1),
      call.Strings(2), call.out[0]);
}

Status Compare(const Call& call) {
  const kernels::BroadcastLoops loops = kernels::PlanBroadcast(
      call.ShapeOf(0), call.ShapeOf(1), call.outputs[0].shape);
  call.out[0].resize(loops.elements);
  kernels::RunStringEqual(call.Strings(0), call.Strings(1), loops,
                          call.op.code == OpCode::kEqual,
                          reinterpret_cast<uint8_t*>(call.out[0].data()));
  return {};
}

// SHAPE and RANK.
Status Sizes(const Call& call) {
  std::vector<int64_t> values(call.ShapeOf(0).begin(), call.ShapeOf(0).end());
  if (call.op.code == OpCode::kRank) {
    values = {static_cast<int64_t>(call.ShapeOf(0).size())};
  }
  const size_t width = call.outputs[0].type == Type::kInt64 ? 8 : 4;
  call.out[0].resize(values.size() * width);
  for (size_t i = 0; i < values.size(); ++i) {
    // Little-endian: the low bytes come first.
    std::memcpy(call.out[0].data() + i * width, &values[i], width);
  }
  return {};
}

// Whether input i of the operator holds what is moved or compared.
bool IsText(OpCode code, size_t i) {
  switch (code) {
    case OpCode::kConcatenation:
    case OpCode::kPack:
    case OpCode::kEqual:
    case OpCode::kNotEqual:
      return true;
    case OpCode::kSplit:
    case OpCode::kFill:
      return i == 1;
    case OpCode::kSelect:
    case OpCode::kSelectV2:
      return i != 0;
    default:
      return i == 0;
  }
}

// The types that a file stores may be any.
Status CheckTypes(const Call& call) {
  const OpCode code = call.op.code;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (!IsText(code, i)) continue;
    if (call.inputs[i] == nullptr || call.inputs[i]->type != Type::kString) {
      return Invalid("input {} holds no strings", i);
    }
    if (Status status = kernels::CheckStrings(call.bytes[i], call.Count(i));
        !status) {
      return Invalid("input {}: {}", i, status.error().message);
    }
  }
  for (const KnownTensor& output : call.outputs) {
    bool fits = output.type == Type::kString;
    if (code == OpCode::kEqual || code == OpCode::kNotEqual) {
      fits = output.type == Type::kBool;
    } else if (code == OpCode::kShape || code == OpCode::kRank) {
      fits = output.type == Type::kInt32 || output.type == Type::kInt64;
    }
    if (!fits) return Invalid("an output of strings is {}", Name(output.type));
  }
  return {};
}

Status Run(const Call& call) {
  LATHE_TRY(CheckTypes(call));
  switch (call.op.code) {
    case OpCode::kReshape:
    case OpCode::kExpandDims:
    case OpCode::kSqueeze:
      call.out[0].assign(call.bytes[0].begin(), call.bytes[0].end());
      return {};
    case OpCode::kTranspose:
      return Transpose(call);
    case OpCode::kReverseV2:
      return Reverse(call);
    case OpCode::kSlice:
      return Slice(call);
    case OpCode::kStridedSlice:
      return StridedSlice(call);
    case OpCode::kTile:
    case OpCode::kBroadcastTo:
      return Repeat(call);
    case OpCode::kConcatenation:
      return Join(call, false);
    case OpCode::kPack:
      return Join(call, true);
    case OpCode::kSplit:
    case OpCode::kSplitV:
      return Split(call);
    case OpCode::kUnpack:
      return Part(call, 0, call.Axis("axis", call.ShapeOf(0).size()));
    case OpCode::kGather:
      return Gather(call);
    case OpCode::kGatherNd:
      return GatherNd(call);
    case OpCode::kFill:
      return kernels::WriteStrings(
          Product(call.outputs[0].shape),
          [&](size_t) { return call.Strings(1)[0]; }, call.out[0]);
    case OpCode::kSelect:
    case OpCode::kSelectV2:
      return Select(call);
    case OpCode::kEqual:
    case OpCode::kNotEqual:
      return Compare(call);
    case OpCode::kShape:
    case OpCode::kRank:
      return Sizes(call);
    default:
      return Unsupported("no kernel for strings");
  }
}

// The row of an operator that is never planned.
Status PrepareBetweenPlans(Lowering&, const Node&) {
  return Unsupported("strings have no place in an arena");
}

constexpr TypeMask kString = Types({Type::kString});

constexpr OpRow kRows[] = {
    {OpCode::kReshape, PrepareBetweenPlans, kString},
    {OpCode::kExpandDims, PrepareBetweenPlans, kString},
    {OpCode::kSqueeze, PrepareBetweenPlans, kString},
    {OpCode::kTranspose, PrepareBetweenPlans, kString},
    {OpCode::kReverseV2, PrepareBetweenPlans, kString},
    {OpCode::kSlice, PrepareBetweenPlans, kString},
    {OpCode::kStridedSlice, PrepareBetweenPlans, kString},
    {OpCode::kTile, PrepareBetweenPlans, kString},
    {OpCode::kBroadcastTo, PrepareBetweenPlans, kString},
    {OpCode::kConcatenation, PrepareBetweenPlans, kString},
    {OpCode::kPack, PrepareBetweenPlans, kString},
    {OpCode::kSplit, PrepareBetweenPlans, kString},
    {OpCode::kSplitV, PrepareBetweenPlans, kString},
    {OpCode::kUnpack, PrepareBetweenPlans, kString},
    {OpCode::kGather, PrepareBetweenPlans, kString},
    {OpCode::kGatherNd, PrepareBetweenPlans, kString},
    {OpCode::kFill, PrepareBetweenPlans, kString},
    {OpCode::kSelect, PrepareBetweenPlans, kString},
    {OpCode::kSelectV2, PrepareBetweenPlans, kString},
};

}  // namespace

std::span<const OpRow> StringRows() { return kRows; }

Status RunStringOp(const graph::Op& op,
                   std::span<const KnownTensor* const> inputs,
                   std::span<const std::span<const std::byte>> input_bytes,
                   std::span<const KnownTensor> outputs,
                   std::span<std::vector<std::byte>> output_bytes) {
  if (inputs.size() != input_bytes.size() ||
      outputs.size() != output_bytes.size() || outputs.empty()) {
    return Invalid("{} inputs with bytes of {}, {} outputs with bytes of {}",
                   inputs.size(), input_bytes.size(), outputs.size(),
                   output_bytes.size());
  }
  return Run({op, inputs, input_bytes, outputs, output_bytes});
}

}  // namespace lathe::plan
