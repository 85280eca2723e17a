// Finds norms over the last axis: with the mean taken off (layer norm) or not
// (RMS norm). Both are u * rsqrt(mean(u^2) + epsilon) [* gamma] [+ beta].

#ifndef LATHE_PASSES_NORM_MATCH_H_
#define LATHE_PASSES_NORM_MATCH_H_

#include <cstdint>

#include "src/graph/graph.h"
#include "src/passes/match.h"

namespace lathe::passes {

enum class NormKind : uint8_t { kLayer, kRms };

// Marks every norm of the kind, in all subgraphs.
void MarkNorms(graph::Graph& graph, NormKind kind);

}  // namespace lathe::passes

#endif  // LATHE_PASSES_NORM_MATCH_H_
