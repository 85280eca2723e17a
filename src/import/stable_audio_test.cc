// The whole conversion: what is written, how many operators, and that an error
// leaves nothing behind.

#include "src/import/stable_audio.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "src/format/tflite/tflite.h"
#include "src/graph/verify.h"
#include "src/import/testing/name_keyed.h"

namespace lathe::importer {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

Result<StableAudioGraphs> Author(ModelSize size, TensorSource checkpoint,
                                 TensorSource t5) {
  return AuthorStableAudio(NameKeyedConfig(size), NameKeyedT5Config(size),
                           std::move(checkpoint), std::move(t5),
                           "model.safetensors", "t5/model.safetensors");
}
TensorSource Checkpoint(ModelSize size) {
  return NameKeyedSource(CheckpointShapes(NameKeyedConfig(size)));
}
TensorSource T5(ModelSize size) {
  return NameKeyedSource(T5Shapes(NameKeyedT5Config(size)));
}

TEST(AuthorStableAudio, NeedsAtMost1400OperatorsForTheFullSizeTransformer) {
  const auto graphs = Author(ModelSize::kFull, Checkpoint(ModelSize::kFull),
                             T5(ModelSize::kFull));
  ASSERT_TRUE(graphs) << graphs.error().message;
  // 83 for each of 16 layers; 29 for the rest.
  EXPECT_EQ(graphs->dit.subgraphs[0].ops.size(), 16u * 83 + 29);
  std::map<graph::OpCode, int> counts;
  for (const graph::Op& op : graphs->dit.subgraphs[0].ops) ++counts[op.code];
  // In and out of heads for two attentions; the context's heads, x, velocity.
  EXPECT_EQ(counts[graph::OpCode::kTranspose], 16 * 4 + 3);
  EXPECT_LE(counts[graph::OpCode::kReshape], 16 * 4 + 4);
}

TEST(AuthorStableAudio, LeavesOutAdditionsOfABetaThatIsZero) {
  TensorSource checkpoint = Checkpoint(ModelSize::kTiny);
  const size_t before =
      Author(ModelSize::kTiny, checkpoint, T5(ModelSize::kTiny))
          ->dit.subgraphs[0]
          .ops.size();
  for (auto& [name, tensor] : checkpoint) {
    if (name.find("norm.beta") == std::string::npos) continue;
    tensor.read = [](uint64_t, std::span<float> out) -> Status {
      std::ranges::fill(out, 0.0f);
      return {};
    };
  }
  // Two layers of three norms.
  EXPECT_EQ(Author(ModelSize::kTiny, checkpoint, T5(ModelSize::kTiny))
                ->dit.subgraphs[0]
                .ops.size(),
            before - 2 * 3);
}

TEST(AuthorStableAudio, MakesSoundGraphsWithNamedSignatures) {
  const auto graphs = Author(ModelSize::kTiny, Checkpoint(ModelSize::kTiny),
                             T5(ModelSize::kTiny));
  ASSERT_TRUE(graphs) << graphs.error().message;
  const std::pair<const graph::Graph*, const char*> all[] = {
      {&graphs->conditioner, "condition"},
      {&graphs->dit, "velocity"},
      {&graphs->decoder, "decode"},
      {&graphs->encoder, "encode"}};
  for (const auto& [graph, key] : all) {
    const Status status = graph::Verify(*graph);
    EXPECT_TRUE(status) << status.error().message;
    ASSERT_EQ(graph->signatures.size(), 1u);
    EXPECT_EQ(graph->signatures[0].key, key);
    for (const graph::Op& op : graph->subgraphs[0].ops) {
      EXPECT_NE(op.code, graph::OpCode::kCustom);
    }
  }
}

TEST(AuthorStableAudio, ListsTheProblemsOfBothCheckpointsInOneError) {
  TensorSource checkpoint = Checkpoint(ModelSize::kTiny);
  TensorSource t5 = T5(ModelSize::kTiny);
  const std::string layer = "model.model.transformer.layers.1.";
  checkpoint.erase(layer + "ff.ff.0.proj.bias");
  checkpoint.erase(layer + "self_attn.k_norm.bias");
  checkpoint.erase("pretransform.model.decoder.layers.7.weight_g");
  checkpoint.find(layer + "cross_attn.to_kv.weight")->second.shape = {512, 48};
  checkpoint["model.model.transformer.layers.2.pre_norm.gamma"] =
      checkpoint.begin()->second;
  checkpoint["optimizer.step"] = checkpoint.begin()->second;
  t5.erase("encoder.final_layer_norm.weight");
  t5["decoder.final_layer_norm.weight"] = t5.begin()->second;
  t5["encoder.block.2.layer.1.layer_norm.weight"] = t5.begin()->second;
  const auto graphs = Author(ModelSize::kTiny, checkpoint, t5);
  ASSERT_FALSE(graphs);
  const std::string& message = graphs.error().message;
  for (const char* part :
       {"model.safetensors: ", " 3 missing:\n",
        "layers.1.ff.ff.0.proj.bias [2048]",
        "layers.1.self_attn.k_norm.bias [128]",
        "decoder.layers.7.weight_g [2,1,1]", " 1 of another shape",
        "to_kv.weight: found [512,48], expected [512,256]",
        " 2 not expected:", "layers.2.pre_norm.gamma", "optimizer.step",
        "t5/model.safetensors: ", "encoder.final_layer_norm.weight [48]",
        "encoder.block.2.layer.1.layer_norm.weight"}) {
    EXPECT_THAT(message, HasSubstr(part));
  }
  EXPECT_THAT(message, testing::Not(HasSubstr("decoder.final_layer_norm")));
}

TEST(AuthorStableAudio, TakesT5sEmbeddingUnderEitherName) {
  TensorSource t5 = T5(ModelSize::kTiny);
  const std::string twin = "encoder.embed_tokens.weight";
  t5[twin] = t5["shared.weight"];
  EXPECT_TRUE(Author(ModelSize::kTiny, Checkpoint(ModelSize::kTiny), t5));
  t5.erase("shared.weight");
  EXPECT_TRUE(Author(ModelSize::kTiny, Checkpoint(ModelSize::kTiny), t5));
}

class ConvertStableAudioTo : public testing::Test {
 protected:
  void SetUp() override {
    dir_ =
        fs::temp_directory_path() / fmt::format("lathe_convert_{}", ::getpid());
    fs::create_directory(dir_);
    std::ofstream(dir_ / "spiece.model") << "pieces";
    const Status status =
        WriteNameKeyedModel(ModelSize::kTiny, dir_, dir_ / "spiece.model");
    ASSERT_TRUE(status) << status.error().message;
    sources_ = {dir_ / "model.safetensors", dir_ / "model_config.json",
                dir_ / "t5"};
  }
  void TearDown() override { fs::remove_all(dir_); }

