// Facts of a subgraph and drafts of regions.

#include "src/passes/match.h"

#include <algorithm>
#include <cstring>

namespace lathe::passes {

using graph::kNoTensor;
using graph::Op;
using graph::OpCode;
using graph::Shape;
using graph::Tensor;
using graph::Type;

bool HasResizableInputs(const graph::Graph& graph) {
  for (const graph::Subgraph& subgraph : graph.subgraphs) {
    for (const int32_t input : subgraph.inputs) {
      if (std::ranges::count(subgraph.tensors[input].shape_signature, -1)) {
        return true;
      }
    }
  }
  return false;
}

Matcher::Matcher(graph::Graph& graph, graph::Subgraph& subgraph)
    : graph_(graph),
      subgraph_(subgraph),
      fixed_shapes_(!HasResizableInputs(graph)),
      known_(graph::StoredTensors(graph, subgraph)),
      maker_(subgraph.tensors.size()),
      users_(subgraph.tensors.size()),
      is_output_(subgraph.tensors.size()),
      in_region_(subgraph.ops.size()),
      is_opaque_(subgraph.ops.size()) {
  for (uint32_t i = 0; i < op_count(); ++i) {
    for (const int32_t input : op(i).inputs) {
      if (input == kNoTensor) continue;
      auto& users = users_[input];
      if (users.empty() || users.back() != i) users.push_back(i);
    }
    for (const int32_t output : op(i).outputs) maker_[output] = i;
  }
  for (const int32_t output : subgraph.outputs) is_output_[output] = true;
  for (const graph::Region& region : subgraph.regions) {
    for (const uint32_t i : region.ops) in_region_[i] = true;
  }
  InferShapes();
}

void Matcher::InferShapes() {
  for (size_t t = 0; t < known_.size(); ++t) {
    known_[t].type = subgraph_.tensors[t].type;
    known_[t].shape = subgraph_.tensors[t].shape;
  }
  for (const Op& op : subgraph_.ops) {
    std::vector<const graph::KnownTensor*> inputs;
    for (const int32_t input : op.inputs) {
      inputs.push_back(input == kNoTensor ? nullptr : &known_[input]);
    }
    auto made = graph::InferOp(graph_, op, inputs);
    if (!made || made->size() != op.outputs.size()) {
      is_opaque_[static_cast<size_t>(&op - subgraph_.ops.data())] = true;
      continue;
    }
    for (size_t i = 0; i < made->size(); ++i) {
      known_[op.outputs[i]] = std::move((*made)[i]);
    }
  }
}

std::optional<uint32_t> Matcher::Maker(int32_t tensor) const {
  if (tensor < 0) return std::nullopt;
  return maker_[tensor];
}

std::optional<uint32_t> Matcher::OnlyUser(int32_t tensor) const {
  if (tensor < 0 || is_output_[tensor] || users_[tensor].size() != 1) {
    return std::nullopt;
  }
  return users_[tensor][0];
}

const Shape& Matcher::ShapeOf(int32_t tensor) const {
  static const Shape kNone;
  return tensor < 0 ? kNone : known_[tensor].shape;
}

bool Matcher::IsFloat(int32_t tensor) const {
  return tensor >= 0 && known_[tensor].type == Type::kFloat32 &&
         subgraph_.tensors[tensor].type == Type::kFloat32 &&
         !subgraph_.tensors[tensor].is_variable;
}

bool Matcher::IsFixed(int32_t tensor) const {
  if (tensor < 0) return false;
  if (graph_.IsConstant(subgraph_.tensors[tensor])) return true;
  const auto maker = maker_[tensor];
  return maker && op(*maker).code == OpCode::kDequantize &&
         op(*maker).inputs.size() == 1 && op(*maker).inputs[0] >= 0 &&
         graph_.IsConstant(subgraph_.tensors[op(*maker).inputs[0]]);
}

std::optional<std::vector<float>> Matcher::FloatsOf(int32_t tensor,
                                                    uint64_t most) const {
  if (tensor < 0) return std::nullopt;
  const Tensor& facts = subgraph_.tensors[tensor];
  const uint64_t count = graph::ElementCount(facts.shape);
  const graph::Buffer& buffer = graph_.BufferOf(facts);
  if (facts.type != Type::kFloat32 || facts.sparsity || count > most ||
      count == 0 || buffer.size() != count * sizeof(float)) {
    return std::nullopt;
  }
  std::vector<float> values(count);
  const auto bytes = std::as_writable_bytes(std::span(values));
  if (buffer.produce) {
    if (!buffer.produce(bytes)) return std::nullopt;
  } else {
    std::memcpy(bytes.data(), buffer.bytes.data(), bytes.size());
  }
  return values;
}

std::optional<float> Matcher::ScalarOf(int32_t tensor) const {
  const auto values = FloatsOf(tensor, 1);
  if (!values) return std::nullopt;
  return (*values)[0];
}

std::optional<std::vector<int64_t>> Matcher::IntsOf(int32_t tensor) const {
  if (tensor < 0) return std::nullopt;
  // SHAPE of a resizable input has a value that holds only for now.
  if (!fixed_shapes_ && !graph_.IsConstant(subgraph_.tensors[tensor])) {
    return std::nullopt;
  }
  return known_[tensor].values;
}

int32_t Matcher::AddFloats(std::string name, Shape shape,
                           std::span<const float> values) {
  Tensor tensor;
  tensor.name = std::move(name);
  tensor.shape = std::move(shape);
  tensor.buffer = static_cast<uint32_t>(graph_.buffers.size());
  graph_.buffers.push_back(graph::MakeBuffer(std::as_bytes(values)));
  known_.push_back({Type::kFloat32, tensor.shape, std::nullopt});
  maker_.emplace_back();
  users_.emplace_back();
  is_output_.push_back(false);
  subgraph_.tensors.push_back(std::move(tensor));
  return static_cast<int32_t>(subgraph_.tensors.size() - 1);
}

bool Matcher::FitsLastAxis(int32_t tensor, int32_t x) const {
  const Shape& small = ShapeOf(tensor);
  const Shape& large = ShapeOf(x);
  if (small.empty() || small.size() > large.size()) return false;
  if (small.back() != large.back()) return false;
  const size_t skipped = large.size() - small.size();
  for (size_t i = 0; i + 1 < small.size(); ++i) {
    if (small[i] != 1 && small[i] != large[skipped + i]) return false;
  }
  return true;
}

graph::Region* Matcher::Mark(const Draft& draft, graph::Region region) {
  region.ops.assign(draft.ops().begin(), draft.ops().end());
  std::ranges::sort(region.ops);
  const auto repeats = std::ranges::unique(region.ops);
  region.ops.erase(repeats.begin(), repeats.end());
  if (region.ops.empty()) return nullptr;
  for (const int32_t input : region.inputs) {
    if (input != kNoTensor && !IsFloat(input)) return nullptr;
  }
  for (const int32_t output : region.outputs) {
    if (!IsFloat(output)) return nullptr;
  }
  const auto inside = [&](uint32_t i) {
    return std::ranges::binary_search(region.ops, i);
  };
  for (const uint32_t i : region.ops) {
    if (in_region_[i]) return nullptr;
    for (const int32_t made : op(i).outputs) {
      if (!IsFloat(made)) return nullptr;
      // An input of the region that is made inside would be a value that does
      // not exist when the region starts.
      if (std::ranges::count(region.inputs, made)) return nullptr;
      if (std::ranges::count(region.outputs, made)) continue;
      if (is_output_[made] || !std::ranges::all_of(users_[made], inside)) {
        return nullptr;
      }
    }
  }
  for (const uint32_t i : region.ops) in_region_[i] = true;
  subgraph_.regions.push_back(std::move(region));
  return &subgraph_.regions.back();
}

const Op* Draft::Take(int32_t tensor, OpCode code, size_t inputs) {
  const auto maker = matcher_->Maker(tensor);
  if (!maker || !matcher_->MayTake(*maker)) return nullptr;
  const Op& op = matcher_->op(*maker);
  if (op.code != code || op.inputs.size() < inputs ||
      std::ranges::count(op.inputs, kNoTensor) ||
      op.options.Int("fused_activation_function") != 0) {
    return nullptr;
  }
  ops_.push_back(*maker);
  return &op;
}

int32_t Draft::SkipReshapes(int32_t tensor) {
  // Exporters put at most two behind each other; the bound keeps a hostile
  // chain of them from being walked from each of its ends.
  for (int hops = 0; hops < 4; ++hops) {
    const Op* op = nullptr;
    for (const OpCode code :
         {OpCode::kReshape, OpCode::kSqueeze, OpCode::kExpandDims}) {
      if (op == nullptr) op = Take(tensor, code);
    }
    if (op == nullptr) return tensor;
    tensor = op->inputs[0];
  }
  return tensor;
}

int32_t TakeSquare(const Matcher& matcher, Draft& draft, int32_t tensor) {
  if (const Op* op = draft.Take(tensor, OpCode::kSquare)) return op->inputs[0];
  const Draft before = draft;
  if (const Op* op = draft.Take(tensor, OpCode::kMul, 2)) {
    if (op->inputs[0] == op->inputs[1]) return op->inputs[0];
  }
  draft = before;
  if (const Op* op = draft.Take(tensor, OpCode::kPow, 2)) {
    if (matcher.ScalarOf(op->inputs[1]) == 2.0f) return op->inputs[0];
  }
  draft = before;
  return kNoTensor;
}

int32_t TakeInverseRoot(const Matcher& matcher, Draft& draft, int32_t tensor) {
  if (const Op* op = draft.Take(tensor, OpCode::kRsqrt)) return op->inputs[0];
  const Draft before = draft;
  if (const Op* op = draft.Take(tensor, OpCode::kPow, 2)) {
    if (matcher.ScalarOf(op->inputs[1]) == -0.5f) return op->inputs[0];
  }
  draft = before;
  if (const Op* op = draft.Take(tensor, OpCode::kDiv, 2)) {
    if (matcher.ScalarOf(op->inputs[0]) == 1.0f) {
      const int32_t root = draft.SkipReshapes(op->inputs[1]);
      if (const Op* sqrt = draft.Take(root, OpCode::kSqrt)) {
        return sqrt->inputs[0];
      }
    }
  }
  draft = before;
  return kNoTensor;
}

int32_t TakeNegated(const Matcher& matcher, Draft& draft, int32_t tensor) {
  const Draft before = draft;
  if (const Op* neg = draft.Take(tensor, OpCode::kNeg)) return neg->inputs[0];
  if (const Op* sub = draft.Take(tensor, OpCode::kSub, 2)) {
    if (matcher.ScalarOf(sub->inputs[0]) == 0.0f) return sub->inputs[1];
  }
  draft = before;
  if (const Op* mul = draft.Take(tensor, OpCode::kMul, 2)) {
    if (matcher.ScalarOf(mul->inputs[1]) == -1.0f) return mul->inputs[0];
    if (matcher.ScalarOf(mul->inputs[0]) == -1.0f) return mul->inputs[1];
  }
  draft = before;
  return kNoTensor;
}

int32_t TakePlusEpsilon(const Matcher& matcher, Draft& draft, int32_t tensor,
                        float& epsilon) {
  const Op* add = draft.Take(tensor, OpCode::kAdd, 2);
  if (add == nullptr) return kNoTensor;
  for (const size_t side : {size_t{1}, size_t{0}}) {
    const auto value = matcher.ScalarOf(add->inputs[side]);
    if (value && *value > 0) {
      epsilon = *value;
      return add->inputs[1 - side];
    }
  }
  return kNoTensor;
}

namespace {

// Whether the operator reduces the last axis of its input and nothing else that
// has more than one element.
bool ReducesRows(const Matcher& matcher, const Op& op) {
  const Shape& shape = matcher.ShapeOf(op.inputs[0]);
  const auto axes = matcher.IntsOf(op.inputs[1]);
  const auto rank = static_cast<int64_t>(shape.size());
  bool has_last = false;
  for (int64_t axis : axes.value_or(std::vector<int64_t>())) {
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank) return false;
    if (axis == rank - 1) {
      has_last = true;
    } else if (shape[axis] != 1 || !matcher.fixed_shapes()) {
      return false;
    }
  }
  return has_last;
}

}  // namespace

