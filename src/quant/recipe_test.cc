#include "src/quant/recipe.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "fmt/ranges.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "src/quant/policy.h"
#include "src/quant/presets.h"

namespace lathe::quant {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using testing::HasSubstr;

const fs::path kPresets = "../shared/fixtures/quant/presets";

Result<std::string> NoFile(const std::string& path) {
  return Invalid("{}: no file", path);
}

Result<Recipe> Parse(std::string_view json,
                     Behaviour behaviour = Behaviour::kCorrect) {
  return ParseRecipe(json, "recipe", behaviour, NoFile);
}

// A dynamic rule of so many bits.
std::string Dynamic(std::string_view regex, std::string_view operation,
                    int bits) {
  return fmt::format(
      R"({{"regex": "{}", "operation": "{}",
          "algorithm_key": "min_max_uniform_quantize",
          "op_config": {{"weight_tensor_config": {{"num_bits": {}}},
                         "compute_precision": "INTEGER"}}}})",
      regex, operation, bits);
}

std::string Array(const std::vector<std::string>& rules) {
  return fmt::format("[{}]", fmt::join(rules, ", "));
}

std::string ErrorOf(std::string_view json,
                    Behaviour behaviour = Behaviour::kCorrect) {
  const auto recipe = Parse(json, behaviour);
  return recipe ? "" : recipe.error().message;
}

// Bits of the rule that wins for an operator; 0: none.
int64_t BitsFor(const Recipe& recipe, Target target, std::string_view scope) {
  Chooser chooser(recipe, Behaviour::kCompat);
  const auto choice = chooser.Choose(target, scope);
  EXPECT_TRUE(choice) << choice.error().message;
  if (!choice || choice->rule == nullptr || !choice->rule->config.weight) {
    return 0;
  }
  return choice->rule->config.weight->bits;
}

TEST(Presets, AreThoseOfTheOlderTool) {
  if (!fs::exists(kPresets)) GTEST_SKIP() << kPresets << " is not here";
  size_t found = 0;
  for (const auto& entry : fs::directory_iterator(kPresets)) {
    const std::string name = entry.path().stem().string();
    SCOPED_TRACE(name);
    std::ifstream in(entry.path());
    const auto made = PresetJson(name);
    ASSERT_TRUE(made);
    EXPECT_EQ(Json::parse(*made), Json::parse(in));
    ++found;
  }
  EXPECT_EQ(found, PresetNames().size());
}

TEST(Presets, AreSortedAndParse) {
  EXPECT_TRUE(std::ranges::is_sorted(PresetNames()));
  for (const std::string_view name : PresetNames()) {
    const auto recipe = LoadRecipe(std::string(name), Behaviour::kCorrect);
    if (name.starts_with("gemma4")) {
      ASSERT_FALSE(recipe);
      EXPECT_THAT(recipe.error().message, HasSubstr("default"));
    } else {
      EXPECT_TRUE(recipe) << name << ": " << recipe.error().message;
    }
  }
}

TEST(Presets, SuggestTheNearestName) {
  const auto recipe = LoadRecipe("dynamic_wi8_afp23", Behaviour::kCompat);
  ASSERT_FALSE(recipe);
  EXPECT_EQ(recipe.error().code, ErrorCode::kInvalidInput);
  EXPECT_THAT(recipe.error().message, HasSubstr("\"dynamic_wi8_afp32\""));
}

TEST(Recipe, KeepsTheFirstPositionOfARegex) {
  const auto recipe = Parse(Array({Dynamic("a", "FULLY_CONNECTED", 8),
                                   Dynamic(".*", "FULLY_CONNECTED", 4),
                                   Dynamic("a", "FULLY_CONNECTED", 2)}));
  ASSERT_TRUE(recipe) << recipe.error().message;
  EXPECT_EQ(BitsFor(*recipe, Target::kFullyConnected, "xa;"), 4);
  EXPECT_EQ(recipe->erased.size(), 1u);
}

TEST(Recipe, ARuleForAllErasesItsRegex) {
  const auto recipe = Parse(
      Array({Dynamic(".*", "FULLY_CONNECTED", 4), Dynamic(".*", "*", 8)}));
  ASSERT_TRUE(recipe) << recipe.error().message;
  EXPECT_EQ(BitsFor(*recipe, Target::kFullyConnected, "x;"), 8);
}

