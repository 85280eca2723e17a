// Asks the recipe about every operator and writes down what that means for its
// tensors (quantizer reference 3.3 and 4.1).

#ifndef LATHE_QUANT_ASSIGN_H_
#define LATHE_QUANT_ASSIGN_H_

#include <functional>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/base/stop_token.h"
#include "src/quant/recipe.h"
#include "src/quant/records.h"

namespace lathe::quant {

struct AssignOptions {
  Behaviour behaviour = Behaviour::kCorrect;
  bool in_mapping = false;  // The graph's constants lie in a file mapping.
  ThreadPool* pool = nullptr;
  StopToken stop = nullptr;
  std::function<void(double)> progress;  // Fraction of the operators.
};

// What became of one operator.
struct OpOutcome {
  std::string name;            // Of its first output.
  const Rule* rule = nullptr;  // That decided; also one that leaves it float.
  bool quantized = false;
  std::string reason;  // Why it stays float, or why a rule was not taken.
};

struct Assignment {
  Records records;
  std::vector<std::vector<OpOutcome>> ops;  // By subgraph.
};

// `chooser` asks the recipe and counts the uses of its rules. `statistics` may
// be null and outlives the records. Errors: kInvalidInput, with every tensor
// that cannot be quantized as its rule says; kInterrupted.
Result<Assignment> Assign(const graph::Graph& graph, Chooser& chooser,
                          const Statistics* statistics,
                          const AssignOptions& options);

// Asks about every operator and boundary, so that the chooser knows what its
// rules are used for. Errors: as Chooser::Choose.
Status AskAll(const graph::Graph& graph, Chooser& chooser);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_ASSIGN_H_
