// Shape rules of operators that run subgraphs or hold resources.

#include "src/graph/shape_rule.h"

namespace lathe::graph {
namespace {

// Runs the rules of a subgraph on inputs first.. of the call and returns what
// its outputs are.
Result<std::vector<KnownTensor>> InferTarget(const RuleCall& call,
                                             int64_t target, size_t first) {
  const Graph& graph = call.graph;
  if (target < 0 || target >= static_cast<int64_t>(graph.subgraphs.size())) {
    return Invalid("subgraph {}; there are {}", target, graph.subgraphs.size());
  }
  const Subgraph& subgraph = graph.subgraphs[target];
  if (call.inputs.size() != subgraph.inputs.size() + first) {
    return Invalid("{} inputs for subgraph {}, which takes {}",
                   call.inputs.size() - first, target, subgraph.inputs.size());
  }
  std::vector<KnownTensor> known = StoredTensors(graph, subgraph);
  for (size_t i = 0; i < subgraph.inputs.size(); ++i) {
    if (!call.Has(first + i)) return Invalid("input {} is left out", first + i);
    known[subgraph.inputs[i]] = call.In(first + i);
  }
  ++call.walk.depth;
  const Status status = InferSubgraphAt(graph, subgraph, known, call.walk);
  --call.walk.depth;
  if (!status) return std::unexpected(status.error());
  std::vector<KnownTensor> outputs;
  for (const int32_t tensor : subgraph.outputs) {
    outputs.push_back(known[tensor]);
  }
  return outputs;
}

Status GiveAll(RuleCall& call, std::vector<KnownTensor> outputs) {
  if (outputs.size() != call.outputs.size()) {
    return Invalid("{} outputs; the subgraph has {}", call.outputs.size(),
                   outputs.size());
  }
  call.outputs = std::move(outputs);
  return {};
}

Status Composite(RuleCall& call) {
  LATHE_ASSIGN(
      std::vector<KnownTensor> outputs,
      InferTarget(call, call.op.options.Int("decomposition_subgraph_index"),
                  0));
  return GiveAll(call, std::move(outputs));
}

bool SameShapes(const std::vector<KnownTensor>& a,
                const std::vector<KnownTensor>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].shape != b[i].shape) return false;
  }
  return true;
}

void ForgetValues(std::vector<KnownTensor>& tensors) {
  for (KnownTensor& tensor : tensors) tensor.values.reset();
}

// The branches after input 0, which chooses; they must agree in shape.
Status Branches(RuleCall& call, const std::vector<int64_t>& targets) {
  std::vector<KnownTensor> agreed;
  for (size_t i = 0; i < targets.size(); ++i) {
    LATHE_ASSIGN(std::vector<KnownTensor> outputs,
                 InferTarget(call, targets[i], 1));
    if (i == 0) {
      agreed = std::move(outputs);
    } else if (!SameShapes(agreed, outputs)) {
      return Unsupported("the branches' outputs differ in shape");
    }
  }
  ForgetValues(agreed);
  return GiveAll(call, std::move(agreed));
}

Status If(RuleCall& call) {
  return Branches(call, {call.op.options.Int("then_subgraph_index"),
                         call.op.options.Int("else_subgraph_index")});
}

Status Case(RuleCall& call) {
  const auto targets = call.op.options.Ints("branch_subgraph_indices");
  if (targets.empty()) return Invalid("no branch");
  return Branches(call, targets);
}

// A body that keeps its shapes gives the loop's outputs.
Status While(RuleCall& call) {
  std::vector<KnownTensor> state;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (!call.Has(i)) return Invalid("input {} is left out", i);
    state.push_back(call.In(i));
  }
  // What the first round knows of values need not hold in the second.
  ForgetValues(state);
  std::vector<const KnownTensor*> inputs;
  for (const KnownTensor& tensor : state) inputs.push_back(&tensor);
  const RuleCall round{call.graph, call.op, inputs, {}, call.walk};
  LATHE_ASSIGN(
      const std::vector<KnownTensor> after,
      InferTarget(round, call.op.options.Int("body_subgraph_index"), 0));
  if (!SameShapes(state, after)) {
    return Unsupported("a loop whose shapes change from round to round");
  }
  return GiveAll(call, std::move(state));
}

Status Nothing(RuleCall&) { return {}; }

// Not asked: who walks a subgraph keeps the shape that is stored for it.
Status Stored(RuleCall&) {
  return Unsupported("the shape of a variable is what the file says");
}

Status Handle(RuleCall& call) { return call.Give(0, Type::kResource, Dims{}); }

Status HashtableFind(RuleCall& call) {
  return call.Give(0, call.In(2).type, call.ShapeOf(1));
}

Status HashtableSize(RuleCall& call) {
  return call.Give(0, Type::kInt64, Dims{1});
}

constexpr RuleRow kRules[] = {
    {OpCode::kStablehloComposite, 0, kAnyNumber, -1, Composite},
    {OpCode::kIf, 1, kAnyNumber, -1, If},
    {OpCode::kStablehloCase, 1, kAnyNumber, -1, Case},
    {OpCode::kWhile, 0, kAnyNumber, -1, While},
    {OpCode::kCallOnce, 0, 0, 0, Nothing},
    {OpCode::kVarHandle, 0, 0, 1, Handle},
    {OpCode::kAssignVariable, 2, 2, 0, Nothing},
    {OpCode::kReadVariable, 1, 1, 1, Stored},
    {OpCode::kHashtable, 0, 0, 1, Handle},
    {OpCode::kHashtableImport, 3, 3, 0, Nothing},
    {OpCode::kHashtableFind, 3, 3, 1, HashtableFind},
    {OpCode::kHashtableSize, 1, 1, 1, HashtableSize},
};

}  // namespace

std::span<const RuleRow> ControlRules() { return kRules; }

}  // namespace lathe::graph
