// Shape rules: what an operator's outputs look like, given its inputs.
//
// Used by importers while they author a graph, by the reader to check a file,
// and by plan when a caller resizes an input.

#ifndef LATHE_GRAPH_SHAPES_H_
#define LATHE_GRAPH_SHAPES_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "src/graph/graph.h"

namespace lathe::graph {

// What is known about a tensor while shapes are worked out.
struct KnownTensor {
  Type type = Type::kFloat32;
  Shape shape;
  // The values of a small integer tensor (int32, int64, bool; at most 1,024
  // elements) where they do not depend on what the caller feeds: constants and
  // what SHAPE, STRIDED_SLICE, MUL, PACK and their like make of them. Sizes
  // given as tensors are read here.
  std::optional<std::vector<int64_t>> values;
};

// The outputs of one operator. `inputs[i]` belongs to op.inputs[i], null where
// the input is left out. `graph` is for operators that refer to subgraphs.
//
// Errors: kInvalidInput when operands do not fit (counts, ranks, sizes,
// axes, strides ...), naming what was found and what was allowed;
// kUnsupported when the operator has no rule here or its output shape depends
// on values that are only known when the model runs.
Result<std::vector<KnownTensor>> InferOp(
    const Graph& graph, const Op& op,
    std::span<const KnownTensor* const> inputs);

// Runs InferOp over a whole subgraph in order. `known` has one entry per
// tensor: the caller fills type and shape of the subgraph's inputs; the rest is
// filled from constants, variables and operators. Errors carry the operator's
// index and name and the output tensor's name.
Status InferSubgraph(const Graph& graph, const Subgraph& subgraph,
                     std::vector<KnownTensor>& known);

// The starting point of InferSubgraph: types of all tensors, shapes of inputs
// as stored, values of small constants.
std::vector<KnownTensor> StoredTensors(const Graph& graph,
                                       const Subgraph& subgraph);

}  // namespace lathe::graph

#endif  // LATHE_GRAPH_SHAPES_H_
