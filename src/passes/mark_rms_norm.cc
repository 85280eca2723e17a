// Marks norms by the root of the mean square over the last axis.

#include "src/passes/norm_match.h"
#include "src/passes/passes.h"

namespace lathe::passes {

Status MarkRmsNorm(graph::Graph& graph, const PassOptions&) {
  MarkNorms(graph, NormKind::kRms);
  return {};
}

}  // namespace lathe::passes
