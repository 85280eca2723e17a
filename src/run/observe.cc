#include "src/run/observe.h"

#include <algorithm>

namespace lathe::run {

std::vector<std::vector<int32_t>> ShownAfterSteps(
    const graph::Subgraph& subgraph, const plan::Plan& plan, size_t first,
    size_t end) {
  // By operator and by tensor: one more than the step, 0 before any.
  std::vector<size_t> last_step(subgraph.ops.size()), seen(plan.tensors.size());
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    for (const uint32_t op : plan.steps[i].ops) last_step[op] = i + 1;
  }
  std::vector<std::vector<int32_t>> shown(plan.steps.size() + 1);
  for (size_t op = first; op < end; ++op) {
    if (plan::RunsBetweenPlans(subgraph, subgraph.ops[op])) continue;
    for (const int32_t t : subgraph.ops[op].outputs) {
      const plan::PlanTensor& output = plan.tensors[static_cast<size_t>(t)];
      size_t at = last_step[op];
      // Without a step it is known already, or another view of an input. As
      // nothing need read the view, it is looked at with what it views.
      for (const int32_t input : subgraph.ops[op].inputs) {
        if (last_step[op] > 0 || input < 0) continue;
        if (output.home != plan::Home::kConstant &&
            plan.tensors[static_cast<size_t>(input)].root == output.root) {
          at = std::max(at, seen[static_cast<size_t>(input)]);
        }
      }
      seen[static_cast<size_t>(t)] = at;
      shown[at].push_back(t);
    }
  }
  return shown;
}

}  // namespace lathe::run