int32_t TakeRowMeans(const Matcher& matcher, Draft& draft, int32_t tensor) {
  tensor = draft.SkipReshapes(tensor);
  if (const Op* mean = draft.Take(tensor, OpCode::kMean, 2)) {
    return ReducesRows(matcher, *mean) ? mean->inputs[0] : kNoTensor;
  }
  // SUM / n, or SUM * (1 / n), with n the length of a row.
  const Op* div = draft.Take(tensor, OpCode::kDiv, 2);
  const Op* scaled = div != nullptr ? div : draft.Take(tensor, OpCode::kMul, 2);
  if (scaled == nullptr) return kNoTensor;
  const auto factor = matcher.ScalarOf(scaled->inputs[1]);
  const int32_t total = draft.SkipReshapes(scaled->inputs[0]);
  const Op* sum = draft.Take(total, OpCode::kSum, 2);
  if (!factor || sum == nullptr || !ReducesRows(matcher, *sum) ||
      matcher.CountOf(tensor) != matcher.CountOf(total)) {
    return kNoTensor;
  }
  const auto n = static_cast<float>(matcher.ShapeOf(sum->inputs[0]).back());
  return *factor == (div != nullptr ? n : 1.0f / n) ? sum->inputs[0]
                                                    : kNoTensor;
}

bool BroadcastsOverRows(const Matcher& matcher, int32_t rows, int32_t x) {
  Shape expected = matcher.ShapeOf(x);
  const Shape& shape = matcher.ShapeOf(rows);
  if (expected.empty() || shape.size() > expected.size()) return false;
  expected.back() = 1;
  // Leading ones may be missing.
  const auto skipped = expected.size() - shape.size();
  return std::ranges::all_of(expected.begin(), expected.begin() + skipped,
                             [](int32_t dim) { return dim == 1; }) &&
         std::equal(shape.begin(), shape.end(), expected.begin() + skipped);
}

}  // namespace lathe::passes
