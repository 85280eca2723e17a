#include "src/quant/presets.h"

#include <algorithm>
#include <array>

#include "fmt/format.h"

namespace lathe::quant {
namespace {

constexpr std::string_view kMinMax = "min_max_uniform_quantize";
constexpr std::string_view kRotated = "DECOMPOSED_HADAMARD_ROTATION";
constexpr std::string_view kChannel = "CHANNELWISE";

struct Weights {
  int bits = 8;
  std::string_view granularity = kChannel;
  bool symmetric = true;
  std::string_view more = "";  // Further fields.
};

std::string Tensor(const Weights& w) {
  return fmt::format(
      R"({{"num_bits": {}, "symmetric": {}, "granularity": "{}", "dtype": "INT"{}}})",
      w.bits, w.symmetric, w.granularity, w.more);
}

// How the operator computes.
enum class Mode : uint8_t { kDynamic, kWeightOnly, kStatic8, kStatic16 };

struct RuleSpec {
  Weights weights = {};
  Mode mode = Mode::kDynamic;
  std::string_view algorithm = kMinMax;
  std::string_view operation = "*";
  std::string_view regex = ".*";
  int min_elements = 0;
};

std::string Rule(const RuleSpec& r) {
  std::string activation;
  if (r.mode == Mode::kStatic8 || r.mode == Mode::kStatic16) {
    const bool wide = r.mode == Mode::kStatic16;
    activation = fmt::format(R"("activation_tensor_config": {}, )",
                             Tensor({.bits = wide ? 16 : 8,
                                     .granularity = "TENSORWISE",
                                     .symmetric = wide}));
  }
  const bool floats = r.mode == Mode::kWeightOnly;
  return fmt::format(
      R"({{"regex": "{}", "operation": "{}", "algorithm_key": "{}", )"
      R"("op_config": {{{}"weight_tensor_config": {}, )"
      R"("compute_precision": "{}", "explicit_dequantize": {}, )"
      R"("skip_checks": false, "min_weight_elements": {}}}}})",
      r.regex, r.operation, r.algorithm, activation, Tensor(r.weights),
      floats ? "FLOAT" : "INTEGER", floats, r.min_elements);
}

std::string One(const RuleSpec& rule) {
  return fmt::format("[{}]", Rule(rule));
}

// Rotated where that can be, else plain int8.
std::string Hadamard(int bits) {
  return fmt::format(
      "[{}, {}]",
      Rule({.weights =
                {.more = R"(, "algorithm_params": {"max_hadamard_size": 0})"}}),
      Rule({.weights = {.bits = bits}, .algorithm = kRotated}));
}

// A language model's parts: 4 bits, and 8 for the layers that are fragile.
std::string Gemma(std::string_view granularity, std::string_view algorithm) {
  const Weights four = {.bits = 4, .granularity = granularity};
  const std::string embedder = One({.weights = four,
                                    .algorithm = algorithm,
                                    .operation = "EMBEDDING_LOOKUP"});
  return fmt::format(
      R"({{"tf_lite_embedder": {0}, "tf_lite_per_layer_embedder": {0}, )"
      R"("tf_lite_prefill_decode": [{1}, {2}]}})",
      embedder,
      Rule({.weights = four,
            .algorithm = algorithm,
            .operation = "FULLY_CONNECTED"}),
      Rule({.operation = "FULLY_CONNECTED", .regex = "per_layer"}));
}

std::string Advanced() {
  return fmt::format(R"([{}, {}, {{"regex": ".*", "operation": "CONV_2D", )"
                     R"("algorithm_key": "no_quantize"}}])",
                     Rule({.mode = Mode::kStatic8}),
                     Rule({.weights = {.bits = 4},
                           .mode = Mode::kWeightOnly,
                           .operation = "FULLY_CONNECTED"}));
}

struct Preset {
  std::string_view name;
  std::string (*make)();
};

template <int kBits>
std::string Dynamic() {
  return One({.weights = {.bits = kBits}});
}
template <int kBits>
std::string Dynamic32() {
  return One({.weights = {.bits = kBits, .granularity = "BLOCKWISE_32"}});
}
template <int kBits>
std::string Dynamic64() {
  return One({.weights = {.bits = kBits, .granularity = "BLOCKWISE_64"}});
}
template <int kBits>
std::string Rotated() {
  return One({.weights = {.bits = kBits}, .algorithm = kRotated});
}
template <int kBits, bool kSymmetric>
std::string WeightOnly() {
  return One({.weights = {.bits = kBits, .symmetric = kSymmetric},
              .mode = Mode::kWeightOnly});
}
template <Mode kMode>
std::string Static() {
  return One({.mode = kMode});
}

constexpr Preset kPresets[] = {
    {"default_a16w8", Static<Mode::kStatic16>},
    {"default_a8w8", Static<Mode::kStatic8>},
    {"default_af32w4float", WeightOnly<4, false>},
    {"default_af32w8float", WeightOnly<8, false>},
    {"dynamic_legacy_wi8_afp32",
     [] {
       return One(
           {.weights = {.more = R"(, "block_size": 0)"}, .min_elements = 1024});
     }},
    {"dynamic_wi2b32_afp32", Dynamic32<2>},
    {"dynamic_wi2b64_afp32", Dynamic64<2>},
    {"dynamic_wi2c_afp32", Dynamic<2>},
    {"dynamic_wi2c_hr_afp32", Rotated<2>},
    {"dynamic_wi4_afp32", Dynamic<4>},
    {"dynamic_wi4_afp32_hadamard", [] { return Hadamard(4); }},
    {"dynamic_wi4b32_afp32", Dynamic32<4>},
    {"dynamic_wi4b64_afp32", Dynamic64<4>},
    {"dynamic_wi4c_afp32", Dynamic<4>},
    {"dynamic_wi4c_hr_afp32", Rotated<4>},
    {"dynamic_wi8_afp32", Dynamic<8>},
    {"dynamic_wi8_afp32_hadamard", [] { return Hadamard(8); }},
    {"dynamic_wi8_afp32_litertlm",
     [] {
       return std::string(R"({"default": "dynamic_wi8_afp32_recipe.json"})");
     }},
    {"dynamic_wi8b32_afp32", Dynamic32<8>},
    {"dynamic_wi8b64_afp32", Dynamic64<8>},
    {"dynamic_wi8c_afp32", Dynamic<8>},
    {"dynamic_wi8c_hr_afp32", Rotated<8>},
    {"gemma4_mixed48", [] { return Gemma(kChannel, kMinMax); }},
    {"gemma4_mixed48_b32", [] { return Gemma("BLOCKWISE_32", kMinMax); }},
    {"gemma4_mixed48_b64", [] { return Gemma("BLOCKWISE_64", kMinMax); }},
    {"gemma4_mixed48_hr", [] { return Gemma(kChannel, kRotated); }},
    {"sample_advanced_usage", Advanced},
    {"static_wi8_ai16", Static<Mode::kStatic16>},
    {"static_wi8_ai8", Static<Mode::kStatic8>},
    {"weight_only_wi4_afp32", WeightOnly<4, true>},
    {"weight_only_wi8_afp32", WeightOnly<8, true>},
};

}  // namespace

std::span<const std::string_view> PresetNames() {
  static const auto names = [] {
    std::array<std::string_view, std::size(kPresets)> all;
    std::ranges::transform(kPresets, all.begin(), &Preset::name);
    return all;
  }();
  return names;
}

std::optional<std::string> PresetJson(std::string_view name) {
  const auto found = std::ranges::find(kPresets, name, &Preset::name);
  if (found == std::end(kPresets)) return std::nullopt;
  return found->make();
}

}  // namespace lathe::quant
