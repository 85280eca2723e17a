// The check values of the reference, section 7.2, and the key table.

#include "src/import/testing/name_keyed.h"

#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace lathe::importer {
namespace {

using testing::ElementsAre;

std::vector<float> Start(const std::string& name, size_t count) {
  const Shapes shapes = CheckpointShapes(NameKeyedConfig(ModelSize::kTiny));
  std::vector<float> values(count);
  NameKeyedWeights(name, shapes.at(name), 0, values);
  return values;
}

TEST(NameKeyed, GivesTheValuesOfTheReference) {
  EXPECT_THAT(
      Start("model.model.transformer.layers.0.self_attn.to_qkv.weight", 4),
      ElementsAre(0.0941430554f, 0.0604245067f, -0.0368138254f, 0.0885805935f));
  EXPECT_THAT(Start("model.model.transformer.layers.1.ff_norm.gamma", 2),
              ElementsAre(0.872033477f, 1.20563602f));
  EXPECT_THAT(Start("pretransform.model.decoder.layers.1.layers.1.weight_g", 1),
              ElementsAre(0.860795736f));
  EXPECT_THAT(NameKeyedInput("x", 2), ElementsAre(-0.597583532f, 0.617053509f));
}

TEST(NameKeyed, GivesTheSameValuesInPieces) {
  const std::string name = "some.weight";
  std::vector<float> whole(100), piece(30);
  NameKeyedWeights(name, {10, 10}, 0, whole);
  NameKeyedWeights(name, {10, 10}, 50, piece);
  EXPECT_TRUE(std::ranges::equal(piece, std::span(whole).subspan(50, 30)));
}

// Where the shared fixtures are, as seen from the repository's root.
constexpr const char* kKeys = "../shared/fixtures/stable-audio/keys.json";

TEST(NameKeyed, HasExactlyTheTensorsOfTheRealCheckpoint) {
  if (!std::filesystem::exists(kKeys)) GTEST_SKIP() << kKeys << " is not here";
  std::ifstream in(kKeys);
  const auto keys = nlohmann::json::parse(in);
  Shapes wanted;
  for (const auto& entry : keys["tensors"]) {
    wanted[entry["key"]] = entry["shape"].get<std::vector<int64_t>>();
  }
  EXPECT_EQ(wanted.size(), 750u);
  EXPECT_EQ(CheckpointShapes(NameKeyedConfig(ModelSize::kFull)), wanted);
}

}  // namespace
}  // namespace lathe::importer
