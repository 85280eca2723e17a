// The text form of a graph, for tests and for reading by people.

#ifndef LATHE_GRAPH_TEXT_H_
#define LATHE_GRAPH_TEXT_H_

#include <string>
#include <string_view>

#include "src/graph/graph.h"

namespace lathe::graph {

// One line per tensor that has no writer, per operator and per region, such as
//
//   graph main
//   input  x: float32[1,4,8]
//   const  w: float32[16,8] = 0.5 -1 ...        (short constants in full)
//   const  v: float32[1024,1024]                (long ones: zeros)
//   y: float32[1,4,16] = FULLY_CONNECTED(x, w, -) {keep_num_dims=true}
//   region layer_norm(x, gamma, beta) -> y {ops=0-8 epsilon=1e-05}
//   output y
//
// Stable: equal graphs give equal text.
std::string ToText(const Graph& graph);

// Reads what ToText writes (and, in tests, what people write: shapes and types
// of operators' outputs may be left out and are then inferred). The result is
// verified. Errors name the line.
Result<Graph> FromText(std::string_view text);

}  // namespace lathe::graph

#endif  // LATHE_GRAPH_TEXT_H_