  std::vector<std::string> Names(const fs::path& dir) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(dir)) {
      names.push_back(entry.path().filename());
    }
    std::ranges::sort(names);
    return names;
  }

  fs::path dir_;
  Sources sources_;
};

TEST_F(ConvertStableAudioTo, AFolderWritesTheSixFiles) {
  const fs::path out = dir_ / "out";
  std::vector<double> fractions;
  Conversion conversion;
  conversion.progress = [&](std::string_view, double f) {
    fractions.push_back(f);
  };
  const auto written = ConvertStableAudio(sources_, out, conversion);
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_THAT(Names(out),
              testing::ElementsAre("conditioner.tflite", "decoder.tflite",
                                   "dit.tflite", "encoder.tflite",
                                   "pipeline.json", "tokenizer.model"));
  EXPECT_EQ(written->size(), 6u);
  for (const Written& file : *written) {
    EXPECT_EQ(file.bytes, fs::file_size(file.path));
    if (!file.path.ends_with(".tflite")) continue;
    const auto graph = format::OpenTflite(file.path);
    ASSERT_TRUE(graph) << graph.error().message;
    EXPECT_EQ(graph->subgraphs[0].ops.size(), file.ops);
    EXPECT_EQ(graph->subgraphs[0].tensors.size(), file.tensors);
  }
  EXPECT_TRUE(std::ranges::is_sorted(fractions));
  EXPECT_EQ(fractions.back(), 1);

  std::ifstream in(out / "pipeline.json");
  const auto json = nlohmann::json::parse(in);
  EXPECT_EQ(json["schema"], "lathe.pipeline/1");
  EXPECT_EQ(json["hop"], 2048);
  EXPECT_EQ(json["frames"], 16);
  EXPECT_EQ(json["halo"]["decoder"], 10);
  EXPECT_EQ(json["sampler"]["name"], "pingpong");
}

TEST_F(ConvertStableAudioTo, AnExistingFolderReplacesItsFiles) {
  const fs::path out = dir_ / "out";
  fs::create_directory(out);
  std::ofstream(out / "dit.tflite") << "old";
  std::ofstream(out / "mine.txt") << "mine";
  ASSERT_TRUE(ConvertStableAudio(sources_, out, {}));
  EXPECT_GT(fs::file_size(out / "dit.tflite"), 3u);
  EXPECT_EQ(Names(out).size(), 7u);
}

TEST_F(ConvertStableAudioTo, NowhereWhenASourceIsMissing) {
  const fs::path out = dir_ / "out";
  for (const char* gone :
       {"model.safetensors", "model_config.json", "t5/config.json",
        "t5/model.safetensors", "t5/spiece.model"}) {
    SCOPED_TRACE(gone);
    fs::rename(dir_ / gone, dir_ / "aside");
    const auto written = ConvertStableAudio(sources_, out, {});
    ASSERT_FALSE(written);
    EXPECT_THAT(written.error().message, HasSubstr(gone));
    EXPECT_FALSE(fs::exists(out));
    fs::rename(dir_ / "aside", dir_ / gone);
  }
  sources_.checkpoint = dir_ / "nowhere/a.ckpt";
  sources_.config = dir_ / "nowhere/model_config.json";
  const auto written = ConvertStableAudio(sources_, out, {});
  ASSERT_FALSE(written);
  EXPECT_THAT(written.error().message, HasSubstr("a.ckpt"));
}

TEST_F(ConvertStableAudioTo, AFolderWithoutAParentIsRefused) {
  const auto written = ConvertStableAudio(sources_, dir_ / "no/such", {});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kInvalidInput);
  EXPECT_THAT(written.error().message, HasSubstr("no/such"));
  const auto file = ConvertStableAudio(sources_, dir_ / "spiece.model", {});
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message, HasSubstr("not a folder"));
}

TEST_F(ConvertStableAudioTo, NothingWhenStopped) {
  const std::atomic<bool> stop = true;
  Conversion conversion;
  conversion.stop = &stop;
  const auto written = ConvertStableAudio(sources_, dir_ / "out", conversion);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kInterrupted);
  EXPECT_FALSE(fs::exists(dir_ / "out"));
}

TEST_F(ConvertStableAudioTo, NothingWhenAWeightCannotBeUsed) {
  // The file is cut short after its header.
  fs::resize_file(dir_ / "model.safetensors", 100000);
  EXPECT_FALSE(ConvertStableAudio(sources_, dir_ / "out", {}));
  EXPECT_FALSE(fs::exists(dir_ / "out"));
}

}  // namespace
}  // namespace lathe::importer
