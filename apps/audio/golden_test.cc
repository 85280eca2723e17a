// From a checkpoint to a latent and its sound with the real sampler, against
// the reference's golden chains (reference stable-audio-open-small.md, section
// 7); and tiles of the real autoencoder against the whole.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "apps/audio/model_stage.h"
#include "apps/audio/pipeline_config.h"
#include "apps/audio/sampler.h"
#include "apps/audio/tiles.h"
#include "fmt/format.h"
#include "lathe/convert.hpp"
#include "lathe/machine.hpp"
#include "nlohmann/json.hpp"

namespace lathe::audio {
namespace {

// As seen from the project's root.
constexpr const char* kGolden = "../shared/fixtures/stable-audio/golden.json";
constexpr double kChain = 1e-4;

// Section 7.2: scale * u, where u follows from the name.
std::vector<float> NamedInput(const std::string& name, size_t count,
                              float scale = 1) {
  uint64_t base = 0xcbf29ce484222325;
  for (const char c : name) {
    base = (base ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  }
  std::vector<float> out;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t z = base + (i + 1) * 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    z ^= z >> 31;
    out.push_back(scale * (static_cast<float>(z >> 40) / 8388608.0f - 1.0f));
  }
  return out;
}

std::vector<std::string> UsableIsas() {
  std::vector<std::string> names;
  for (const IsaInfo& isa : DescribeMachine().isas) {
    if (isa.cpu_has) names.push_back(isa.name);
  }
  return names;
}

class Golden : public testing::TestWithParam<std::string> {
 protected:
  // Converts the tiny model once.
  static void SetUpTestSuite() {
    std::ifstream in(kGolden);
    if (in) golden_ = nlohmann::json::parse(in);
    const char* program = std::getenv("LATHE_NAME_KEYED");
    if (program == nullptr) return;
    std::string folder =
        (std::filesystem::temp_directory_path() / "lathe-audio-XXXXXX")
            .string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    std::ofstream(folder_ + "/spiece.model") << "any bytes";
    const std::string command =
        fmt::format("'{0}' tiny '{1}/spiece.model' '{1}'", program, folder_);
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
    const auto converted =
        ConvertStableAudio({folder_ + "/model.safetensors",
                            folder_ + "/model_config.json", folder_ + "/t5"},
                           folder_ + "/model");
    ASSERT_TRUE(converted) << converted.error().message;
  }
  static void TearDownTestSuite() {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
    folder_.clear();
  }

  void SetUp() override {
    if (golden_.is_null()) GTEST_SKIP() << kGolden << " is not here";
    if (folder_.empty()) GTEST_SKIP() << "LATHE_NAME_KEYED names no program";
    const auto config = ReadPipelineConfig(folder_ + "/model");
    ASSERT_TRUE(config) << config.error().message;
    config_ = *config;
  }

  ModelStage Open(const std::string& path, std::string_view signature) {
    StageOptions options;
    options.threads = &threads_;
    options.isa = GetParam();
    options.memory_limit_bytes = uint64_t{1} << 30;
    auto stage = ModelStage::Open(path, signature, options);
    EXPECT_TRUE(stage) << stage.error().message;
    return *std::move(stage);
  }

  template <typename T>
  static void Fill(ModelStage& stage, std::string_view name,
                   const std::vector<T>& values) {
    const auto input = stage.Input<T>(name, values.size());
    ASSERT_TRUE(input) << input.error().message;
    std::ranges::copy(values, input->begin());
  }

  // The golden prompt and 10 seconds.
  void Describe() {
    ModelStage model = Open(config_.files.conditioner, "condition");
    const auto window = static_cast<size_t>(config_.token_window);
    const auto width = static_cast<size_t>(config_.cond_width);
    std::vector<int32_t> ids = golden_["t5_ids"];
    std::vector<int32_t> mask(ids.size(), 1);
    ids.resize(window, 0);
    mask.resize(window, 0);
    Fill(model, "input_ids", ids);
    Fill(model, "attention_mask", mask);
    Fill<float>(model, "seconds_total", {10});
    ASSERT_TRUE(model.Run());
    const auto context = model.Output("context", (window + 1) * width);
    const auto global = model.Output("global", width);
    ASSERT_TRUE(context && global);
    context_.assign(context->begin(), context->end());
    global_.assign(global->begin(), global->end());
  }

  // Eight steps of ping-pong from x, with the noises that the file names.
  std::vector<float> Diffuse(std::vector<float> x, double sigma_max) {
    Describe();
    ModelStage dit = Open(config_.files.dit, "velocity");
    int draws = 0;
    SamplerCalls calls;
    calls.velocity = [&](std::span<const float> from, float t,
                         std::span<float> v) -> Status {
      Fill(dit, "x", std::vector<float>(from.begin(), from.end()));
      Fill<float>(dit, "t", {t});
      Fill(dit, "context", context_);
      Fill(dit, "global", global_);
      if (Status status = dit.Run(); !status) return status;
      const auto velocity = dit.Output("velocity", from.size());
      if (!velocity) return std::unexpected(velocity.error());
      std::ranges::copy(*velocity, v.begin());
      return {};
    };
    calls.noise = [&](std::span<float> values) {
      const auto noise =
          NamedInput(fmt::format("noise{}", draws++), values.size(), 1.7f);
      std::ranges::copy(noise, values.begin());
    };
    const Status status = Sample("pingpong", Schedule(8, sigma_max), x, calls);
    EXPECT_TRUE(status) << status.error().message;
    EXPECT_EQ(draws, 8);
    return x;
  }

  DecodeShape Shape() const {
    return {config_.latent_channels, config_.frames, config_.channels,
            config_.hop};
  }

