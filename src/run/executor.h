// Runs a subgraph whose shapes may depend on values, with control flow: plans,
// one behind the other, and what stands between them.
//
// A plan covers operators as long as all shapes are known. Where an operator's
// output depends on values (RESHAPE by a computed shape, WHERE), the plan ends;
// the next one is made when the values are there, and kept as long as they are
// the same. IF, WHILE, calls and operators on strings run between plans.
//
// Comes after: plan/plan.h, run/session.h. Comes before: api/ (names, types).

#ifndef LATHE_RUN_EXECUTOR_H_
#define LATHE_RUN_EXECUTOR_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/graph/graph.h"
#include "src/graph/shapes.h"
#include "src/plan/plan.h"
#include "src/run/observe.h"
#include "src/run/session.h"

namespace lathe::run {

// State that outlives runs and that sessions may have in common.
struct Held {
  plan::Resources resources;
  std::set<size_t> called_once;  // Subgraphs that CALL_ONCE has run.
};

// What the executors of one session share.
struct Shared {
  const graph::Graph* graph = nullptr;
  plan::PlanOptions options;
  plan::PackedCache* cache = nullptr;
  std::shared_ptr<Held> held;
};

// Called after each step of a called subgraph.
struct InnerStep {
  size_t subgraph = 0;
  size_t step = 0;  // Counted in the subgraph.
  std::string_view name, tensor, kernel;
  uint64_t flops = 0;
  double ms = 0;
};
using OnInnerStep = std::function<void(const InnerStep&)>;

struct RunOptions {
  ThreadPool* pool = nullptr;
  StopToken stop = nullptr;
  const OnStep* on_step = nullptr;  // Null: none.
  const OnInnerStep* on_inner_step = nullptr;
  // Needs plans of single operators (PlanOptions::single_ops). Bodies of
  // control flow report too.
  const OnTensor* on_tensor = nullptr;
};

// One thread at a time.
class Executor {
 public:
  // Plans as far as shapes are known. `shapes`: of the subgraph's inputs, in
  // order. Errors: what the shape rules and plans say; kSystem without memory.
  static Result<std::unique_ptr<Executor>> Create(
      Shared& shared, size_t subgraph, const std::vector<graph::Shape>& shapes);

  // Plans anew for other shapes; inputs' contents are lost, variables stay. On
  // an error the executor must not be used any more.
  Status Reshape(const std::vector<graph::Shape>& shapes);

  // Type and shape as known now; those of outputs that depend on values are
  // true after Run.
  const graph::KnownTensor& Known(int32_t tensor) const {
    return known_[static_cast<size_t>(tensor)];
  }
  // Whether the value is stored in the graph: it must not be written.
  bool IsConstant(int32_t tensor) const;
  // The memory of a tensor; empty for one that is nowhere (yet).
  std::span<std::byte> Bytes(int32_t tensor) const;
  // Replaces the packed blob of a string input.
  void SetStrings(int32_t tensor, std::vector<std::byte> blob);

  // Errors: those of steps, with the operator's name; kInvalidInput for values
  // that give impossible shapes; kInterrupted.
  Status Run(const RunOptions& options);

  // Variables back to zero (quantized: the zero point).
  void ResetVariables();

  // Plans in the order in which they run, with the operator behind each.
  struct Stage {
    Session session;
    size_t first_op = 0, next_op = 0;
    bool between = false;  // Operator `next_op` - 1 runs between plans.
    std::vector<graph::KnownTensor> known;  // After the stage.
    // What an operator's shapes were worked out from.
    struct Reason {
      size_t op = 0;
      // Small integer inputs: the tensor and its bytes then.
      std::vector<std::pair<int32_t, std::vector<std::byte>>> values;
      bool complete = false;  // They alone give the shapes.
      bool exact = false;     // The plan relies on them beyond the shapes.
      std::vector<graph::Shape> outputs;
    };
    std::vector<Reason> reasons;
    std::vector<std::vector<int32_t>> shown;  // With single_ops; observe.h.
  };
  std::span<const std::unique_ptr<Stage>> stages() const { return stages_; }
  // Those of subgraphs that have been called, by subgraph.
  const std::map<size_t, std::unique_ptr<Executor>>& called() const {
    return children_;
  }
  // Plans made so far: runs with the same shapes add none.
  size_t plans_made() const { return plans_made_; }
  // Of this executor and those it calls.
  uint64_t memory_bytes() const;

