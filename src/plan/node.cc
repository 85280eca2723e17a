#include "src/plan/node.h"

#include <algorithm>
#include <optional>

namespace lathe::plan {
namespace {

using graph::OpCode;

bool IsOneOr(int32_t dim, int32_t wanted) { return dim == 1 || dim == wanted; }

// Whether the last two axes of `s` broadcast to [rows, columns] and those in
// front to y's.
bool FitsMatrix(const graph::Shape& s, const graph::Shape& y, int32_t rows,
                int32_t columns) {
  for (size_t i = 1; i <= s.size(); ++i) {
    const int32_t dim = s[s.size() - i];
    const int32_t front = i <= y.size() ? y[y.size() - i] : 1;
    const int32_t wanted = i == 1 ? columns : i == 2 ? rows : front;
    if (!IsOneOr(dim, wanted)) return false;
  }
  return true;
}

// Passes mark regions for the shapes that are stored. Another shape of an input
// can make the same operators broadcast, which their fused kernels do not: then
// the operators run one by one.
bool StillFits(const graph::Region& region,
               const std::vector<graph::KnownTensor>& known) {
  const auto shape = [&](size_t input) -> const graph::Shape& {
    return known[region.inputs[input]].shape;
  };
  const graph::Shape& y = known[region.outputs[0]].shape;
  switch (region.kind) {
    case graph::RegionKind::kGatedSilu:
      return shape(0) == y && shape(1) == y;
    case graph::RegionKind::kAttention:
      break;
    default:
      return shape(0) == y;
  }
  const graph::Shape &q = shape(0), &k = shape(1), &v = shape(2);
  const size_t rank = y.size();
  if (rank < 2 || q.size() < 2 || k.size() < 2 || v.size() < 2) return false;
  const int32_t n_q = q[q.size() - 2], d = q[q.size() - 1];
  const int32_t n_k = v[v.size() - 2], d_v = v[v.size() - 1];
  const size_t k_rows = region.transposed_k ? 1 : 2;
  if (y[rank - 2] != n_q || y[rank - 1] != d_v || k[k.size() - k_rows] != n_k ||
      k[k.size() - (3 - k_rows)] != d || !FitsMatrix(q, y, n_q, d) ||
      !FitsMatrix(k, y, k[k.size() - 2], k[k.size() - 1]) ||
      !FitsMatrix(v, y, n_k, d_v)) {
    return false;
  }
  for (size_t i = 3; i < region.inputs.size(); ++i) {
    if (!FitsMatrix(shape(i), y, n_q, n_k)) return false;
  }
  return true;
}

class Fuser {
 public:
  Fuser(const graph::Graph& graph, const graph::Subgraph& subgraph,
        const std::vector<graph::KnownTensor>& known, size_t first, size_t end)
      : graph_(graph), subgraph_(subgraph), known_(known) {
    Collect(first, std::min(end, subgraph.ops.size()));
    for (size_t i = 0; i < nodes_.size(); ++i) TakeInput(i);
    for (size_t i = 0; i < nodes_.size(); ++i) TakeProduct(i);
    for (size_t i = 0; i < nodes_.size(); ++i) TakeAttention(i);
    for (size_t i = 0; i < nodes_.size(); ++i) TakeResidual(i);
  }

  std::vector<Node> Finish() {
    std::vector<Node> kept;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (!absorbed_[i]) kept.push_back(std::move(nodes_[i]));
    }
    std::ranges::stable_sort(kept, {}, &Node::last_op);
    return kept;
  }

 private:
  void Collect(size_t first, size_t end) {
    std::vector<bool> in_region(subgraph_.ops.size());
    for (const graph::Region& region : subgraph_.regions) {
      if (region.ops.front() < first || region.ops.back() >= end ||
          !StillFits(region, known_)) {
        continue;
      }
      Node node;
      node.region = &region;
      node.inputs = region.inputs;
      node.outputs = region.outputs;
      node.ops = region.ops;
      for (const uint32_t op : region.ops) {
        in_region[op] = true;
        node.last_op = std::max<size_t>(node.last_op, op);
      }
      nodes_.push_back(std::move(node));
    }
    for (size_t i = first; i < end; ++i) {
      if (in_region[i]) continue;
      Node node;
      node.op = &subgraph_.ops[i];
      node.inputs = node.op->inputs;
      node.outputs = node.op->outputs;
      node.last_op = i;
      node.ops = {static_cast<uint32_t>(i)};
      nodes_.push_back(std::move(node));
    }
    absorbed_.resize(nodes_.size());
    uses_.resize(subgraph_.tensors.size());
    maker_.resize(subgraph_.tensors.size());
    for (size_t i = 0; i < nodes_.size(); ++i) {
      for (const int32_t t : nodes_[i].inputs) {
        if (t >= 0) ++uses_[t];
      }
      for (const int32_t t : nodes_[i].outputs) maker_[t] = i;
    }
    for (const int32_t t : subgraph_.outputs) ++uses_[t];
    for (size_t i = end; i < subgraph_.ops.size(); ++i) {
      for (const int32_t t : subgraph_.ops[i].inputs) {
        if (t >= 0) ++uses_[t];
      }
    }
  }

