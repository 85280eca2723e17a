// The passes: graph to graph, in a fixed order.
//
// Comes after: format/ and import/, which make graphs.
// Comes before: plan/, which maps the regions marked here to fused kernels.

#ifndef LATHE_PASSES_PIPELINE_H_
#define LATHE_PASSES_PIPELINE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"
#include "src/graph/graph.h"

namespace lathe::passes {

// Evaluates one operator whose inputs are all constants: the bytes of each
// output, as the output tensors' types and shapes say. An error means that this
// operator cannot be evaluated; it then stays as it is.
using FoldFunction = std::function<Result<std::vector<std::vector<std::byte>>>(
    const graph::Graph&, const graph::Subgraph&, const graph::Op&)>;

struct PassOptions {
  // Names of passes that do not run.
  std::vector<std::string> skip;

  // Verifies the graph after each pass, so that an error names the pass that
  // broke it. Builds without NDEBUG always do.
  bool verify = false;

  // Null: only what needs no arithmetic is folded.
  FoldFunction fold;

  // An operator whose outputs have more bytes is not folded.
  uint64_t largest_fold_bytes = uint64_t{16} << 20;
};

// One row of the contents page.
struct Pass {
  std::string_view name;
  std::string_view says;  // One sentence: what it does to a graph.
  Status (*run)(graph::Graph&, const PassOptions&);
};

// Every pass, in the order in which they run.
std::span<const Pass> AllPasses();

// Runs the passes over a verified graph. What the graph computes and its
// inputs, outputs and signatures stay; indices of tensors keep their meaning,
// those of operators do not. Regions that were there before are dropped.
//
// Cost: linear in tensors and operators, times the number of passes, and what
// `fold` costs. One thread; nobody may read the graph meanwhile.
//
// Errors: kUsage for an unknown name in `skip`, listing the names; what
// graph::Verify says, with the name of the pass that broke the graph (our
// mistake).
Status RunPasses(graph::Graph& graph, const PassOptions& options);

}  // namespace lathe::passes

#endif  // LATHE_PASSES_PIPELINE_H_
