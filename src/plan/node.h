// What plan lowers: operators and regions, some of them grown by neighbours.

#ifndef LATHE_PLAN_NODE_H_
#define LATHE_PLAN_NODE_H_

#include <array>
#include <cstdint>
#include <vector>

#include "src/graph/graph.h"
#include "src/graph/shapes.h"

namespace lathe::plan {

// One operator or one region, with what its kernel takes along.
struct Node {
  const graph::Op* op = nullptr;  // Exactly one of these two.
  const graph::Region* region = nullptr;
  std::vector<int32_t> inputs, outputs;
  size_t last_op = 0;         // It runs where this operator stands.
  std::vector<uint32_t> ops;  // All operators that it stands for, ascending.

  // Convolutions: the snake in front, and the zero padding of a PAD in front
  // (top, bottom, left, right).
  const graph::Region* snake = nullptr;
  std::array<int32_t, 4> pad{};
  bool padded = false;
  // Convolutions and FULLY_CONNECTED: a tensor added to the result.
  int32_t residual = graph::kNoTensor;
  // kGatedSilu: value and gate are the halves of this tensor's last axis.
  int32_t halves_of = graph::kNoTensor;
  // FULLY_CONNECTED with quantized weights: followed by a gated unit whose
  // value and gate are the halves of its result.
  bool gated = false;
  // kAttention: q, k, v and y are what these permutations of axes, if any, make
  // of the node's inputs 0 to 2 and, the other way round, its output (of a
  // TRANSPOSE in front and behind).
  std::array<std::vector<int64_t>, 4> perms;
};

// The nodes of a subgraph in an order in which they can run. A region is taken
// whole, unless the shapes in `known` no longer fit its kernel. Fused: snake
// and PAD in front of CONV_2D, ADD behind CONV_2D and FULLY_CONNECTED, SPLIT in
// front of a gated unit, and both behind a FULLY_CONNECTED with quantized
// weights, TRANSPOSE around attention; each only when the value between has no
// other use.
// `known` is graph/shapes.h's result.
// Only operators in [first, end) count; a region that reaches beyond is its
// operators, and what later operators read is kept.
std::vector<Node> MakeNodes(const graph::Graph& graph,
                            const graph::Subgraph& subgraph,
                            const std::vector<graph::KnownTensor>& known,
                            size_t first = 0, size_t end = SIZE_MAX);

}  // namespace lathe::plan

#endif  // LATHE_PLAN_NODE_H_
