// Marks value * (gate * logistic(gate)), multiplied in any order.

#include "src/passes/match.h"
#include "src/passes/passes.h"

namespace lathe::passes {
namespace {

using graph::Op;
using graph::OpCode;

struct Gated {
  Draft draft;
  int32_t value = graph::kNoTensor, gate = graph::kNoTensor;
};

// weight = logistic(gate)
bool TakeWeight(Gated& gated, int32_t weight, int32_t gate) {
  const Op* logistic = gated.draft.Take(weight, OpCode::kLogistic);
  gated.gate = gate;
  return logistic != nullptr && logistic->inputs[0] == gate;
}

// root = other * inner, where inner is gate * logistic(gate) and other the
// value, or inner is value * gate and other logistic(gate).
bool TakeFactors(Gated& gated, const Op& root) {
  return EitherOrder(gated, root, [&](int32_t other, int32_t inner) {
    const Op* mul = gated.draft.Take(inner, OpCode::kMul, 2);
    if (mul == nullptr) return false;
    return EitherOrder(gated, *mul, [&](int32_t gate, int32_t second) {
      const Gated before = gated;
      gated.value = other;
      if (TakeWeight(gated, second, gate)) return true;
      gated = before;
      gated.value = second;
      return TakeWeight(gated, other, gate);
    });
  });
}

}  // namespace

Status MarkGatedSilu(graph::Graph& graph, const PassOptions&) {
  for (graph::Subgraph& subgraph : graph.subgraphs) {
    Matcher matcher(graph, subgraph);
    for (uint32_t i = 0; i < matcher.op_count(); ++i) {
      if (matcher.op(i).outputs.empty()) continue;
      const int32_t y = matcher.op(i).outputs[0];
      Gated gated{Draft(matcher)};
      const Op* root = gated.draft.Take(y, OpCode::kMul, 2);
      if (root == nullptr || !TakeFactors(gated, *root)) continue;
      // The kernel does not broadcast.
      if (matcher.ShapeOf(gated.value) != matcher.ShapeOf(gated.gate)) continue;
      graph::Region region;
      region.kind = graph::RegionKind::kGatedSilu;
      region.inputs = {gated.value, gated.gate};
      region.outputs = {y};
      matcher.Mark(gated.draft, std::move(region));
    }
  }
  return {};
}

}  // namespace lathe::passes
