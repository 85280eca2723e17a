// The operators that a recipe can name, and what quantizing does with each
// (quantizer reference 1.4, 2.3 and 3).

#ifndef LATHE_QUANT_OPS_H_
#define LATHE_QUANT_OPS_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "src/graph/graph.h"

namespace lathe::quant {

// What a rule applies to.
enum class Target : uint8_t {
  kAll,     // "*"
  kInput,   // All inputs of a subgraph, as one virtual operator.
  kOutput,  // All outputs of a subgraph.
#define LATHE_QUANT_OP(target, code, scale, ignored, int8, int16) target,
#include "src/quant/ops.inc"
#undef LATHE_QUANT_OP
  kCustomOp,  // "CUSTOM_OP": a recipe may say it; no operator is one.
  kUnknown,   // Nothing that exists; only where a recipe is not judged.
};

// Which parameters the outputs and inputs of a static operator share.
enum class ScaleRule : uint8_t {
  kFree,
  kAsInput,   // Outputs take the one input's.
  kAsOutput,  // Inputs take the one output's.
  kFixed,     // The output's are set by the kernels.
};

// Where an operator with weights keeps them; inputs that it does not have are
// kNoTensor.
struct WeightPlaces {
  int32_t input = 0, weight = 1, bias = 2;
  int32_t channel_axis = 0;  // Of the weight; BATCH_MATMUL depends on options.
};

struct TargetFacts {
  Target target;
  std::string_view name;  // In recipes.
  std::optional<graph::OpCode> code;
  ScaleRule scale = ScaleRule::kFree;
  uint32_t ignored_inputs = 0;  // Bit i: input i is never quantized.
  bool static_int8 = false, static_int16 = false;
};

// All that a recipe can name, "*" first.
std::span<const TargetFacts> AllTargets();
const TargetFacts& FactsOf(Target target);
std::string_view Name(Target target);
// kUnknown when there is none.
Target TargetNamed(std::string_view name);
// Null: the operator is never quantized.
std::optional<Target> TargetOf(graph::OpCode code);

// FULLY_CONNECTED, the convolutions, BATCH_MATMUL and EMBEDDING_LOOKUP: their
// constant operands follow the rule's weight config.
bool HasWeights(Target target);
// Those with one weight and a bias, which are treated together.
std::optional<WeightPlaces> PlacesOf(Target target);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_OPS_H_
