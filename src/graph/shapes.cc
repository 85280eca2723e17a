// Drives the shape rules: finds the rule, checks counts, walks a subgraph.

#include "src/graph/shapes.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "fmt/ranges.h"
#include "src/graph/shape_rule.h"

namespace lathe::graph {
namespace {

constexpr int kDeepestCall = 32;

// Rows by the operator's number; made on first use.
const std::vector<const RuleRow*>& RowsByCode() {
  static const std::vector<const RuleRow*> rows = [] {
    std::vector<const RuleRow*> by_code(AllOps().size(), nullptr);
    for (const auto table :
         {ElementwiseRules(), ContractionRules(), ReductionRules(),
          MovementRules(), IndexingRules(), FillingRules(), ImageRules(),
          RecurrentRules(), ControlRules(), StablehloRules()}) {
      for (const RuleRow& row : table) {
        if (row.code == OpCode::kCustom) continue;
        by_code[static_cast<size_t>(row.code)] = &row;
      }
    }
    return by_code;
  }();
  return rows;
}

template <typename T>
std::vector<int64_t> Widen(std::span<const std::byte> bytes) {
  std::vector<int64_t> values(bytes.size() / sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    values[i] = static_cast<int64_t>(value);
  }
  return values;
}

std::optional<std::vector<int64_t>> StoredValues(const Graph& graph,
                                                 const Tensor& tensor) {
  // Nothing to know: such as the shape of a scalar.
  if (IsFollowed(tensor.type) && ElementCount(tensor.shape) == 0) {
    return std::vector<int64_t>();
  }
  const Buffer& buffer = graph.BufferOf(tensor);
  if (buffer.produce || buffer.empty() || !IsFollowed(tensor.type) ||
      tensor.sparsity || ElementCount(tensor.shape) > kMostFollowedValues ||
      buffer.size() != ByteCount(tensor.type, tensor.shape)) {
    return std::nullopt;
  }
  return IntegersIn(tensor.type, ElementCount(tensor.shape), buffer.bytes);
}

}  // namespace

bool IsInteger(Type type) {
  switch (type) {
    case Type::kInt8:
    case Type::kUint8:
    case Type::kInt16:
    case Type::kUint16:
    case Type::kInt32:
    case Type::kUint32:
    case Type::kInt64:
    case Type::kUint64:
    case Type::kBool:
      return true;
    default:
      return false;
  }
}

std::optional<std::vector<int64_t>> IntegersIn(
    Type type, uint64_t count, std::span<const std::byte> bytes) {
  if (!IsInteger(type) || bytes.size() % (BitsPerElement(type) / 8) != 0 ||
      bytes.size() / (BitsPerElement(type) / 8) != count) {
    return std::nullopt;
  }
  switch (type) {
    case Type::kInt8:
      return Widen<int8_t>(bytes);
    case Type::kInt16:
      return Widen<int16_t>(bytes);
    case Type::kUint16:
      return Widen<uint16_t>(bytes);
    case Type::kInt32:
      return Widen<int32_t>(bytes);
    case Type::kUint32:
      return Widen<uint32_t>(bytes);
    case Type::kInt64:
      return Widen<int64_t>(bytes);
    case Type::kUint64:
      return Widen<uint64_t>(bytes);
    default:
      break;
  }
  std::vector<int64_t> values = Widen<uint8_t>(bytes);
  if (type == Type::kBool) {
    for (int64_t& value : values) value = value != 0;
  }
  return values;
}

const RuleRow* RuleOf(const Op& op) {
  if (op.code == OpCode::kCustom) {
    const std::span<const RuleRow> rows = CustomRules();
    const auto row = std::ranges::find(rows, op.custom_name, &RuleRow::custom);
    return row == rows.end() ? nullptr : &*row;
  }
  return RowsByCode()[static_cast<size_t>(op.code)];
}

Status RuleCall::Give(size_t output, Type type, const Dims& dims) {
  if (dims.size() > kMaxRank) {
    return Invalid("output {} would have {} dims, limit {}", output,
                   dims.size(), kMaxRank);
  }
  Shape shape(dims.size());
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] < 0 || dims[i] > INT32_MAX) {
      return Invalid("output {} would have the dims [{}]; each must be 0 to {}",
                     output, fmt::join(dims, ","), INT32_MAX);
    }
    shape[i] = static_cast<int32_t>(dims[i]);
  }
  return Give(output, type, shape);
}

