// What a session runs: steps, kernels, fused operators, the arena's map.

#ifndef LATHE_EXPLAIN_HPP_
#define LATHE_EXPLAIN_HPP_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lathe/lathe.hpp"

namespace lathe {

struct PlannedStep {
  std::string name;    // As in StepInfo.
  std::string kernel;  // Empty: plain loops or a copy.
  std::string isa;     // The kernel's level; empty where it has none.
  // The subgraph's operators that it stands for, ascending, and their names.
  std::vector<uint32_t> ops;
  std::vector<std::string> op_names;
  int32_t tensor = -1;  // Its first output; -1: none.
  std::string tensor_name;
  uint64_t flops = 0;
  uint64_t scratch_bytes = 0;
  uint64_t packed_bytes = 0;  // Packed weights that it reads.
  size_t stage = 0;
  std::vector<uint32_t> calls;  // Subgraphs that control flow runs.
};

// Steps that were planned together. Where shapes depend on values, the next
// stage is planned when the values are there.
struct PlannedStage {
  size_t first_op = 0, end_op = 0;  // Operators [first_op, end_op).
  size_t first_step = 0, steps = 0;
  uint64_t arena_bytes = 0;
  size_t peak_step = 0;   // Where most bytes of its arena are alive.
  std::string waits_for;  // Why it was not planned with the one in front.
};

// Bytes of a stage's arena between two steps, both included.
struct ArenaBlock {
  size_t stage = 0;
  int32_t tensor = -1;  // -1: a step's scratch.
  std::string name;
  ElementType type = ElementType::kFloat32;
  std::vector<int32_t> shape;
  uint64_t offset = 0, bytes = 0;
  size_t first_step = 0, last_step = 0;
};

struct PlanFacts {
  size_t subgraph = 0;
  std::string subgraph_name;
  std::string isa;  // The level asked for: no kernel is above it.
  size_t threads = 1;
  size_t ops = 0;  // Of the subgraph.
  std::vector<PlannedStep> steps;
  std::vector<PlannedStage> stages;
  std::vector<ArenaBlock> arena;  // By stage, then by offset.
  // Operators that need no step, with the reason: their results are known, or
  // lie in another tensor's memory.
  std::vector<std::pair<uint32_t, std::string>> without_step;
  // The first operator that is planned only when the model runs, and why;
  // empty: everything is planned.
  std::string unplanned;
  // Of all stages, of what stands outside, and of what is called.
  uint64_t arena_bytes = 0;
  uint64_t packed_bytes = 0;  // Of the model; shared packings count once.
  size_t peak_step = 0;
  uint64_t peak_bytes = 0;  // Alive in that step.
  // The subgraphs that its steps have run so far, each planned by itself:
  // without isa, threads and packed_bytes.
  std::vector<PlanFacts> called;
};

// The plan as it is now: what depends on values shows after Run.
LATHE_EXPORT Result<PlanFacts> Explain(const Session& session);

}  // namespace lathe

#endif  // LATHE_EXPLAIN_HPP_
