// The contents page: which passes there are, and in which order they run.

#include "src/passes/pipeline.h"

#include <algorithm>
#include <iterator>

#include "src/graph/verify.h"
#include "src/passes/passes.h"

namespace lathe::passes {
namespace {

constexpr Pass kPasses[] = {
    {"inline_composites", "Puts decompositions in the place of composites.",
     InlineComposites},
    {"remove_dead", "Removes operators whose results nobody uses.", RemoveDead},
    {"fold_constants", "Computes operators whose inputs are all constants.",
     FoldConstants},
    {"mark_snake", "Marks x + sin^2(x a) b per channel.", MarkSnake},
    {"mark_layer_norm", "Marks layer norms over the last axis.", MarkLayerNorm},
    {"mark_rms_norm", "Marks norms by the root of the mean square.",
     MarkRmsNorm},
    {"mark_rotary", "Marks half-split rotary embeddings.", MarkRotary},
    {"mark_attention", "Marks softmax(scale q k^T + bias) v.", MarkAttention},
    {"mark_gated_silu", "Marks value * gate * logistic(gate).", MarkGatedSilu},
    {"mark_silu", "Marks x * logistic(x).", MarkSilu},
};

#ifdef NDEBUG
constexpr bool kVerifyAlways = false;
#else
constexpr bool kVerifyAlways = true;
#endif

Status CheckNames(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (std::ranges::count(kPasses, name, &Pass::name)) continue;
    std::string known;
    for (const Pass& pass : kPasses) known += fmt::format(" {}", pass.name);
    return Fail(ErrorCode::kUsage, "pass \"{}\" is not known; there are:{}",
                name, known);
  }
  return {};
}

}  // namespace

std::span<const Pass> AllPasses() { return kPasses; }

Status RunPasses(graph::Graph& graph, const PassOptions& options) {
  LATHE_TRY(CheckNames(options.skip));
  for (graph::Subgraph& subgraph : graph.subgraphs) subgraph.regions.clear();
  for (const Pass& pass : kPasses) {
    if (std::ranges::count(options.skip, pass.name)) continue;
    LATHE_TRY(pass.run(graph, options));
    if (!kVerifyAlways && !options.verify) continue;
    if (const Status status = graph::Verify(graph); !status) {
      return Fail(status.error().code, "after pass \"{}\":\n{}", pass.name,
                  status.error().message);
    }
  }
  return {};
}

}  // namespace lathe::passes