  // Sound [channels, samples] of a latent, in tiles of at most `limit` frames.
  std::vector<float> Decode(const std::vector<float>& latent, int frames,
                            int limit) {
    ModelStage decoder = Open(config_.files.decoder, "decode");
    DecodeShape shape = Shape();
    shape.frames = frames;
    const int64_t samples = int64_t{frames} * shape.hop;
    const auto decode = [&](std::span<const float> piece,
                            int n) -> Result<std::span<const float>> {
      const int32_t dims[] = {1, shape.latent_channels, n};
      if (Status s = decoder.Resize("latent", dims); !s) {
        return std::unexpected(s.error());
      }
      Fill(decoder, "latent", std::vector<float>(piece.begin(), piece.end()));
      if (Status s = decoder.Run(); !s) return std::unexpected(s.error());
      return decoder.Output(
          "audio", static_cast<size_t>(shape.audio_channels * n * shape.hop));
    };
    const auto sound = DecodeTiles(
        latent, shape, PlanTiles(frames, frames, config_.decoder_halo, limit),
        samples, decode, {});
    EXPECT_TRUE(sound) << sound.error().message;
    const auto channels = static_cast<size_t>(shape.audio_channels);
    std::vector<float> audio(sound->size());
    for (size_t i = 0; i < audio.size(); ++i) {
      audio[i % channels * static_cast<size_t>(samples) + i / channels] =
          (*sound)[i];
    }
    return audio;
  }

  static void ExpectGolden(const std::string& name,
                           const std::vector<float>& got) {
    SCOPED_TRACE(name);
    const nlohmann::json& want = golden_["cases"].at(name);
    size_t count = 1;
    for (const size_t dim : want["shape"]) count *= dim;
    ASSERT_EQ(got.size(), count);
    const auto compare = [&](const char* part, size_t first, size_t stride) {
      const std::vector<double> values = want[part];
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_NEAR(got[first + i * stride], values[i], kChain)
            << part << " " << i;
      }
    };
    compare("first8", 0, 1);
    compare("last4", count - 4, 1);
    if (want.contains("values")) compare("values", 0, 1);
    if (want.contains("strided")) compare("strided", 0, want["stride"]);
    double squares = 0;
    for (const double x : got) squares += x * x;
    EXPECT_NEAR(std::sqrt(squares / static_cast<double>(count)), want["rms"],
                kChain);
  }

  static nlohmann::json golden_;
  static std::string folder_;
  PipelineConfig config_;
  Threads threads_{2};
  std::vector<float> context_, global_;
};

nlohmann::json Golden::golden_;
std::string Golden::folder_;

TEST_P(Golden, PingPongGivesTheLatentAndTheSoundOfTheReference) {
  const std::vector<float> latent = Diffuse(NamedInput("x0", 128, 1.7f), 1);
  ExpectGolden("pingpong8_latent", latent);
  ExpectGolden("pingpong8_audio", Decode(latent, 16, 128));
}

TEST_P(Golden, PingPongFromALatentGivesTheReferencesResult) {
  // As the pipeline mixes: init (1 - sigma) + noise sigma.
  const float sigma = 0.6f;
  std::vector<float> x = NamedInput("x0", 128, 1.7f);
  const std::vector<float> init = NamedInput("init_latent", 128);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = init[i] * (1 - sigma) + x[i] * sigma;
  }
  ExpectGolden("pingpong8_init_smax0.6_latent", Diffuse(x, 0.6));
}

double LargestDifference(const std::vector<float>& a,
                         const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    largest = std::max(largest, std::abs(double{a[i]} - b[i]));
  }
  return largest;
}

TEST_P(Golden, TilesOfTheDecoderSoundLikeTheWhole) {
  constexpr int kFrames = 34;  // Five tiles: 7, 7, 7, 7 and 6.
  const std::vector<float> latent =
      NamedInput("z", static_cast<size_t>(8 * kFrames));
  EXPECT_LT(LargestDifference(Decode(latent, kFrames, 27),
                              Decode(latent, kFrames, 1000)),
            5e-6);
}

TEST_P(Golden, TilesOfTheEncoderGiveTheWhole) {
  constexpr int kFrames = 25;  // Five tiles of 5.
  ModelStage encoder = Open(config_.files.encoder, "encode");
  DecodeShape shape = Shape();
  shape.frames = kFrames;
  const std::vector<float> audio =
      NamedInput("audio", static_cast<size_t>(2 * kFrames * shape.hop), 0.5f);
  const auto encode = [&](std::span<const float> piece,
                          int n) -> Result<Moments> {
    const int32_t dims[] = {1, shape.audio_channels, n * shape.hop};
    if (Status s = encoder.Resize("audio", dims); !s) {
      return std::unexpected(s.error());
    }
    Fill(encoder, "audio", std::vector<float>(piece.begin(), piece.end()));
    if (Status s = encoder.Run(); !s) return std::unexpected(s.error());
    const auto size = static_cast<size_t>(shape.latent_channels * n);
    const auto mean = encoder.Output("mean", size);
    const auto stdev = encoder.Output("stdev", size);
    if (!mean || !stdev) return std::unexpected(mean.error());
    return Moments{*mean, *stdev};
  };
  const auto run = [&](int limit) {
    auto latent = EncodeTiles(
        audio, shape, PlanTiles(kFrames, kFrames, config_.encoder_halo, limit),
        encode, {});
    EXPECT_TRUE(latent) << latent.error().message;
    return *std::move(latent);
  };
  const Latent whole = run(1000), tiled = run(21);
  EXPECT_LT(LargestDifference(tiled.mean, whole.mean), 1e-5);
  EXPECT_LT(LargestDifference(tiled.stdev, whole.stdev), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Isas, Golden, testing::ValuesIn(UsableIsas()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace lathe::audio
