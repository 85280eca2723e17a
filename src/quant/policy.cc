#include "src/quant/policy.h"

#include <algorithm>
#include <array>

namespace lathe::quant {
namespace {

// Sets of targets as a row of the matrix.
using Targets = std::initializer_list<Target>;

struct WeightRow {
  int bits;
  bool blocks;      // In blocks, else per tensor or channel.
  bool asymmetric;  // Also asymmetric.
  enum class Mode : uint8_t { kDynamic, kWeightOnly, kStatic } mode;
  std::array<Target, 6> targets;  // Padded with kUnknown.

  bool Has(Target target) const {
    return target != Target::kUnknown &&
           std::ranges::find(targets, target) != targets.end();
  }
};

using enum Target;
using Mode = WeightRow::Mode;
// Reference 3.1 and 3.2.
constexpr WeightRow kRows[] = {
    {8,
     false,
     false,
     Mode::kDynamic,
     {kFullyConnected, kConv2d, kDepthwiseConv2d, kTransposeConv, kBatchMatmul,
      kEmbeddingLookup}},
    {4,
     false,
     false,
     Mode::kDynamic,
     {kFullyConnected, kConv2d, kEmbeddingLookup, kUnknown, kUnknown,
      kUnknown}},
    {4,
     true,
     false,
     Mode::kDynamic,
     {kFullyConnected, kEmbeddingLookup, kUnknown, kUnknown, kUnknown,
      kUnknown}},
    {2,
     false,
     false,
     Mode::kDynamic,
     {kFullyConnected, kConv2d, kEmbeddingLookup, kUnknown, kUnknown,
      kUnknown}},
    {2,
     true,
     false,
     Mode::kDynamic,
     {kFullyConnected, kUnknown, kUnknown, kUnknown, kUnknown, kUnknown}},
    {8,
     false,
     true,
     Mode::kWeightOnly,
     {kFullyConnected, kConv2d, kDepthwiseConv2d, kTransposeConv, kBatchMatmul,
      kEmbeddingLookup}},
    {4,
     false,
     true,
     Mode::kWeightOnly,
     {kFullyConnected, kConv2d, kBatchMatmul, kEmbeddingLookup, kUnknown,
      kUnknown}},
    {8,
     false,
     false,
     Mode::kStatic,
     {kFullyConnected, kConv2d, kDepthwiseConv2d, kTransposeConv, kBatchMatmul,
      kUnknown}},
    {4,
     false,
     false,
     Mode::kStatic,
     {kFullyConnected, kConv2d, kUnknown, kUnknown, kUnknown, kUnknown}},
};

std::string_view Name(Mode mode) {
  switch (mode) {
    case Mode::kDynamic:
      return "dynamic";
    case Mode::kWeightOnly:
      return "weight-only";
    case Mode::kStatic:
      return "static";
  }
  return "";
}

std::string Name(const TensorConfig& config) {
  return fmt::format("{} {} {} {}", Name(config.element), config.bits,
                     config.symmetric ? "symmetric" : "asymmetric",
                     Name(config.granularity));
}

// Activations that some operator may have (3.1, 11).
std::optional<std::string> WhyNotActivation(const TensorConfig& config,
                                            const TargetFacts& facts) {
  const bool tensorwise = config.granularity == Granularity::kTensor;
  if (config.element == Element::kInt && tensorwise) {
    if (config.bits == 8 && facts.static_int8) return std::nullopt;
    if (config.bits == 16 && config.symmetric && facts.static_int16) {
      return std::nullopt;
    }
  }
  if (config.element == Element::kUint && tensorwise && config.bits == 8 &&
      !config.symmetric &&
      (facts.target == kInput || facts.target == kOutput)) {
    return std::nullopt;
  }
  return fmt::format("{} does not take {} activations", facts.name,
                     Name(config));
}

std::optional<std::string> WhyNotWeights(const OpConfig& config,
                                         const TargetFacts& facts, Mode mode) {
  const TensorConfig& weight = *config.weight;
  if (weight.element != Element::kInt) {
    return fmt::format("weights of dtype {} need the algorithm float_casting",
                       Name(weight.element));
  }
  const bool blocks = BlockOf(weight.granularity) > 0;
  for (const WeightRow& row : kRows) {
    if (row.mode == mode && row.bits == weight.bits && row.blocks == blocks &&
        weight.granularity != Granularity::kUnknown &&
        (weight.symmetric || row.asymmetric) && row.Has(facts.target)) {
      return std::nullopt;
    }
  }
  return fmt::format("{} does not take {} weights when {}", facts.name,
                     Name(weight), Name(mode));
}

std::optional<std::string> WhyNotFloatCasting(Target target,
                                              const OpConfig& config) {
  if (config.precision != Precision::kFloat) {
    return "float_casting needs compute_precision FLOAT";
  }
  if (config.activation) return "float_casting takes no activation config";
  if (!config.weight || config.weight->bits != 16 ||
      config.weight->element != Element::kFloat) {
    return "float_casting needs weights of 16 bits and dtype FLOAT";
  }
  return std::nullopt;
}

std::optional<std::string> WhyNotUniform(Target target,
                                         const OpConfig& config) {
  const TargetFacts& facts = FactsOf(target);
  if (config.min_weight_elements < 0) return "min_weight_elements is negative";
  // An unknown precision passes here and fails when the operator is treated.
  if (config.precision == Precision::kUnknown) return std::nullopt;
  const bool integer = config.precision == Precision::kInteger;
  if (integer && config.explicit_dequantize) {
    return "explicit_dequantize needs compute_precision FLOAT";
  }
  if (!integer && !config.explicit_dequantize) {
    return "compute_precision FLOAT needs explicit_dequantize";
  }
  const bool blocks = config.weight && BlockOf(config.weight->granularity) > 0;
  if (blocks && target != kFullyConnected && target != kEmbeddingLookup) {
    return fmt::format("{} takes no weights in blocks", facts.name);
  }
  if (blocks && config.activation) {
    return "weights in blocks take no activation config";
  }
  if (config.activation) {
    if (!integer) return "activations need compute_precision INTEGER";
    if (auto reason = WhyNotActivation(*config.activation, facts)) {
      return reason;
    }
    return HasWeights(target) ? WhyNotWeights(config, facts, Mode::kStatic)
                              : std::nullopt;
  }
  if (!HasWeights(target)) {
    return fmt::format("{} has no weights and the rule no activation config",
                       facts.name);
  }
  return WhyNotWeights(config, facts,
                       integer ? Mode::kDynamic : Mode::kWeightOnly);
}

}  // namespace

bool Treats(Algorithm algorithm, Target target) {
  const auto is = [&](Targets targets) {
    return std::ranges::find(targets, target) != targets.end();
  };
  switch (algorithm) {
    case Algorithm::kNoQuantize:
      return true;
    case Algorithm::kMinMax:
    case Algorithm::kOctav:
      return target != kAll && target != kCustomOp && target != kUnknown;
    case Algorithm::kFloatCasting:
    case Algorithm::kMse:
      return is({kFullyConnected, kConv2d, kDepthwiseConv2d, kTransposeConv,
                 kEmbeddingLookup});
    case Algorithm::kRecovery:
      return is({kFullyConnected, kConv2d, kEmbeddingLookup});
    case Algorithm::kHadamard:
    case Algorithm::kDecomposedHadamard:
      return is({kFullyConnected, kEmbeddingLookup});
    case Algorithm::kGptq:
    case Algorithm::kOscar:
      return target == kFullyConnected;
  }
  return false;
}

std::optional<std::string> WhyNot(Algorithm algorithm, Target target,
                                  const OpConfig& config) {
  if (algorithm == Algorithm::kNoQuantize || config.skip_checks) {
    return std::nullopt;
  }
  if (!Treats(algorithm, target)) {
    return fmt::format("{} does not treat {}", Name(algorithm), Name(target));
  }
  return algorithm == Algorithm::kFloatCasting
             ? WhyNotFloatCasting(target, config)
             : WhyNotUniform(target, config);
}

}  // namespace lathe::quant
