// Marks x * logistic(x).

#include "src/passes/match.h"
#include "src/passes/passes.h"

namespace lathe::passes {

using graph::Op;
using graph::OpCode;

Status MarkSilu(graph::Graph& graph, const PassOptions&) {
  for (graph::Subgraph& subgraph : graph.subgraphs) {
    Matcher matcher(graph, subgraph);
    for (uint32_t i = 0; i < matcher.op_count(); ++i) {
      if (matcher.op(i).outputs.empty()) continue;
      const int32_t y = matcher.op(i).outputs[0];
      Draft draft(matcher);
      const Op* mul = draft.Take(y, OpCode::kMul, 2);
      if (mul == nullptr) continue;
      EitherOrder(draft, *mul, [&](int32_t x, int32_t weight) {
        const Op* logistic = draft.Take(weight, OpCode::kLogistic);
        if (logistic == nullptr || logistic->inputs[0] != x) return false;
        graph::Region region;
        region.kind = graph::RegionKind::kSilu;
        region.inputs = {x};
        region.outputs = {y};
        return matcher.Mark(draft, std::move(region)) != nullptr;
      });
    }
  }
  return {};
}

}  // namespace lathe::passes
