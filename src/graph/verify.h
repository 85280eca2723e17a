// Proves that a graph is well-formed: every index, size and order. After this
// the graph is true and nothing re-checks.

#ifndef LATHE_GRAPH_VERIFY_H_
#define LATHE_GRAPH_VERIFY_H_

#include "src/graph/graph.h"

namespace lathe::graph {

// Checks: indices of tensors, buffers, subgraphs, signatures; ranks, dims,
// sizes in 64-bit arithmetic; constant bytes equal to the tensor's size;
// operator order, one writer per tensor, no write to a constant, variable or
// input; option values in range (enums); quantization counts and axes; acyclic
// calls between subgraphs, depth at most 32; unique signature names. Reference
// tflite-format.md, section 3.3. Lists all problems of a graph, one per line,
// at most 100. Cost: linear in tensors and operators; never reads constant
// bytes except those of strings.
Status Verify(const Graph& graph);

}  // namespace lathe::graph

#endif  // LATHE_GRAPH_VERIFY_H_
