// Marks layer norms over the last axis.

#include "src/passes/norm_match.h"
#include "src/passes/passes.h"

namespace lathe::passes {

Status MarkLayerNorm(graph::Graph& graph, const PassOptions&) {
  MarkNorms(graph, NormKind::kLayer);
  return {};
}

}  // namespace lathe::passes
