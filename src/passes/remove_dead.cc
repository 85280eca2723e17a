// Removes operators whose results nobody uses.

#include <algorithm>

#include "src/passes/passes.h"

namespace lathe::passes {
namespace {

using graph::Op;
using graph::OpCode;

// Whether running the operator changes anything but its outputs.
bool HasSideEffect(const graph::Subgraph& subgraph, const Op& op) {
  switch (op.code) {
    case OpCode::kAssignVariable:
    case OpCode::kReadVariable:
    case OpCode::kVarHandle:
    case OpCode::kHashtable:
    case OpCode::kHashtableFind:
    case OpCode::kHashtableImport:
    case OpCode::kHashtableSize:
    case OpCode::kCall:
    case OpCode::kCallOnce:
    case OpCode::kIf:
    case OpCode::kWhile:
    case OpCode::kCustom:
    case OpCode::kDelegate:
    case OpCode::kStablehloWhile:
    case OpCode::kStablehloCase:
    case OpCode::kStablehloCustomCall:
    case OpCode::kStablehloComposite:
    // These draw from a sequence that others draw from, too.
    case OpCode::kRandomStandardNormal:
    case OpCode::kRandomUniform:
    case OpCode::kMultinomial:
    case OpCode::kStablehloRngBitGenerator:
      return true;
    default:
      break;
  }
  if (op.outputs.empty()) return true;
  // A recurrent cell writes its state tensors.
  return std::ranges::any_of(op.inputs, [&](int32_t input) {
    return input >= 0 && subgraph.tensors[input].is_variable;
  });
}

}  // namespace

Status RemoveDead(graph::Graph& graph, const PassOptions&) {
  for (size_t s = 0; s < graph.subgraphs.size(); ++s) {
    graph::Subgraph& subgraph = graph.subgraphs[s];
    std::vector<bool> needed(subgraph.tensors.size());
    for (const int32_t output : subgraph.outputs) needed[output] = true;
    for (const graph::Signature& signature : graph.signatures) {
      if (signature.subgraph != s) continue;
      for (const auto& output : signature.outputs) needed[output.tensor] = true;
    }
    std::vector<bool> kept(subgraph.ops.size());
    // Users stand behind makers, so one sweep from the end finds everything.
    for (size_t i = subgraph.ops.size(); i-- > 0;) {
      const Op& op = subgraph.ops[i];
      kept[i] = HasSideEffect(subgraph, op) ||
                std::ranges::any_of(
                    op.outputs, [&](int32_t output) { return needed[output]; });
      if (!kept[i]) continue;
      for (const int32_t input : op.inputs) {
        if (input >= 0) needed[input] = true;
      }
    }
    size_t to = 0;
    for (size_t i = 0; i < kept.size(); ++i) {
      if (!kept[i]) continue;
      if (to != i) subgraph.ops[to] = std::move(subgraph.ops[i]);
      ++to;
    }
    subgraph.ops.resize(to);
  }
  return {};
}

}  // namespace lathe::passes