  bool IsOp(const Node& node, OpCode code) const {
    return node.op != nullptr && node.op->code == code;
  }

  bool IsFloat(int32_t tensor) const {
    return known_[tensor].type == graph::Type::kFloat32;
  }

  // The node that makes `tensor`, if this is its only use and nothing changes
  // when it reads its inputs there: a variable may be written in between.
  std::optional<size_t> OnlyMaker(int32_t tensor) const {
    if (tensor < 0 || uses_[tensor] != 1 || !maker_[tensor]) return {};
    const size_t maker = *maker_[tensor];
    if (absorbed_[maker] || ReadsVariable(nodes_[maker])) return {};
    return maker;
  }

  bool ReadsVariable(const Node& node) const {
    return std::ranges::any_of(node.inputs, [&](int32_t t) {
      return t >= 0 && subgraph_.tensors[t].is_variable;
    });
  }

  void TakeInput(size_t i) {
    Node& node = nodes_[i];
    if (IsOp(node, OpCode::kConv2d) && IsFloat(node.outputs[0]) &&
        IsFloat(node.inputs[1])) {
      TakePad(node);
      TakeSnake(node);
    } else if (node.region != nullptr &&
               node.region->kind == graph::RegionKind::kGatedSilu) {
      TakeSplit(node);
    } else if (IsAttention(node)) {
      for (const size_t input : {0, 1, 2}) TakeTranspose(node, input);
    }
  }

  static bool IsAttention(const Node& node) {
    return node.region != nullptr &&
           node.region->kind == graph::RegionKind::kAttention;
  }

  // The axes of a TRANSPOSE that leaves the last one where it is; else empty.
  std::vector<int64_t> AxesOf(const Node& node) const {
    if (!IsOp(node, OpCode::kTranspose)) return {};
    const auto& values = known_[node.inputs[1]].values;
    if (!values || values->empty()) return {};
    std::vector<int64_t> axes = *values;
    const int64_t rank = static_cast<int64_t>(axes.size());
    for (int64_t& axis : axes) axis += axis < 0 ? rank : 0;
    return axes.back() == rank - 1 ? axes : std::vector<int64_t>{};
  }

  // Attention reads rows that lie anywhere.
  void TakeTranspose(Node& node, size_t input) {
    const auto maker = OnlyMaker(node.inputs[input]);
    if (!maker) return;
    node.perms[input] = AxesOf(nodes_[*maker]);
    if (node.perms[input].empty()) return;
    node.inputs[input] = nodes_[*maker].inputs[0];
    Absorb(node, *maker);
  }

  // `grown` does the work of the nodes at `maker` and `last`, and takes the
  // place of the latter in `nodes_`, because that stands later.
  void Replace(size_t maker, size_t last, Node grown) {
    const Node& node = nodes_[last];
    grown.outputs = node.outputs;
    grown.last_op = node.last_op;
    grown.ops.insert(grown.ops.end(), node.ops.begin(), node.ops.end());
    std::ranges::sort(grown.ops);
    absorbed_[maker] = true;
    nodes_[last] = std::move(grown);
  }

  // And writes them.
  void TakeAttention(size_t i) {
    if (absorbed_[i] || AxesOf(nodes_[i]).empty()) return;
    const auto maker = OnlyMaker(nodes_[i].inputs[0]);
    if (!maker || !IsAttention(nodes_[*maker]) ||
        !nodes_[*maker].perms[3].empty()) {
      return;
    }
    Node grown = nodes_[*maker];
    grown.perms[3] = AxesOf(nodes_[i]);
    Replace(*maker, i, std::move(grown));
  }

  // `node` does the work of the node at `other` too.
  void Absorb(Node& node, size_t other) {
    const std::vector<uint32_t>& more = nodes_[other].ops;
    node.ops.insert(node.ops.end(), more.begin(), more.end());
    std::ranges::sort(node.ops);
    absorbed_[other] = true;
  }

