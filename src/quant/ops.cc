#include "src/quant/ops.h"

#include <algorithm>
#include <array>

namespace lathe::quant {
namespace {

// TRANSPOSE_CONV is the only one with a name of its own.
constexpr std::string_view kTransposeConvName = "CONV_2D_TRANSPOSE";

const auto& Table() {
  static const std::array table = {
      TargetFacts{Target::kAll, "*", {}},
      TargetFacts{Target::kInput, "INPUT", {}, ScaleRule::kFree, 0, true, true},
      TargetFacts{
          Target::kOutput, "OUTPUT", {}, ScaleRule::kFree, 0, true, true},
#define LATHE_QUANT_OP(target, code, scale, ignored, int8, int16) \
  TargetFacts{Target::target,                                     \
              Target::target == Target::kTransposeConv            \
                  ? kTransposeConvName                            \
                  : graph::Name(graph::OpCode::code),             \
              graph::OpCode::code,                                \
              ScaleRule::scale,                                   \
              ignored,                                            \
              int8,                                               \
              int16},
#include "src/quant/ops.inc"
#undef LATHE_QUANT_OP
      TargetFacts{Target::kCustomOp, "CUSTOM_OP", {}},
      TargetFacts{Target::kUnknown, "?", {}},
  };
  return table;
}

}  // namespace

std::span<const TargetFacts> AllTargets() {
  return std::span(Table()).first(Table().size() - 1);
}

const TargetFacts& FactsOf(Target target) {
  return Table()[static_cast<size_t>(target)];
}

std::string_view Name(Target target) { return FactsOf(target).name; }

Target TargetNamed(std::string_view name) {
  const auto found = std::ranges::find(AllTargets(), name, &TargetFacts::name);
  return found == AllTargets().end() ? Target::kUnknown : found->target;
}

std::optional<Target> TargetOf(graph::OpCode code) {
  const auto found =
      std::ranges::find(AllTargets(), std::optional(code), &TargetFacts::code);
  if (found == AllTargets().end()) return std::nullopt;
  return found->target;
}

bool HasWeights(Target target) {
  return PlacesOf(target).has_value() || target == Target::kBatchMatmul ||
         target == Target::kEmbeddingLookup;
}

std::optional<WeightPlaces> PlacesOf(Target target) {
  switch (target) {
    case Target::kFullyConnected:
    case Target::kConv2d:
      return WeightPlaces{};
    case Target::kDepthwiseConv2d:
      return WeightPlaces{.channel_axis = 3};
    case Target::kTransposeConv:
      return WeightPlaces{.input = 2, .bias = 3};
    default:
      return std::nullopt;
  }
}

}  // namespace lathe::quant
