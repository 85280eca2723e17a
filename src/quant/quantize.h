// A float graph and a recipe to a quantized graph, with an account of what was
// done and why.
//
// Comes after: format/ (reads the graph), recipe.h. Comes before: format/
// (writes the result, making its constants one at a time).

#ifndef LATHE_QUANT_QUANTIZE_H_
#define LATHE_QUANT_QUANTIZE_H_

#include <functional>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/base/stop_token.h"
#include "src/base/thread_pool.h"
#include "src/graph/graph.h"
#include "src/quant/recipe.h"
#include "src/quant/statistics.h"

namespace lathe::quant {

struct QuantizeOptions {
  Behaviour behaviour = Behaviour::kCorrect;
  bool in_mapping = false;  // The graph's constants lie in a file mapping.
  ThreadPool* pool = nullptr;
  StopToken stop = nullptr;
  std::function<void(double)> progress;
};

// One operator of the float model.
struct OpReport {
  size_t subgraph = 0, index = 0;
  std::string name;  // Of its first output.
  std::string type;  // "FULLY_CONNECTED"
  bool quantized = false;
  std::string rule;    // The one that decided; empty for none.
  std::string reason;  // Why it stays float, or why a later rule was not taken.
};

// One rule of the recipe.
struct RuleReport {
  std::string rule;
  size_t matched = 0;        // Operators (and boundaries) that it names.
  size_t chosen = 0;         // Those that it decided.
  std::string problem = {};  // Why it decided none; empty if it did.
  bool absent = false;       // The model has no operator that it names.
  bool erased = false;       // By a later rule; known before any model is.
};

struct Quantized {
  graph::Graph graph;
  std::vector<OpReport> ops;
  std::vector<RuleReport> rules;
};

// kCorrect refuses a rule that nothing in the model answers to, unless it names
// an operator that the model does not have; a preset, and a recipe of such
// rules alone, only as a whole. Errors: kInvalidInput with every problem;
// kInterrupted. `statistics` may be null; it and the pool must outlive the
// result's graph, as must the owners of the graph's constants.
Result<Quantized> QuantizeGraph(const graph::Graph& graph, const Recipe& recipe,
                                const Statistics* statistics,
                                const QuantizeOptions& options);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_QUANTIZE_H_