Status RuleCall::Give(size_t output, Type type, const Shape& shape) {
  if (!OffsetsFit(shape)) {
    return Invalid("output {} would have shape {}, more than 2^62 bytes",
                   output, ToString(shape));
  }
  outputs[output].type = type;
  outputs[output].shape = shape;
  return {};
}

Result<std::vector<int64_t>> RuleCall::Values(size_t i) const {
  if (!Has(i)) return Invalid("input {} is left out", i);
  if (!In(i).values) {
    if (!IsInteger(In(i).type)) {
      return Invalid("input {} is {}; allowed are integers", i,
                     Name(In(i).type));
    }
    if (i < more.input_bytes.size()) {
      auto values =
          IntegersIn(In(i).type, ElementCount(ShapeOf(i)), more.input_bytes[i]);
      if (values) return *std::move(values);
      return Invalid("input {} is {}{}, but has {} bytes", i, Name(In(i).type),
                     ToString(ShapeOf(i)), more.input_bytes[i].size());
    }
    return Unsupported(
        "the output's shape depends on the values of input {} (shape {}), "
        "which are only known when the model runs",
        i, ToString(ShapeOf(i)));
  }
  return *In(i).values;
}

Result<int64_t> RuleCall::Value(size_t i) const {
  LATHE_ASSIGN(const std::vector<int64_t> values, Values(i));
  if (values.size() != 1) {
    return Invalid("input {} has {} values; allowed is 1", i, values.size());
  }
  return values[0];
}

Status RuleCall::RequireRank(size_t i, size_t lowest, size_t highest) const {
  const size_t rank = ShapeOf(i).size();
  if (rank >= lowest && rank <= highest) return {};
  if (lowest == highest) {
    return Invalid("input {} has shape {}; it must have {} dims", i,
                   ToString(ShapeOf(i)), lowest);
  }
  return Invalid("input {} has shape {}; it must have {} to {} dims", i,
                 ToString(ShapeOf(i)), lowest, highest);
}

Status RuleCall::RequireType(size_t i,
                             std::initializer_list<Type> allowed) const {
  const Type type = In(i).type;
  if (std::ranges::find(allowed, type) != allowed.end()) return {};
  std::string names;
  for (const Type one : allowed) {
    names += names.empty() ? "" : ", ";
    names += Name(one);
  }
  return Invalid("input {} is {}; allowed: {}", i, Name(type), names);
}

Result<size_t> NormalAxis(int64_t axis, size_t limit) {
  const auto signed_limit = static_cast<int64_t>(limit);
  const int64_t normal = axis < 0 ? axis + signed_limit : axis;
  if (normal < 0 || normal >= signed_limit) {
    return Invalid("axis {}; allowed: -{} to {}", axis, limit,
                   signed_limit - 1);
  }
  return static_cast<size_t>(normal);
}

Result<Shape> Broadcast(std::span<const int32_t> a,
                        std::span<const int32_t> b) {
  const size_t rank = std::max(a.size(), b.size());
  Shape out(rank);
  for (size_t i = 0; i < rank; ++i) {
    const int32_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int32_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1) {
      return Invalid("shapes {} and {} do not broadcast", ToString(a),
                     ToString(b));
    }
    out[rank - 1 - i] = x == 1 ? y : x;
  }
  return out;
}

Result<int64_t> WindowedSize(int64_t in, const Window& window) {
  for (const int64_t value : {window.size, window.stride, window.dilation}) {
    if (value >= 1 && value <= INT32_MAX) continue;
    return Invalid("window {}, stride {}, dilation {}; each must be at least 1",
                   window.size, window.stride, window.dilation);
  }
  const int64_t covered = (window.size - 1) * window.dilation + 1;
  if (!window.valid_padding) return (in + window.stride - 1) / window.stride;
  if (covered > in) {
    return Invalid("a window over {} does not fit into {} without padding",
                   covered, in);
  }
  return (in - covered + window.stride) / window.stride;
}

