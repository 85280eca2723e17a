// What a configuration may say, and that all that is wrong is said at once.

#include "src/import/stable_audio_config.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "src/import/testing/name_keyed.h"

namespace lathe::importer {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class Config : public testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() /
            fmt::format("lathe_config_{}.json", ::getpid());
    root_ = json::parse(ConfigText(NameKeyedConfig(ModelSize::kTiny)));
  }
  void TearDown() override { std::filesystem::remove(path_); }

  Result<StableAudioConfig> Read() { return ReadText(root_.dump()); }
  Result<StableAudioConfig> ReadText(const std::string& text) {
    std::ofstream(path_) << text;
    return ReadStableAudioConfig(path_);
  }
  std::string Problem() {
    const auto config = Read();
    if (config) return "no problem";
    EXPECT_EQ(config.error().code, ErrorCode::kInvalidInput);
    return config.error().message;
  }
  Result<T5Config> ReadT5(const json& root) {
    std::ofstream(path_) << root.dump();
    return ReadT5Config(path_);
  }
  json& Dit() { return root_["model"]["diffusion"]["config"]; }

  std::string path_;
  json root_;
};

TEST_F(Config, GivesEverySizeOfTheTinyModel) {
  const auto config = Read();
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->frames(), 16);
  EXPECT_EQ(config->hop, 2048);
  EXPECT_EQ(config->latents, 8);
  EXPECT_EQ(config->token_window, 40);
  EXPECT_EQ(config->dit.width, 256);
  EXPECT_EQ(config->dit.depth, 2);
  EXPECT_EQ(config->decoder.strides, (std::vector<int32_t>{2, 4, 4, 8, 8}));
  EXPECT_EQ(config->encoder.latent_dim, 16);
  EXPECT_EQ(config->seconds_max, 256);
}

TEST_F(Config, FloorsASampleSizeThatIsNoWholeNumberOfFrames) {
  root_["sample_size"] = 5 * 2048 + 2047;
  EXPECT_EQ(Read()->frames(), 5);
}

TEST_F(Config, TakesTheSamplerFromTheObjective) {
  EXPECT_EQ(Read()->sampler.name, "pingpong");
  EXPECT_EQ(Read()->sampler.steps, 8);
  EXPECT_EQ(Read()->sampler.cfg, 1);
  root_["model"]["diffusion"]["diffusion_objective"] = "rectified_flow";
  EXPECT_EQ(Read()->sampler.name, "euler");
  EXPECT_EQ(Read()->sampler.steps, 50);
  EXPECT_EQ(Read()->sampler.cfg, 6);
}

TEST_F(Config, LetsTheLatheObjectChooseTheSampler) {
  root_["lathe"] = {{"sampler", "euler"}, {"steps", 12}, {"cfg_scale", 2.5}};
  const auto config = Read();
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->sampler.name, "euler");
  EXPECT_EQ(config->sampler.steps, 12);
  EXPECT_EQ(config->sampler.cfg, 2.5);
  root_["lathe"]["sampler"] = "magic";
  EXPECT_THAT(Problem(), HasSubstr("lathe.sampler: found \"magic\""));
}

TEST_F(Config, ListsAllProblemsWithPathFoundAndAllowed) {
  root_.erase("sample_rate");
  Dit()["transformer_type"] = "x-transformers";
  Dit()["global_cond_type"] = "adaLN";
  Dit()["patch_size"] = 2;
  Dit()["num_memory_tokens"] = 64;
  Dit()["depth"] = -3;
  Dit()["attn_kwargs"]["qk_norm"] = "l2";
  const std::string problem = Problem();
  const std::string p = "model.diffusion.config.";
  for (const std::string& part :
       {std::string("sample_rate: found nothing, allowed a whole number"),
        p + "transformer_type: found \"x-transformers\", allowed "
            "\"continuous_transformer\"",
        p + "global_cond_type: found \"adaLN\", allowed \"prepend\"",
        p + "patch_size: found 2, allowed 1",
        p + "num_memory_tokens: found 64, allowed 0",
        p + "depth: found -3, allowed a whole number 1 to",
        p + "attn_kwargs.qk_norm: found \"l2\", allowed \"ln\""}) {
    EXPECT_THAT(problem, HasSubstr(part));
  }
}

TEST_F(Config, RefusesKeysThatCouldChangeTheNetwork) {
  Dit()["layer_scale"] = true;
  EXPECT_THAT(Problem(), HasSubstr("config.layer_scale: found true, allowed no "
                                   "such key"));
}

TEST_F(Config, RefusesSizesThatDoNotFitTogether) {
  root_["model"]["pretransform"]["config"]["downsampling_ratio"] = 1024;
  EXPECT_THAT(Problem(), HasSubstr("the product of the strides (2048)"));
  SetUp();
  Dit()["num_heads"] = 3;
  EXPECT_THAT(Problem(), HasSubstr("num_heads: found 3"));
  SetUp();
  root_["model"]["pretransform"]["config"]["decoder"]["config"]["strides"] = {
      2, 4, 4, 8, 9};
  EXPECT_THAT(Problem(), HasSubstr("allowed even numbers"));
  SetUp();
  root_["sample_size"] = 2047;
  EXPECT_THAT(Problem(), HasSubstr("sample_size: found 2047"));
}

TEST_F(Config, RefusesHugeSizesWithoutOverflow) {
  for (const char* coder : {"encoder", "decoder"}) {
    json& c = root_["model"]["pretransform"]["config"][coder]["config"];
    c["strides"] = std::vector<int>(16, 256);
    c["c_mults"] = std::vector<int>(16, 65536);
    c["channels"] = 65536;
  }
  Dit()["embed_dim"] = int64_t{1} << 40;
  Dit()["depth"] = 1e300;
  root_["sample_size"] = uint64_t{1} << 63;
  EXPECT_THAT(Problem(), HasSubstr("c_mults"));
}

TEST_F(Config, RefusesTextThatIsNotAConfiguration) {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"),
        std::string("{\"model\": 3}"),
        std::string("{\"model\":{\"condition"
                    "ing\":{\"configs\":[1]}}}"),
        std::string("\xff\xfe"), std::string(100000, '['),
        std::string("{\"model\":{\"conditioning\":{\"configs\":{}}}}")}) {
    EXPECT_FALSE(ReadText(text)) << text.substr(0, 20);
  }
  EXPECT_FALSE(ReadStableAudioConfig("/no/such/file"));
}

TEST_F(Config, RefusesAThirdConditioner) {
  json& list = root_["model"]["conditioning"]["configs"];
  list.push_back(list[1]);
  list[2]["id"] = "seconds_start";
  EXPECT_THAT(Problem(), HasSubstr("model.conditioning.configs"));
}

TEST_F(Config, ReadsT5AndNamesWhatItCannotDo) {
  json root = {{"vocab_size", 100},
               {"d_model", 48},
               {"d_kv", 16},
               {"num_heads", 3},
               {"d_ff", 96},
               {"num_layers", 2},
               {"feed_forward_proj", "relu"}};
  const auto config = ReadT5(root);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->heads, 3);
  EXPECT_EQ(config->buckets, 32);
  root["feed_forward_proj"] = "gated-gelu";
  root.erase("d_kv");
  const auto refused = ReadT5(root);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message,
              HasSubstr("feed_forward_proj: found \"gated-gelu\""));
  EXPECT_THAT(refused.error().message, HasSubstr("d_kv: found nothing"));
}

}  // namespace
}  // namespace lathe::importer
