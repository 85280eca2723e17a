// Resource variables of a session: what VAR_HANDLE names.

#ifndef LATHE_PLAN_RESOURCES_H_
#define LATHE_PLAN_RESOURCES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/graph/graph.h"

namespace lathe::plan {

struct Resource {
  bool assigned = false;
  graph::Type type = graph::Type::kFloat32;
  graph::Shape shape;
  std::vector<std::byte> bytes;
};

// By handle. A handle is the position of the pair (container, shared_name)
// among those of the whole graph, in the order in which they occur; a tensor of
// type RESOURCE holds it as int32.
using Resources = std::vector<Resource>;

inline constexpr size_t kHandleBytes = sizeof(int32_t);

// The handle of a VAR_HANDLE operator of the graph.
int32_t HandleOf(const graph::Graph& graph, const graph::Op& op);
size_t HandleCount(const graph::Graph& graph);

}  // namespace lathe::plan

#endif  // LATHE_PLAN_RESOURCES_H_
