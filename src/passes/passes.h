// Each pass: one function, one file of the same name. What a pass keeps and
// what errors it gives is said in pipeline.h.

#ifndef LATHE_PASSES_PASSES_H_
#define LATHE_PASSES_PASSES_H_

#include "src/base/result.h"
#include "src/graph/graph.h"
#include "src/passes/pipeline.h"

namespace lathe::passes {

// A composite gives way to the operators of its decomposition.
Status InlineComposites(graph::Graph& graph, const PassOptions& options);

// Operators that nobody needs and that do nothing but make their outputs.
Status RemoveDead(graph::Graph& graph, const PassOptions& options);

// Operators on constants become constants. Without options.fold only those that
// need no arithmetic: shapes, small integers, reshaped constants.
Status FoldConstants(graph::Graph& graph, const PassOptions& options);

// The rest mark regions (graph/regions.h). An operator is in at most one
// region; earlier passes win.
Status MarkSnake(graph::Graph& graph, const PassOptions& options);
Status MarkLayerNorm(graph::Graph& graph, const PassOptions& options);
Status MarkRmsNorm(graph::Graph& graph, const PassOptions& options);
Status MarkRotary(graph::Graph& graph, const PassOptions& options);
Status MarkAttention(graph::Graph& graph, const PassOptions& options);
Status MarkGatedSilu(graph::Graph& graph, const PassOptions& options);
Status MarkSilu(graph::Graph& graph, const PassOptions& options);

}  // namespace lathe::passes

#endif  // LATHE_PASSES_PASSES_H_
