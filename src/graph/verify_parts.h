// The parts of the verifier, in the order in which verify.cc runs them.

#ifndef LATHE_GRAPH_VERIFY_PARTS_H_
#define LATHE_GRAPH_VERIFY_PARTS_H_

#include "src/graph/graph.h"
#include "src/graph/problems.h"

namespace lathe::graph {

// Shape, buffer, constant bytes, quantization, sparse storage of one tensor.
void VerifyTensor(const Graph& graph, const Subgraph& subgraph,
                  const Tensor& tensor, Problems& problems);

// Enums and divisors among an operator's options.
void VerifyOptions(const Op& op, Problems& problems);

// Calls between subgraphs: targets, arguments, no cycle, depth. Tensor indices
// must have been verified.
void VerifyCalls(const Graph& graph, Problems& problems);

// The subgraphs that an operator runs. May hold indices out of range.
std::vector<int64_t> CalledSubgraphs(const Op& op);

}  // namespace lathe::graph

#endif  // LATHE_GRAPH_VERIFY_PARTS_H_
