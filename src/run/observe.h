// When which tensor of a plan can be looked at, if operators run one by one.
//
// Comes after: plan/plan.h. Comes before: run/executor.h.

#ifndef LATHE_RUN_OBSERVE_H_
#define LATHE_RUN_OBSERVE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "src/graph/graph.h"
#include "src/graph/shapes.h"
#include "src/plan/plan.h"

namespace lathe::run {

struct Shown {
  size_t subgraph = 0;
  int32_t tensor = 0;
  const graph::KnownTensor& facts;
  std::span<const std::byte> bytes;  // Until the call returns.
};
using OnTensor = std::function<void(const Shown&)>;

// The results of the operators [first, end) by the step behind which they are
// there: [0] before any step, [i + 1] behind step i. Memory is reused, so later
// they may be gone. What runs between plans is not among them. `plan` is one of
// single operators.
std::vector<std::vector<int32_t>> ShownAfterSteps(
    const graph::Subgraph& subgraph, const plan::Plan& plan, size_t first,
    size_t end);

}  // namespace lathe::run

#endif  // LATHE_RUN_OBSERVE_H_