TEST(Recipe, SkipsARuleThatDoesNotSuitTheOperator) {
  const auto recipe =
      Parse(Array({Dynamic(".*", "*", 8), Dynamic("d", "*", 4)}));
  ASSERT_TRUE(recipe) << recipe.error().message;
  EXPECT_EQ(BitsFor(*recipe, Target::kDepthwiseConv2d, "d;"), 8);
  EXPECT_EQ(BitsFor(*recipe, Target::kConv2d, "d;"), 4);
}

TEST(Recipe, NoQuantizeIsARuleLikeOthers) {
  constexpr const char* kNone =
      R"({"regex": "a", "operation": "*", "algorithm_key": "no_quantize"})";
  const auto recipe =
      Parse(Array({Dynamic(".*", "*", 8), kNone, Dynamic("ab", "*", 4)}));
  ASSERT_TRUE(recipe) << recipe.error().message;
  EXPECT_EQ(BitsFor(*recipe, Target::kConv2d, "a;"), 0);
  EXPECT_EQ(BitsFor(*recipe, Target::kConv2d, "ab;"), 4);
}

TEST(Recipe, TheOldBlockSizeBeatsTheGranularity) {
  const auto recipe = Parse(
      R"([{"regex": ".*", "operation": "FULLY_CONNECTED",
           "algorithm_key": "min_max_uniform_quantize",
           "op_config": {"weight_tensor_config": {"num_bits": 4,
             "block_size": 64, "granularity": "CHANNELWISE"},
             "compute_precision": "INTEGER"}}])");
  ASSERT_TRUE(recipe) << recipe.error().message;
  EXPECT_EQ(recipe->scopes[0].rules[0].config.weight->granularity,
            Granularity::kBlock64);
}

TEST(Recipe, StraysOfATensorConfigAreTheAlgorithms) {
  constexpr std::string_view kJson =
      R"([{"regex": ".*", "operation": "*",
           "algorithm_key": "HADAMARD_ROTATION",
           "op_config": {"weight_tensor_config": {"num_bits": 4,
             "max_hadamard_size": 16, "other": 1},
             "compute_precision": "INTEGER"}}])";
  const auto recipe = Parse(kJson, Behaviour::kCompat);
  ASSERT_TRUE(recipe) << recipe.error().message;
  const TensorConfig& config = *recipe->scopes[0].rules[0].config.weight;
  EXPECT_EQ(config.max_hadamard_size, 16);
  EXPECT_EQ(Json::parse(config.params),
            Json::parse(R"({"max_hadamard_size": 16, "other": 1})"));
  EXPECT_THAT(ErrorOf(kJson), HasSubstr("unknown field \"other\""));
}

// Reference A27.
TEST(Recipe, NamesEveryMisspeltWordAtOnce) {
  const std::string error = ErrorOf(
      R"([{"regex": ".*", "operation": "*", "algorithm_key": "OCTAF",
           "op_config": {"weight_tensor_config": {"num_bits": 8}}},
          {"regex": ".*", "operation": "*", "comment": "x",
           "algorithm_key": "OCTAV",
           "op_config": {"weight_tensor_config": {"num_bits": 8,
             "granularity": "CHANNELWIZE"}, "compute_precision": "integer"}}])");
  EXPECT_THAT(error, HasSubstr("rule 0: unknown algorithm_key \"OCTAF\"; did "
                               "you mean \"OCTAV\"?"));
  EXPECT_THAT(error, HasSubstr("rule 1: unknown field \"comment\""));
  EXPECT_THAT(error, HasSubstr("did you mean \"CHANNELWISE\"?"));
  EXPECT_THAT(error, HasSubstr("did you mean \"INTEGER\"?"));
}

TEST(Recipe, RefusesInBothModesWhatTheOlderToolRefuses) {
  for (const std::string& json : {
           std::string("[]"),
           std::string("7"),
           std::string("{"),
           std::string("{\"a\": []}"),
           Dynamic(".*", "FULLYCONNECTED", 8),
           Dynamic(".*", "GELU", 8),
           Dynamic(".*", "FULLY_CONNECTED", 7),
           std::string(R"({"operation": "*", "algorithm_key": "OCTAV",
             "op_config": {"weight_tensor_config": {"num_bits": 8}}})"),
           std::string(R"({"regex": ".*", "operation": "*",
             "algorithm_key": "OCTAV", "op_config": {}})"),
           std::string(R"({"regex": ".*", "operation": "*",
             "algorithm_key": "OCTAV", "op_config": {"clip": 1,
             "weight_tensor_config": {"num_bits": 8}}})"),
       }) {
    const std::string text =
        json[0] == '{' && json.size() > 12 ? Array({json}) : json;
    EXPECT_NE(ErrorOf(text, Behaviour::kCompat), "") << text;
    EXPECT_NE(ErrorOf(text), "") << text;
  }
}

