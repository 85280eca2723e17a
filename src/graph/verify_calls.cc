// Verifies calls between subgraphs: targets, arguments, no cycles.

#include <algorithm>

#include "src/graph/verify_parts.h"

namespace lathe::graph {
namespace {

constexpr int kDeepest = 32;

// A call of a subgraph, with the operands it is given and must return.
struct Call {
  int64_t target;
  std::span<const int32_t> inputs;
  std::optional<std::span<const int32_t>> outputs;  // Empty: not compared.
};

// Fields that name a subgraph, by operator.
struct TargetField {
  OpCode code;
  std::string_view field;
};
constexpr TargetField kTargets[] = {
    {OpCode::kIf, "then_subgraph_index"},
    {OpCode::kIf, "else_subgraph_index"},
    {OpCode::kWhile, "cond_subgraph_index"},
    {OpCode::kWhile, "body_subgraph_index"},
    {OpCode::kCallOnce, "init_subgraph_index"},
    {OpCode::kCall, "subgraph"},
    {OpCode::kStablehloComposite, "decomposition_subgraph_index"},
    {OpCode::kStablehloReduce, "body_subgraph_index"},
    {OpCode::kStablehloScatter, "update_computation_subgraph_index"},
    {OpCode::kStablehloReduceWindow, "body_subgraph_index"},
    {OpCode::kStablehloSort, "comparator_subgraph_index"},
    {OpCode::kStablehloWhile, "cond_subgraph_index"},
    {OpCode::kStablehloWhile, "body_subgraph_index"},
};

// The calls whose arguments are known; regions of StableHLO operators, which
// work on single values, are not among them.
std::vector<Call> CallsOf(const Op& op) {
  const std::span<const int32_t> inputs = op.inputs, outputs = op.outputs;
  const auto target = [&](std::string_view field) {
    return op.options.Int(field);
  };
  switch (op.code) {
    case OpCode::kIf:
      return {{target("then_subgraph_index"), inputs.subspan(1), outputs},
              {target("else_subgraph_index"), inputs.subspan(1), outputs}};
    case OpCode::kWhile:
    case OpCode::kStablehloWhile:
      return {{target("cond_subgraph_index"), inputs, std::nullopt},
              {target("body_subgraph_index"), inputs, outputs}};
    case OpCode::kCallOnce:
      return {{target("init_subgraph_index"), {}, outputs}};
    case OpCode::kStablehloComposite:
      return {{target("decomposition_subgraph_index"), inputs, outputs}};
    case OpCode::kStablehloCase: {
      std::vector<Call> calls;
      for (const int64_t one : op.options.Ints("branch_subgraph_indices")) {
        calls.push_back({one, inputs.subspan(1), outputs});
      }
      return calls;
    }
    default:
      return {};
  }
}

bool SameTypes(const Subgraph& a, std::span<const int32_t> from_a,
               const Subgraph& b, std::span<const int32_t> from_b) {
  return std::ranges::equal(from_a, from_b, [&](int32_t x, int32_t y) {
    return x != kNoTensor && a.tensors[x].type == b.tensors[y].type;
  });
}

void VerifyArguments(const Graph& graph, const Subgraph& subgraph, const Op& op,
                     Problems& problems) {
  const bool has_choice =
      op.code == OpCode::kIf || op.code == OpCode::kStablehloCase;
  if (has_choice && op.inputs.empty()) {
    problems.Add("no input to choose by");
    return;
  }
  if (op.code == OpCode::kStablehloCase &&
      op.options.Ints("branch_subgraph_indices").empty()) {
    problems.Add("no branch");
  }
  for (const Call& call : CallsOf(op)) {
    const Subgraph& target = graph.subgraphs[call.target];
    if (!SameTypes(subgraph, call.inputs, target, target.inputs)) {
      problems.Add("{} inputs do not fit the {} of subgraph {}",
                   call.inputs.size(), target.inputs.size(), call.target);
    }
    if (call.outputs &&
        !SameTypes(subgraph, *call.outputs, target, target.outputs)) {
      problems.Add("{} outputs do not fit the {} of subgraph {}",
                   call.outputs->size(), target.outputs.size(), call.target);
    }
    if (!call.outputs && target.outputs.size() != 1) {
      problems.Add("condition subgraph {} has {} outputs; allowed: 1",
                   call.target, target.outputs.size());
    }
  }
}

// Depth-first over the call graph. The path is at most kDeepest long, so the
// recursion is bounded, whatever the file says.
class CallGraph {
 public:
  CallGraph(std::vector<std::vector<size_t>> callees, Problems& problems)
      : callees_(std::move(callees)),
        problems_(problems),
        height_(callees_.size(), kUnknown) {}

  void Run() {
    for (size_t i = 0; i < callees_.size() && problems_.empty(); ++i) {
      Height(i, 1);
    }
  }

 private:
  static constexpr int kUnknown = -1, kOnPath = 0;

  // Length of the longest chain of calls that begins here.
  int Height(size_t subgraph, int path) {
    if (height_[subgraph] == kOnPath) {
      problems_.Add("subgraph {} calls itself, directly or not", subgraph);
    } else if (path > kDeepest) {
      problems_.Add("subgraphs call each other more than {} deep", kDeepest);
    }
    if (!problems_.empty() || height_[subgraph] > 0) return height_[subgraph];
    height_[subgraph] = kOnPath;
    int highest = 0;
    for (const size_t callee : callees_[subgraph]) {
      highest = std::max(highest, Height(callee, path + 1));
      if (!problems_.empty()) return 0;
    }
    height_[subgraph] = highest + 1;
    if (path + highest > kDeepest) {
      problems_.Add("subgraphs call each other more than {} deep", kDeepest);
    }
    return highest + 1;
  }

  std::vector<std::vector<size_t>> callees_;
  Problems& problems_;
  std::vector<int> height_;
};

}  // namespace

std::vector<int64_t> CalledSubgraphs(const Op& op) {
  if (op.code == OpCode::kStablehloCase) {
    return op.options.Ints("branch_subgraph_indices");
  }
  std::vector<int64_t> called;
  for (const TargetField& target : kTargets) {
    if (target.code == op.code) called.push_back(op.options.Int(target.field));
  }
  return called;
}

void VerifyCalls(const Graph& graph, Problems& problems) {
  std::vector<std::vector<size_t>> callees(graph.subgraphs.size());
  for (size_t s = 0; s < graph.subgraphs.size(); ++s) {
    const Subgraph& subgraph = graph.subgraphs[s];
    for (size_t i = 0; i < subgraph.ops.size(); ++i) {
      const Op& op = subgraph.ops[i];
      const std::vector<int64_t> called = CalledSubgraphs(op);
      if (called.empty() && op.code != OpCode::kStablehloCase) continue;
      problems.SetPlace(
          fmt::format("subgraph {} operator {} {}: ", s, i, Name(op.code)));
      bool in_range = true;
      for (const int64_t target : called) {
        if (target < 0 ||
            static_cast<uint64_t>(target) >= graph.subgraphs.size()) {
          problems.Add("calls subgraph {}; there are {}", target,
                       graph.subgraphs.size());
          in_range = false;
        } else {
          callees[s].push_back(static_cast<size_t>(target));
        }
      }
      if (in_range) VerifyArguments(graph, subgraph, op, problems);
      if (problems.Full()) return;
    }
    std::ranges::sort(callees[s]);
    const auto rest = std::ranges::unique(callees[s]);
    callees[s].erase(rest.begin(), rest.end());
  }
  problems.SetPlace("");
  if (problems.empty()) CallGraph(std::move(callees), problems).Run();
}

}  // namespace lathe::graph
