// A plan: what runs, in which order, on which memory, with which kernels.
//
// Comes after: passes/ (the graph with its regions)
// Comes before: run/session.h (an arena and the loop over the steps)

#ifndef LATHE_PLAN_PLAN_H_
#define LATHE_PLAN_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "src/base/cpu.h"
#include "src/base/result.h"
#include "src/base/stop_token.h"
#include "src/base/thread_pool.h"
#include "src/graph/graph.h"
#include "src/graph/shapes.h"
#include "src/plan/packed_cache.h"
#include "src/plan/resources.h"

namespace lathe::plan {

struct PlanOptions {
  Isa isa = Isa::kScalar;  // The best kernel not above this level.
  size_t threads = 1;      // Of the pool that will run it; sizes scratch.
  // As SessionOptions says.
  bool keep_packed = true;
  // What packs weights; may be null, must live while plans are made.
  ThreadPool* pool = nullptr;
  uint64_t memory_limit_bytes = uint64_t{2} << 30;
  // Every operator runs on its own, so that each result can be looked at as
  // soon as it is there.
  bool single_ops = false;
  // The same, and every result is kept.
  bool keep_all = false;
  // The file mapping that holds the constants, empty if there is none: pages
  // inside it are given back once they are packed.
  std::span<const std::byte> mapping;
};

enum class Home : uint8_t {
  kNone,      // Not in memory: inside a fused step, or an option left out.
  kConstant,  // Stored in the graph.
  kArena,
  kOutside,  // A variable, or made before this plan's first operator.
};

// The operators [first, end) of a subgraph. A plan may cover a part: what
// stands in front has then run, and its values lie outside.
struct OpRange {
  size_t first = 0, end = SIZE_MAX;
  bool holds_inputs = true;  // The plan has room for the subgraph's inputs.
};

// One per tensor of the subgraph, same index, then what plan adds itself.
struct PlanTensor {
  std::string name;
  graph::Type type = graph::Type::kFloat32;
  graph::Shape shape;
  uint64_t bytes = 0;
  Home home = Home::kNone;
  const std::byte* constant = nullptr;  // kConstant
  uint64_t offset = 0;                  // kArena: from the arena's start.
  // Of an alias: the tensor whose memory it lies in and where; else itself, 0.
  int32_t root = 0;
  uint64_t root_offset = 0;  // An outside tensor's root may be outside too.
  // Of a kArena root: the steps between which its bytes are its own. The first
  // is the larger one where nothing uses it.
  uint32_t first_step = UINT32_MAX, last_step = 0;
};

// What a step gets when it runs.
struct StepContext {
  std::byte* const* tensors = nullptr;  // By tensor index; null for kNone.
  std::byte* scratch = nullptr;         // scratch_bytes of the step.
  std::byte* shared = nullptr;          // Plan::shared[step.shared].
  ThreadPool* pool = nullptr;
  StopToken stop = nullptr;
  Resources* resources = nullptr;  // The session's.

  template <typename T>
  T* As(int32_t tensor) const {
    return reinterpret_cast<T*>(tensors[tensor]);
  }
};

// One thing the plan runs. `run` allocates nothing and returns an error only
// for values that cannot be known before (kInvalidInput) or a stop.
struct Step {
  std::string name;    // "CONV_2D", "layer_norm"
  std::string kernel;  // "conv_f32_6x64_avx512", empty for plain copies
  uint64_t flops = 0;  // A multiply and an add count as two.
  std::vector<int32_t> inputs, outputs;  // Tensors in memory that it touches.
  // An input whose memory the only output may take when nothing reads that
  // input later; kNoTensor for none.
  int32_t may_overwrite = graph::kNoTensor;
  uint64_t scratch_bytes = 0;
  uint64_t scratch_offset = 0;  // In the arena; filled by MakePlan.
  int32_t shared = -1;          // Index in Plan::shared; -1 is none.
  // Filled by MakePlan: the subgraph's operators that it stands for, and the
  // packed weights it holds.
  std::vector<uint32_t> ops;
  uint64_t packed_bytes = 0;
  std::function<Status(const StepContext&)> run;
};

// Memory that steps keep for later ones, beside the tensors.
struct SharedSpace {
  uint64_t bytes = 0;
  // Filled by MakePlan: where in the arena, and the steps that it is kept for.
  uint64_t offset = 0;
  uint32_t first_step = UINT32_MAX, last_step = 0;
};

struct Plan {
  std::vector<PlanTensor> tensors;
  // The subgraph's inputs, and what is needed once the plan has run: of a plan
  // for a part, also what later operators read.
  std::vector<int32_t> inputs, outputs;
  std::vector<Step> steps;
  std::vector<SharedSpace> shared;
  // Where the next plan begins: the range's end, or the first operator that
  // needs values which are only known when the model runs.
  size_t next_op = 0;
  // Constants that plan worked out itself (shapes, sizes).
  std::vector<std::shared_ptr<const std::vector<std::byte>>> owned;
  // Constants made of others, shared with other plans of the model.
  std::vector<Packed> made;
  uint64_t arena_bytes = 0;
  size_t peak_step = 0;  // The step with the most live bytes.
};

// Plans operators of one subgraph for the shapes in `known` (graph/shapes.h has
// worked out all of the range). `graph` must outlive the plan. Errors:
// kUnsupported listing every operator without a kernel; kInvalidInput when a
// tensor or the arena passes the memory limit, naming it.
Result<Plan> MakePlan(const graph::Graph& graph, size_t subgraph,
                      const std::vector<graph::KnownTensor>& known,
                      const PlanOptions& options, PackedCache& cache,
                      OpRange range = {});

// Whether the operator is run by run/ itself, between plans: control flow and
// operators on strings, whose memory grows.
bool RunsBetweenPlans(const graph::Subgraph& subgraph, const graph::Op& op);

// Whether MakePlan has a kernel for the operator at all; empty if so, else why
// not ("no kernel for CONV_2D with int8").
std::string WhyUnsupported(const graph::Graph& graph,
                           const graph::Subgraph& subgraph,
                           const graph::Op& op);

}  // namespace lathe::plan

#endif  // LATHE_PLAN_PLAN_H_