  void TakePad(Node& node) {
    const auto maker = OnlyMaker(node.inputs[0]);
    if (!maker || !IsOp(nodes_[*maker], OpCode::kPad)) return;
    if (node.op->options.Int("padding") != 1) return;  // VALID
    const Node& pad = nodes_[*maker];
    const auto& values = known_[pad.inputs[1]].values;
    if (!values || values->size() != 8) return;
    const std::vector<int64_t>& v = *values;
    if (v[0] != 0 || v[1] != 0 || v[6] != 0 || v[7] != 0) return;
    for (size_t k = 0; k < 4; ++k) node.pad[k] = static_cast<int32_t>(v[2 + k]);
    node.padded = true;
    node.inputs[0] = pad.inputs[0];
    Absorb(node, *maker);
  }

  void TakeSnake(Node& node) {
    const auto maker = OnlyMaker(node.inputs[0]);
    if (!maker) return;
    const Node& snake = nodes_[*maker];
    if (snake.region == nullptr ||
        snake.region->kind != graph::RegionKind::kSnake) {
      return;
    }
    node.snake = snake.region;
    node.inputs[0] = snake.inputs[0];
    Absorb(node, *maker);
  }

  void TakeSplit(Node& node) {
    const int32_t value = node.inputs[0], gate = node.inputs[1];
    if (value < 0 || gate < 0 || uses_[value] != 1 || uses_[gate] != 1) return;
    if (!maker_[value] || maker_[value] != maker_[gate]) return;
    const Node& split = nodes_[*maker_[value]];
    if (!IsOp(split, OpCode::kSplit) || split.outputs.size() != 2 ||
        split.outputs[0] != value || ReadsVariable(split)) {
      return;
    }
    const int32_t x = split.inputs[1];
    const auto& axis = known_[split.inputs[0]].values;
    const int64_t rank = static_cast<int64_t>(known_[x].shape.size());
    if (!axis || ((*axis)[0] != rank - 1 && (*axis)[0] != -1)) return;
    node.halves_of = x;
    node.inputs = {x};
    Absorb(node, *maker_[value]);
  }

  void TakeProduct(size_t i) {
    const Node& gated = nodes_[i];
    const auto maker = OnlyMaker(gated.halves_of);
    if (!maker || !IsOp(nodes_[*maker], OpCode::kFullyConnected)) return;
    const Node& product = nodes_[*maker];
    const graph::Type type = known_[product.inputs[1]].type;
    if (type != graph::Type::kInt8 && type != graph::Type::kInt4 &&
        type != graph::Type::kInt2) {
      return;
    }
    if (product.op->options.Int("fused_activation_function") != 0) return;
    Node grown = product;
    grown.gated = true;
    Replace(*maker, i, std::move(grown));
  }

  void TakeResidual(size_t i) {
    if (absorbed_[i]) return;
    const Node& add = nodes_[i];
    if (!IsOp(add, OpCode::kAdd) || !IsFloat(add.outputs[0])) return;
    if (add.op->options.Int("fused_activation_function") != 0) return;
    for (const size_t side : {size_t{0}, size_t{1}}) {
      const int32_t sum = add.inputs[side], other = add.inputs[1 - side];
      const auto maker = OnlyMaker(sum);
      if (!maker || nodes_[*maker].residual != graph::kNoTensor) continue;
      if (!IsOp(nodes_[*maker], OpCode::kConv2d) &&
          !IsOp(nodes_[*maker], OpCode::kFullyConnected)) {
        continue;
      }
      if (nodes_[*maker].gated) continue;
      if (known_[other].shape != known_[sum].shape) continue;
      if (nodes_[*maker].op->options.Int("fused_activation_function") != 0) {
        continue;
      }
      Node grown = nodes_[*maker];
      grown.residual = other;
      Replace(*maker, i, std::move(grown));
      return;
    }
  }

  const graph::Graph& graph_;
  const graph::Subgraph& subgraph_;
  const std::vector<graph::KnownTensor>& known_;
  std::vector<Node> nodes_;
  std::vector<bool> absorbed_;
  std::vector<uint32_t> uses_;                // By tensor.
  std::vector<std::optional<size_t>> maker_;  // By tensor: index of its node.
};

}  // namespace

std::vector<Node> MakeNodes(const graph::Graph& graph,
                            const graph::Subgraph& subgraph,
                            const std::vector<graph::KnownTensor>& known,
                            size_t first, size_t end) {
  return Fuser(graph, subgraph, known, first, end).Finish();
}

}  // namespace lathe::plan