TEST(Recipe, RefusesWhatIsNestedTooDeep) {
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  EXPECT_THAT(ErrorOf(deep), HasSubstr("deeper"));
}

TEST(Recipe, AMapAppliesItsDefault) {
  const auto recipe = Parse(R"({"default": "dynamic_wi4_afp32", "x": []})");
  ASSERT_TRUE(recipe) << recipe.error().message;
  EXPECT_EQ(BitsFor(*recipe, Target::kFullyConnected, "x;"), 4);
}

TEST(Recipe, IsTheSameAfterWritingAndReading) {
  for (const std::string_view name : PresetNames()) {
    if (name.starts_with("gemma4")) continue;
    const auto recipe = LoadRecipe(std::string(name), Behaviour::kCorrect);
    ASSERT_TRUE(recipe) << name;
    const std::string json = ToJson(*recipe);
    const auto again = Parse(json, Behaviour::kCompat);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(ToJson(*again), json) << name;
  }
}

TEST(Recipe, KnowsWhenItNeedsStatistics) {
  const auto needs = [](const char* name, Behaviour behaviour) {
    return LoadRecipe(name, behaviour)->NeedsCalibration(behaviour);
  };
  EXPECT_TRUE(needs("static_wi8_ai8", Behaviour::kCompat));
  EXPECT_FALSE(needs("dynamic_wi8_afp32", Behaviour::kCompat));
  const std::string oscar =
      R"([{"regex": ".*", "operation": "*", "algorithm_key": "OSCAR",
           "op_config": {"weight_tensor_config": {"num_bits": 8},
                         "compute_precision": "INTEGER"}}])";
  // The older tool forgets its newest algorithm (reference A11).
  EXPECT_FALSE(Parse(oscar)->NeedsCalibration(Behaviour::kCompat));
  EXPECT_TRUE(Parse(oscar)->NeedsCalibration(Behaviour::kCorrect));
}

// Reference A19: a policy that was loaded counted for one algorithm only.
TEST(Policy, HoldsEveryAlgorithmToOneTable) {
  OpConfig config;
  config.precision = Precision::kInteger;
  for (const Algorithm algorithm :
       {Algorithm::kMinMax, Algorithm::kOctav, Algorithm::kMse,
        Algorithm::kRecovery, Algorithm::kHadamard,
        Algorithm::kDecomposedHadamard, Algorithm::kGptq, Algorithm::kOscar}) {
    SCOPED_TRACE(Name(algorithm));
    const auto taken = [&](const TensorConfig& weight) {
      config.weight = weight;
      return !WhyNot(algorithm, Target::kFullyConnected, config);
    };
    EXPECT_TRUE(taken({.bits = 8, .granularity = Granularity::kChannel}));
    EXPECT_TRUE(taken({.bits = 4, .granularity = Granularity::kBlock32}));
    EXPECT_FALSE(taken({.bits = 8, .granularity = Granularity::kBlock32}));
    EXPECT_FALSE(taken({.bits = 7}));
    EXPECT_FALSE(taken({.bits = 8, .symmetric = false}));
  }
}

TEST(Policy, WeightsOfOperatorsWithoutWeightsDoNotCount) {
  OpConfig config;
  config.precision = Precision::kInteger;
  config.weight = TensorConfig{.bits = 4};
  config.activation = TensorConfig{.bits = 8, .symmetric = false};
  EXPECT_FALSE(WhyNot(Algorithm::kMinMax, Target::kSoftmax, config));
  EXPECT_FALSE(WhyNot(Algorithm::kMinMax, Target::kFullyConnected, config));
  EXPECT_TRUE(WhyNot(Algorithm::kMinMax, Target::kDepthwiseConv2d, config));
  config.activation->element = Element::kUint;
  EXPECT_FALSE(WhyNot(Algorithm::kMinMax, Target::kInput, config));
  EXPECT_TRUE(WhyNot(Algorithm::kMinMax, Target::kSoftmax, config));
}

}  // namespace
}  // namespace lathe::quant