 private:
  Executor(Shared& shared, size_t subgraph, const Executor* caller)
      : shared_(shared), subgraph_(subgraph), caller_(caller) {}
  Status Start(const std::vector<graph::Shape>& shapes);

  const graph::Subgraph& Source() const {
    return shared_.graph->subgraphs[subgraph_];
  }
  size_t NextOp() const {
    return stages_.empty() ? 0 : stages_.back()->next_op;
  }
  bool AtEnd() const {
    return !stages_.empty() && NextOp() == Source().ops.size();
  }

  // Of the memory limit, which all executors of the session have in common.
  uint64_t MemoryLeft() const;
  // Whether an operator reads the tensor or it is an output.
  bool IsUsed(int32_t tensor) const;

  Status PlanAhead();
  // What a plan takes from the values that its first operator reads: the shapes
  // they give, or they themselves, as few as give the shapes or all.
  enum class Use { kShapes, kSomeValues, kAllValues };
  Result<bool> BuildStage(bool running, Use use = Use::kShapes);
  Result<size_t> InferFrom(size_t first, bool running, Use use,
                           std::vector<graph::KnownTensor>& known,
                           std::vector<Stage::Reason>& reasons);
  // An operator's inputs, in its order.
  struct Operands {
    std::vector<const graph::KnownTensor*> facts;   // Null: left out.
    std::vector<std::span<const std::byte>> bytes;  // What is there so far.
    std::vector<graph::Type> output_types;
  };
  Operands OperandsOf(size_t op,
                      const std::vector<graph::KnownTensor>& known) const;
  Status Take(size_t op, Result<std::vector<graph::KnownTensor>> outputs,
              std::vector<graph::KnownTensor>& known) const;
  Status InferAtRun(size_t op, Use use, std::vector<graph::KnownTensor>& known,
                    Stage::Reason& reason);
  bool StillHolds(Stage& stage) const;
  void DropStages(size_t count);
  void TakeOutputs(const Stage& stage);

  void Show(std::span<const int32_t> tensors, const RunOptions& options) const;
  // Tells of step `at` of a stage whose first is `first`, the last being what
  // runs between plans.
  void Tell(const Stage& stage, size_t first, size_t at, double ms,
            const RunOptions& options) const;
  Status RunBetween(Stage& stage, const RunOptions& options);
  Status RunBranch(const graph::Op& op, const std::vector<int64_t>& targets,
                   size_t chosen, const RunOptions& options);
  Status RunWhile(const graph::Op& op, const RunOptions& options);
  Status RunOnce(const graph::Op& op, const RunOptions& options);
  Status RunStrings(size_t op);
  Result<Executor*> Call(size_t subgraph, std::span<const int32_t> arguments,
                         const RunOptions& options);
  Result<Executor*> ChildFor(size_t subgraph,
                             const std::vector<graph::KnownTensor>& arguments);
  Status Own(int32_t tensor, std::span<const std::byte> bytes,
             const graph::KnownTensor& facts);

  Shared& shared_;
  size_t subgraph_;
  const Executor* caller_;  // Null: nobody called it.
  std::vector<graph::KnownTensor> known_;
  std::vector<std::byte*> pointers_;  // By tensor; null: nowhere yet.
  std::vector<size_t> sizes_;         // Bytes there.
  // Variables, strings and results of what runs between plans.
  std::map<int32_t, std::vector<std::byte>> owned_;
  std::vector<std::unique_ptr<Stage>> stages_;
  size_t plans_made_ = 0;
  std::map<size_t, std::unique_ptr<Executor>> children_;
};

}  // namespace lathe::run

#endif  // LATHE_RUN_EXECUTOR_H_
