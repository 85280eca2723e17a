// A region: operators of one subgraph that together are one known computation.
//
// A pass marks it, the writer ignores it, plan maps it to a fused kernel or,
// where none fits, to its operators one by one.

#ifndef LATHE_GRAPH_REGIONS_H_
#define LATHE_GRAPH_REGIONS_H_

#include <cstdint>
#include <string_view>
#include <vector>

namespace lathe::graph {

enum class RegionKind : uint8_t {
  // y = x + sin^2(x * a) * b. inputs: x, a, b (constants per channel).
  kSnake,
  // y = (x - mean) / sqrt(var + epsilon) * gamma + beta over the last axis.
  // inputs: x, gamma, beta; kNoTensor where the graph has none.
  kLayerNorm,
  // y = x / sqrt(mean(x^2) + epsilon) * gamma. inputs: x, gamma.
  kRmsNorm,
  // y = softmax(scale * q k^T + bias) v over the last two axes of [.., n, d].
  // inputs: q, k, v, then bias terms that are added to the scores (0 to 2).
  kAttention,
  // Half-split rotary embedding on the first channels of the last axis.
  // inputs: x, cos, sin.
  kRotary,
  // y = value * (gate * logistic(gate)); inputs: value, gate.
  kGatedSilu,
  // y = x * logistic(x). inputs: x.
  kSilu,
};

std::string_view Name(RegionKind kind);

struct Region {
  RegionKind kind = RegionKind::kSnake;
  // Indices into Subgraph::ops, ascending. The region runs where its last
  // operator stands; no value made inside is used outside but `outputs`.
  std::vector<uint32_t> ops;
  std::vector<int32_t> inputs, outputs;  // Tensor indices.
  float epsilon = 0;                     // The norms.
  float scale = 1;                       // kAttention
  bool transposed_k = false;             // kAttention: k is [.., d, n].
};

}  // namespace lathe::graph

#endif  // LATHE_GRAPH_REGIONS_H_
