// From records to steps: what tensors share, and which inserted operators fall
// together or away (quantizer reference 4.2 and 4.3).

#ifndef LATHE_QUANT_INSTRUCTIONS_H_
#define LATHE_QUANT_INSTRUCTIONS_H_

#include <cstdint>
#include <vector>

#include "src/base/result.h"
#include "src/quant/records.h"

namespace lathe::quant {

struct TensorId {
  size_t subgraph = 0;
  int32_t tensor = 0;
};

// One step on a tensor, for those consumers (operators, kBoundary for the
// subgraph's output; twice where an operator reads it twice).
struct Instruction {
  Step step = Step::kNothing;
  int32_t producer = kBoundary;
  std::vector<int32_t> consumers;
  GridPtr grid;
  bool from_producer = false;  // Asked for by the producer.
};

struct TensorInstructions {
  TensorId id;
  std::vector<Instruction> steps;
};

// In the order in which tensors are rewritten: those of one buffer together, so
// that the last of them can keep the buffer. Errors: kInvalidInput when the
// older tool's rules contradict each other (kCompat).
Result<std::vector<TensorInstructions>> PlanInstructions(
    const graph::Graph& graph, Records records, Behaviour behaviour);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_INSTRUCTIONS_H_
