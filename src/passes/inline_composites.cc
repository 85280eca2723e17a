// Puts a composite's decomposition in its place, so that its operators are
// planned with their neighbours and fused where they are a known computation.

#include <algorithm>
#include <utility>

#include "src/passes/passes.h"

namespace lathe::passes {
namespace {

using graph::Op;
using graph::OpCode;
using graph::Subgraph;

// A small file may refer to one decomposition many times over, and that one to
// another.
constexpr size_t kMostOps = size_t{1} << 18;
constexpr size_t kMostTensors = size_t{1} << 19;

// Its own operators make every output, each another one: then they can write
// the composite's outputs themselves. State would have to be kept apart.
bool MayInline(const Op& op, const Subgraph& body) {
  if (op.inputs.size() != body.inputs.size() ||
      op.outputs.size() != body.outputs.size()) {
    return false;
  }
  if (std::ranges::count(op.inputs, graph::kNoTensor) > 0) return false;
  for (const graph::Tensor& tensor : body.tensors) {
    if (tensor.is_variable) return false;
  }
  for (size_t i = 0; i < body.outputs.size(); ++i) {
    const int32_t output = body.outputs[i];
    if (std::ranges::count(body.outputs, output) != 1) return false;
    const bool made = std::ranges::any_of(body.ops, [&](const Op& inner) {
      return std::ranges::count(inner.outputs, output) > 0;
    });
    if (!made) return false;
  }
  return true;
}

// The body's operators on the outer subgraph's tensors.
std::vector<Op> Expand(Subgraph& outer, const Op& op, const Subgraph& body) {
  std::vector<int32_t> place(body.tensors.size(), graph::kNoTensor);
  for (size_t i = 0; i < body.inputs.size(); ++i) {
    place[body.inputs[i]] = op.inputs[i];
  }
  for (size_t i = 0; i < body.outputs.size(); ++i) {
    place[body.outputs[i]] = op.outputs[i];
  }
  const auto move = [&](std::vector<int32_t>& tensors) {
    for (int32_t& tensor : tensors) {
      if (tensor < 0) continue;
      int32_t& at = place[tensor];
      if (at < 0) {
        graph::Tensor moved = body.tensors[tensor];
        auto& quantization = moved.quantization;
        if (quantization &&
            quantization->details != graph::Quantization::Details::kNone) {
          // They name tensors too; such constants move with them.
          for (int32_t* named : {&quantization->scales_tensor,
                                 &quantization->zero_points_tensor}) {
            if (*named < 0) continue;
            outer.tensors.push_back(body.tensors[*named]);
            *named = static_cast<int32_t>(outer.tensors.size()) - 1;
          }
        }
        at = static_cast<int32_t>(outer.tensors.size());
        outer.tensors.push_back(std::move(moved));
      }
      tensor = at;
    }
  };
  std::vector<Op> ops = body.ops;
  for (Op& inner : ops) {
    move(inner.inputs);
    move(inner.outputs);
    move(inner.intermediates);
  }
  return ops;
}

}  // namespace

Status InlineComposites(graph::Graph& graph, const PassOptions&) {
  for (size_t s = 0; s < graph.subgraphs.size(); ++s) {
    // A decomposition may hold composites: again until none is left. Calls of
    // subgraphs form no cycle (graph/verify_calls.cc).
    for (bool again = true; again;) {
      again = false;
      Subgraph& outer = graph.subgraphs[s];
      std::vector<Op> ops;
      size_t left = outer.ops.size();
      for (Op& op : outer.ops) {
        --left;
        if (op.code == OpCode::kStablehloComposite) {
          const auto target = static_cast<size_t>(
              op.options.Int("decomposition_subgraph_index"));
          const Subgraph& body = graph.subgraphs[target];
          if (target != s && MayInline(op, body) &&
              ops.size() + left + body.ops.size() <= kMostOps &&
              outer.tensors.size() + body.tensors.size() <= kMostTensors) {
            std::vector<Op> inner = Expand(outer, op, body);
            std::ranges::move(inner, std::back_inserter(ops));
            again = true;
            continue;
          }
        }
        ops.push_back(std::move(op));
      }
      outer.ops = std::move(ops);
    }
  }
  return {};
}

}  // namespace lathe::passes
