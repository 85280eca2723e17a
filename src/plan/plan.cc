#include "src/plan/plan.h"

#include <algorithm>

#include "src/plan/lowering.h"
#include "src/plan/node.h"

namespace lathe::plan {
namespace {

size_t FirstOp(const graph::Subgraph& subgraph, const Node& node) {
  return node.region != nullptr
             ? node.region->ops.front()
             : static_cast<size_t>(node.op - subgraph.ops.data());
}

std::vector<Node> SingleNodes(const graph::Subgraph& subgraph, size_t first,
                              size_t end) {
  std::vector<Node> nodes;
  for (size_t i = first; i < end; ++i) {
    Node node;
    node.op = &subgraph.ops[i];
    node.inputs = node.op->inputs;
    node.outputs = node.op->outputs;
    node.last_op = i;
    node.ops = {static_cast<uint32_t>(i)};
    nodes.push_back(std::move(node));
  }
  return nodes;
}

}  // namespace

bool RunsBetweenPlans(const graph::Subgraph& subgraph, const graph::Op& op) {
  const auto any_string = [&](const std::vector<int32_t>& tensors) {
    return std::ranges::any_of(tensors, [&](int32_t t) {
      return t >= 0 && subgraph.tensors[t].type == graph::Type::kString;
    });
  };
  switch (op.code) {
    case graph::OpCode::kIf:
    case graph::OpCode::kWhile:
    case graph::OpCode::kStablehloCase:
    case graph::OpCode::kCallOnce:
    case graph::OpCode::kStablehloComposite:
      return true;
    default:
      return any_string(op.inputs) || any_string(op.outputs);
  }
}

Result<Plan> MakePlan(const graph::Graph& graph, size_t subgraph,
                      const std::vector<graph::KnownTensor>& known,
                      const PlanOptions& options, PackedCache& cache,
                      OpRange range) {
  const graph::Subgraph& source = graph.subgraphs[subgraph];
  range.end = std::min(range.end, source.ops.size());
  for (size_t i = range.first; i < range.end; ++i) {
    if (RunsBetweenPlans(source, source.ops[i])) range.end = i;
  }
  Lowering lowering(graph, source, known, options, cache, range);
  std::string problems;
  ErrorCode code = ErrorCode::kUnsupported;
  for (const Node& node :
       options.keep_all || options.single_ops
           ? SingleNodes(source, range.first, range.end)
           : MakeNodes(graph, source, known, range.first, range.end)) {
    lowering.NextNode();
    // What is known already needs no step.
    bool needed = node.outputs.empty();
    for (const int32_t output : node.outputs) {
      needed = needed || !lowering.IsConstant(output);
    }
    if (!needed) continue;
    Prepare prepare = nullptr;
    std::string name;
    const std::string first_output(
        node.outputs.empty() ? "" : lowering.NameOf(node.outputs[0]));
    if (node.region != nullptr) {
      prepare = PreparerOf(node.region->kind);
      name = Name(node.region->kind);
    } else {
      name = Name(node.op->code);
      const std::string why = WhyUnsupported(graph, source, *node.op);
      if (!why.empty()) {
        problems += fmt::format("\n  operator {} (\"{}\"): {}", node.last_op,
                                first_output, why);
        continue;
      }
      prepare = RowFor({graph, source, *node.op})->prepare;
    }
    const size_t steps = lowering.plan().steps.size();
    const uint64_t packed = lowering.packed_bytes();
    const Status status = prepare(lowering, node);
    for (size_t i = steps; i < lowering.plan().steps.size(); ++i) {
      lowering.plan().steps[i].ops = node.ops;
      if (i > steps) continue;
      lowering.plan().steps[i].packed_bytes = lowering.packed_bytes() - packed;
    }
    if (!status) {
      if (lowering.waits() && problems.empty()) {
        return MakePlan(
            graph, subgraph, known, options, cache,
            {range.first, FirstOp(source, node), range.holds_inputs});
      }
      code = status.error().code;
      problems += fmt::format("\n  operator {} {} (\"{}\"): {}", node.last_op,
                              name, first_output, status.error().message);
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
