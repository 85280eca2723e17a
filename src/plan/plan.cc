#include "src/plan/plan.h"

#include <algorithm>

#include "src/plan/lowering.h"
#include "src/plan/node.h"

namespace lathe::plan {

Result<Plan> MakePlan(const graph::Graph& graph, size_t subgraph,
                      const std::vector<graph::KnownTensor>& known,
                      const PlanOptions& options, PackedCache& cache) {
  const graph::Subgraph& source = graph.subgraphs[subgraph];
  Lowering lowering(graph, source, known, options, cache);
  std::string problems;
  ErrorCode code = ErrorCode::kUnsupported;
  for (const Node& node : MakeNodes(graph, source, known)) {
    lowering.NextNode();
    // What is known already needs no step.
    bool needed = node.outputs.empty();
    for (const int32_t output : node.outputs) {
      needed = needed || !lowering.IsConstant(output);
    }
    if (!needed) continue;
    Prepare prepare = nullptr;
    std::string name;
    if (node.region != nullptr) {
      prepare = PreparerOf(node.region->kind);
      name = Name(node.region->kind);
    } else {
      name = Name(node.op->code);
      const std::string why = WhyUnsupported(graph, source, *node.op);
      if (!why.empty()) {
        problems += fmt::format("\n  operator {}: {}", node.last_op, why);
        continue;
      }
      prepare = RowFor({graph, source, *node.op})->prepare;
    }
    if (Status status = prepare(lowering, node); !status) {
      code = status.error().code;
      problems +=
          fmt::format("\n  operator {} {} (\"{}\"): {}", node.last_op, name,
                      lowering.NameOf(node.outputs[0]), status.error().message);
    }
  }
  if (!problems.empty()) {
    return Fail(code, "subgraph {} \"{}\" cannot be planned:{}", subgraph,
                source.name, problems);
  }
  return lowering.Finish();
}

std::string WhyUnsupported(const graph::Graph& graph,
                           const graph::Subgraph& subgraph,
                           const graph::Op& op) {
  if (RowFor({graph, subgraph, op}) != nullptr) return {};
  const std::string name = op.code == graph::OpCode::kCustom
                               ? "custom operator " + op.custom_name
                               : std::string(Name(op.code));
  const bool known = std::ranges::any_of(OpTable(), [&](const OpRow& row) {
    return row.code == op.code && row.custom == op.custom_name;
  });
  if (!known) return fmt::format("no kernel for {}", name);
  const auto types = [&](const std::vector<int32_t>& tensors) {
    std::string names;
    for (const int32_t tensor : tensors) {
      names += names.empty() ? "" : ", ";
      names += tensor < 0 ? "-" : Name(subgraph.tensors[tensor].type);
    }
    return names;
  };
  return fmt::format("no kernel for {} from ({}) to ({})", name,
                     types(op.inputs), types(op.outputs));
}

}  // namespace lathe::plan