Result<std::vector<KnownTensor>> InferOpAt(
    const Graph& graph, const Op& op,
    std::span<const KnownTensor* const> inputs, Walk& walk,
    const MoreFacts& more) {
  if (walk.depth > kDeepestCall) {
    return Invalid("subgraphs call each other more than {} deep", kDeepestCall);
  }
  if (walk.operators_left == 0) {
    return Unsupported("subgraphs call each other too often");
  }
  --walk.operators_left;
  const RuleRow* row = RuleOf(op);
  if (row == nullptr) {
    return Unsupported("{} has no shape rule",
                       op.code == OpCode::kCustom
                           ? "custom operator '" + op.custom_name + "'"
                           : std::string(Name(op.code)));
  }
  if (inputs.size() < row->required || inputs.size() > row->most) {
    return Invalid("{} inputs; allowed: {} to {}", inputs.size(), row->required,
                   row->most == kAnyNumber ? std::string("any number")
                                           : std::to_string(row->most));
  }
  for (size_t i = 0; i < row->required; ++i) {
    if (inputs[i] == nullptr) return Invalid("input {} is left out", i);
  }
  if (row->outputs >= 0 &&
      op.outputs.size() != static_cast<size_t>(row->outputs)) {
    return Invalid("{} outputs; allowed: {}", op.outputs.size(), row->outputs);
  }
  RuleCall call{graph, op,  inputs, std::vector<KnownTensor>(op.outputs.size()),
                walk,  more};
  LATHE_TRY(row->rule(call));
  FollowValues(call);
  return std::move(call.outputs);
}

Result<std::vector<KnownTensor>> InferOp(
    const Graph& graph, const Op& op,
    std::span<const KnownTensor* const> inputs) {
  Walk walk;
  return InferOpAt(graph, op, inputs, walk);
}

Status InferSubgraphAt(const Graph& graph, const Subgraph& subgraph,
                       std::vector<KnownTensor>& known, Walk& walk) {
  std::vector<const KnownTensor*> inputs;
  std::vector<Type> stored;
  for (size_t i = 0; i < subgraph.ops.size(); ++i) {
    const Op& op = subgraph.ops[i];
    // A variable keeps the shape it is stored with.
    if (op.code == OpCode::kReadVariable) continue;
    inputs.clear();
    for (const int32_t tensor : op.inputs) {
      inputs.push_back(tensor == kNoTensor ? nullptr : &known[tensor]);
    }
    stored.clear();
    for (const int32_t tensor : op.outputs) {
      stored.push_back(subgraph.tensors[tensor].type);
    }
    auto outputs = InferOpAt(graph, op, inputs, walk, {stored, {}});
    if (!outputs) {
      const std::string_view name =
          op.outputs.empty()
              ? std::string_view()
              : std::string_view(subgraph.tensors[op.outputs[0]].name);
      return Fail(outputs.error().code, "operator {} {} '{}': {}", i,
                  Name(op.code), name, outputs.error().message);
    }
    for (size_t j = 0; j < op.outputs.size(); ++j) {
      KnownTensor& tensor = known[op.outputs[j]];
      tensor = std::move((*outputs)[j]);
      // What is stored decides: CAST and QUANTIZE often say it nowhere else.
      tensor.type = subgraph.tensors[op.outputs[j]].type;
      FitValues(tensor);
    }
  }
  return {};
}

Status InferSubgraph(const Graph& graph, const Subgraph& subgraph,
                     std::vector<KnownTensor>& known) {
  if (known.size() != subgraph.tensors.size()) {
    return Invalid("{} known tensors for a subgraph of {}", known.size(),
                   subgraph.tensors.size());
  }
  Walk walk;
  return InferSubgraphAt(graph, subgraph, known, walk);
}

std::vector<KnownTensor> StoredTensors(const Graph& graph,
                                       const Subgraph& subgraph) {
  std::vector<KnownTensor> known(subgraph.tensors.size());
  for (size_t i = 0; i < known.size(); ++i) {
    const Tensor& tensor = subgraph.tensors[i];
    known[i] = {tensor.type, tensor.shape, StoredValues(graph, tensor)};
  }
  return known;
}

}  // namespace lathe::graph
