#include "src/plan/plan.h"

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
      prepare = RowOf(node.op->code)->prepare;
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
  const OpRow* row = RowOf(op.code);
  if (row == nullptr) {
    return fmt::format("no kernel for {}",
                       op.code == graph::OpCode::kCustom
                           ? "custom operator " + op.custom_name
                           : std::string(Name(op.code)));
  }
  const auto type_of = [&](int32_t tensor) {
    return subgraph.tensors[tensor].type;
  };
  const auto refuse = [&](graph::Type type) {
    return fmt::format("no kernel for {} with {}", Name(op.code), Name(type));
  };
  if (op.outputs.empty()) return fmt::format("{} has no output", Name(op.code));
  const graph::Type out = type_of(op.outputs[0]);
  switch (row->takes) {
    case Takes::kFloat:
      if (out != graph::Type::kFloat32) {
        // Integers that fold away (sizes, shapes) need no kernel.
        const bool integer = out == graph::Type::kInt32 ||
                             out == graph::Type::kInt64 ||
                             out == graph::Type::kBool;
        return integer ? "" : refuse(out);
      }
      for (size_t i = 0; i < op.inputs.size(); ++i) {
        const int32_t input = op.inputs[i];
        if (input < 0) continue;
        const graph::Type type = type_of(input);
        const bool weight =
            type == graph::Type::kInt8 || type == graph::Type::kUint8 ||
            type == graph::Type::kInt4 || type == graph::Type::kInt16 ||
            type == graph::Type::kFloat16;
        if (weight) return refuse(type);
      }
      return "";
    case Takes::kMoves: {
      const size_t bits = graph::BitsPerElement(out);
      return bits >= 8 ? "" : refuse(out);
    }
    case Takes::kFolds:
    case Takes::kOwn:
      return "";
  }
  return "";
}

}  // namespace lathe::plan
