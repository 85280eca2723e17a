// The whole way from a checkpoint to numbers, against the reference's golden
// values (reference stable-audio-open-small.md, section 7).

#include <map>
#include <numeric>

#include "lathe/convert.hpp"
#include "src/api/test_support.h"

namespace lathe {
namespace {

using graph::OpCode;
using graph::TensorId;
using importer::ModelSize;
using importer::NameKeyedInput;

// Largest errors that section 7.3 suggests.
constexpr double kModule = 2e-5;
constexpr double kChain = 1e-4;

// As seen from the project's root.
constexpr const char* kGolden = "../shared/fixtures/stable-audio/golden.json";

const nlohmann::json& Golden() {
  static const nlohmann::json golden = [] {
    std::ifstream in(kGolden);
    return in ? nlohmann::json::parse(in) : nlohmann::json();
  }();
  return golden;
}

// All that the file says about a tensor, row-major.
void ExpectGolden(const std::string& name, std::span<const float> got,
                  double bound) {
  SCOPED_TRACE(name);
  const nlohmann::json& want = Golden()["cases"].at(name);
  size_t count = 1;
  for (const size_t dim : want["shape"]) count *= dim;
  ASSERT_EQ(got.size(), count);
  const auto compare = [&](const char* part, size_t first, size_t stride) {
    const std::vector<double> values = want[part];
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(got[first + i * stride], values[i], bound)
          << part << " " << i;
    }
  };
  compare("first8", 0, 1);
  compare("last4", count - 4, 1);
  if (want.contains("values")) compare("values", 0, 1);
  if (want.contains("strided")) compare("strided", 0, want["stride"]);
  double sum = 0, squares = 0, largest = 0;
  for (const double x : got) {
    sum += x;
    squares += x * x;
    largest = std::max(largest, std::abs(x));
  }
  const auto n = static_cast<double>(count);
  EXPECT_NEAR(sum / n, want["mean"], bound);
  EXPECT_NEAR(std::sqrt(squares / n), want["rms"], bound);
  EXPECT_NEAR(largest, want["max_abs"], bound);
}

std::vector<float> Part(const std::vector<float>& all, size_t first,
                        size_t count) {
  return {all.begin() + static_cast<ptrdiff_t>(first),
          all.begin() + static_cast<ptrdiff_t>(first + count)};
}

// [n, channels] to [channels, n].
std::vector<float> ByChannel(const std::vector<float>& rows, size_t channels) {
  const size_t n = rows.size() / channels;
  std::vector<float> out(rows.size());
  for (size_t i = 0; i < n; ++i) {
    for (size_t c = 0; c < channels; ++c)
      out[c * n + i] = rows[i * channels + c];
  }
  return out;
}

Session Open(const Model& model, const std::string& isa) {
  SessionOptions options;
  options.isa = isa;
  auto session = Session::Create(model, options);
  EXPECT_TRUE(session) << session.error().message;
  return *std::move(session);
}

struct Condition {
  std::vector<float> context, global;
};

constexpr size_t kWindow = 40, kWidth = 48;

// The golden prompt with another number of seconds.
Condition Describe(Session& conditioner, float seconds) {
  std::vector<int32_t> ids = Golden()["t5_ids"];
  std::vector<int32_t> mask(ids.size(), 1);
  ids.resize(kWindow, 0);
  mask.resize(kWindow, 0);
  Fill(conditioner, "input_ids", ids);
  Fill(conditioner, "attention_mask", mask);
  Fill<float>(conditioner, "seconds_total", {seconds});
  const Status ran = conditioner.Run();
  EXPECT_TRUE(ran) << ran.error().message;
  return {Read(conditioner, "context"), Read(conditioner, "global")};
}

// The inputs of a DiT call, apart from the context.
void FillDit(Session& dit, const Condition& condition, float t) {
  Fill(dit, "x", NameKeyedInput("x", 128));
  Fill<float>(dit, "t", {t});
  Fill(dit, "context", condition.context);
  Fill(dit, "global", condition.global);
}

// The tiny model, converted once to a folder.
class TinyModel : public testing::TestWithParam<std::string> {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TempFolder();
    std::ofstream(*folder_ / "spiece.model") << "any bytes";
    const Status written = importer::WriteNameKeyedModel(
        ModelSize::kTiny, folder_->path(), *folder_ / "spiece.model");
    ASSERT_TRUE(written) << written.error().message;
    const auto converted =
        ConvertStableAudio({*folder_ / "model.safetensors",
                            *folder_ / "model_config.json", *folder_ / "t5"},
                           *folder_ / "out");
    ASSERT_TRUE(converted) << converted.error().message;
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  void SetUp() override {
    if (Golden().is_null()) GTEST_SKIP() << kGolden << " is not here";
  }

  static Session OpenFile(const std::string& name) {
    const auto model = Model::Open(*folder_ / ("out/" + name));
    EXPECT_TRUE(model) << model.error().message;
    return Open(*model, GetParam());
  }
  // The condition of all DiT cases.
  static Condition DitCondition() {
    Session conditioner = OpenFile("conditioner.tflite");
    return Describe(conditioner, 10);
  }

  static TempFolder* folder_;
};

TempFolder* TinyModel::folder_ = nullptr;

TEST_P(TinyModel, ConditionsTextAsTheReferenceDoes) {
  Session conditioner = OpenFile("conditioner.tflite");
  const Condition c = Describe(conditioner, 10);
  ASSERT_EQ(c.context.size(), (kWindow + 1) * kWidth);
  ExpectGolden("t5_hidden_masked", Part(c.context, 0, kWindow * kWidth),
               kModule);
  // Masked rows are exactly zero: they are sinks of the cross-attention.
  for (size_t i = 24 * kWidth; i < kWindow * kWidth; ++i) {
    ASSERT_EQ(c.context[i], 0) << i;
  }
}

TEST_P(TinyModel, ConditionsSecondsAsTheReferenceDoes) {
  Session conditioner = OpenFile("conditioner.tflite");
  for (const float seconds : {0.0f, 10.0f, 256.0f}) {
    const std::string name =
        "seconds_" + std::to_string(static_cast<int>(seconds));
    const Condition c = Describe(conditioner, seconds);
    ExpectGolden(name, c.global, kModule);
    ExpectGolden(name, Part(c.context, kWindow * kWidth, kWidth), kModule);
  }
}

TEST_P(TinyModel, ClampsSecondsToTheirRange) {
  Session conditioner = OpenFile("conditioner.tflite");
  EXPECT_EQ(Describe(conditioner, 300).global,
            Describe(conditioner, 256).global);
  EXPECT_EQ(Describe(conditioner, -2).global, Describe(conditioner, 0).global);
}

TEST_P(TinyModel, GivesTheVelocityOfTheReference) {
  Session dit = OpenFile("dit.tflite");
  const Condition c = DitCondition();
  FillDit(dit, c, 0.73f);
  ASSERT_TRUE(dit.Run());
  ExpectGolden("dit_t0.73", Read(dit, "velocity"), kModule);
  FillDit(dit, c, 1);
  ASSERT_TRUE(dit.Run());
  ExpectGolden("dit_t1", Read(dit, "velocity"), kModule);
}

TEST_P(TinyModel, GivesTheGuidedVelocityOfTheReference) {
  Session dit = OpenFile("dit.tflite");
  Condition c = DitCondition();
  FillDit(dit, c, 0.73f);
  ASSERT_TRUE(dit.Run());
  std::vector<float> guided = Read(dit, "velocity");
  // No context at all, the same global vector.
  std::ranges::fill(c.context, 0.0f);
  FillDit(dit, c, 0.73f);
  ASSERT_TRUE(dit.Run());
  const std::vector<float> without = Read(dit, "velocity");
  for (size_t i = 0; i < guided.size(); ++i) {
    guided[i] = without[i] + (guided[i] - without[i]) * 6;
  }
  ExpectGolden("dit_cfg6_t0.73", guided, kChain);
}

TEST_P(TinyModel, DecodesAsTheReferenceDoes) {
  Session decoder = OpenFile("decoder.tflite");
  const int32_t shape[] = {1, 8, 6};
  ASSERT_TRUE(decoder.Resize("latent", shape));
  Fill(decoder, "latent", NameKeyedInput("z", 48));
  ASSERT_TRUE(decoder.Run());
  ExpectGolden("decoder", Read(decoder, "audio"), kModule);
}

TEST_P(TinyModel, EncodesAsTheReferenceDoes) {
  Session encoder = OpenFile("encoder.tflite");
  const int32_t shape[] = {1, 2, 12288};
  ASSERT_TRUE(encoder.Resize("audio", shape));
  Fill(encoder, "audio", NameKeyedInput("audio", 2 * 12288, 0.5f));
  ASSERT_TRUE(encoder.Run());
  ExpectGolden("enc_mean", Read(encoder, "mean"), kModule);
  ExpectGolden("enc_stdev", Read(encoder, "stdev"), kModule);
}

INSTANTIATE_TEST_SUITE_P(Isas, TinyModel, testing::ValuesIn(IsasHere()),
                         [](const auto& info) { return info.param; });

// --- Values inside the graphs ------------------------------------------------

// The graph with more outputs, of which fusing then leaves the values.
Model WithProbes(graph::Graph graph,
                 const std::vector<std::pair<std::string, TensorId>>& probes) {
  graph::Subgraph& subgraph = graph.subgraphs[0];
  for (const auto& [name, tensor] : probes) {
    subgraph.outputs.push_back(tensor);
    graph.signatures[0].outputs.push_back(
        {name, static_cast<uint32_t>(tensor)});
  }
  auto model = OpenGraph(graph);
  EXPECT_TRUE(model) << model.error().message;
  return *std::move(model);
}

class Probes : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (Golden().is_null()) GTEST_SKIP() << kGolden << " is not here";
  }
  static const importer::StableAudioGraphs& Graphs() {
    static const importer::StableAudioGraphs graphs =
        AuthorNameKeyed(ModelSize::kTiny);
    return graphs;
  }
};

// The last tensor that an operator of the scope makes.
TensorId LastOf(const graph::Subgraph& subgraph, std::string_view scope) {
  TensorId last = graph::kNoTensor;
  for (const graph::Op& op : subgraph.ops) {
    if (subgraph.tensors[op.outputs[0]].name.starts_with(scope)) {
      last = op.outputs[0];
    }
  }
  EXPECT_NE(last, graph::kNoTensor) << scope;
  return last;
}

const graph::Op& MakerOf(const graph::Subgraph& subgraph, TensorId tensor) {
  return *std::ranges::find_if(subgraph.ops, [&](const graph::Op& op) {
    return std::ranges::count(op.outputs, tensor) > 0;
  });
}

TEST_P(Probes, OfTheTransformerAreThoseOfTheReference) {
  const graph::Subgraph& subgraph = Graphs().dit.subgraphs[0];
  // The prepended token and the latent's rows are joined first of all.
  const auto join = std::ranges::find_if(subgraph.ops, [&](const auto& op) {
    return op.code == OpCode::kConcatenation &&
           subgraph.tensors[op.outputs[0]].shape == graph::Shape{1, 17, 256};
  });
  ASSERT_NE(join, subgraph.ops.end());
  const std::pair<std::string, TensorId> probes[] = {
      {"dit_context_rows", LastOf(subgraph, "to_cond_embed/")},
      {"dit_t0.73_prepended_token", join->inputs[0]},
      {"dit_t0.73_hidden_after_layer0", LastOf(subgraph, "layer0/ff/")},
      {"dit_t0.73_hidden_after_layer1", LastOf(subgraph, "layer1/ff/")}};
  const Model model =
      WithProbes(Graphs().dit, {std::begin(probes), std::end(probes)});
  Session dit = Open(model, GetParam());
  const auto conditioner = OpenGraph(Graphs().conditioner);
  ASSERT_TRUE(conditioner) << conditioner.error().message;
  Session describe = Open(*conditioner, GetParam());
  FillDit(dit, Describe(describe, 10), 0.73f);
  ASSERT_TRUE(dit.Run());
  for (const auto& [name, tensor] : probes) {
    ExpectGolden(name, Read(dit, name), kModule);
  }
  ExpectGolden("dit_t0.73", Read(dit, "velocity"), kModule);
}

TEST_P(Probes, OfTheDecoderAreThoseOfTheReference) {
  const graph::Subgraph& subgraph = Graphs().decoder.subgraphs[0];
  // Each block is a snake, x + .., and a padded convolution; so is the end,
  // without the padding. The result of the block before is the snake's x.
  std::vector<TensorId> snakes;
  for (const graph::Op& op : subgraph.ops) {
    if (op.code == OpCode::kPad) snakes.push_back(op.inputs[0]);
  }
  ASSERT_EQ(snakes.size(), 5u);
  const auto last_conv =
      std::find_if(subgraph.ops.rbegin(), subgraph.ops.rend(),
                   [](const auto& op) { return op.code == OpCode::kConv2d; });
  snakes.push_back(last_conv->inputs[0]);
  std::vector<std::pair<std::string, TensorId>> probes;
  for (size_t i = 0; i < snakes.size(); ++i) {
    const graph::Op& add = MakerOf(subgraph, snakes[i]);
    ASSERT_EQ(add.code, OpCode::kAdd);
    probes.emplace_back("decoder_after_layers." + std::to_string(i),
                        add.inputs[0]);
  }
  probes.emplace_back("decoder_after_layers.6", snakes.back());

  Session decoder = Open(WithProbes(Graphs().decoder, probes), GetParam());
  const int32_t shape[] = {1, 8, 6};
  ASSERT_TRUE(decoder.Resize("latent", shape));
  Fill(decoder, "latent", NameKeyedInput("z", 48));
  ASSERT_TRUE(decoder.Run());
  for (const auto& [name, tensor] : probes) {
    const auto channels =
        static_cast<size_t>(Golden()["cases"][name]["shape"][0].get<int>());
    EXPECT_EQ(subgraph.tensors[tensor].shape.back(), channels) << name;
    ExpectGolden(name, ByChannel(Read(decoder, name), channels), kModule);
  }
  ExpectGolden("decoder", Read(decoder, "audio"), kModule);
}

INSTANTIATE_TEST_SUITE_P(Isas, Probes, testing::ValuesIn(IsasHere()),
                         [](const auto& info) { return info.param; });

// Cases of the samplers' chains are those of apps/audio/golden_test.cc.
TEST(GoldenFile, HasNoCaseThatNoTestKnows) {
  if (Golden().is_null()) GTEST_SKIP() << kGolden << " is not here";
  const std::vector<std::string> known = {"t5_hidden_masked",
                                          "seconds_0",
                                          "seconds_10",
                                          "seconds_256",
                                          "dit_t0.73",
                                          "dit_t1",
                                          "dit_cfg6_t0.73",
                                          "dit_context_rows",
                                          "dit_t0.73_prepended_token",
                                          "dit_t0.73_hidden_after_layer0",
                                          "dit_t0.73_hidden_after_layer1",
                                          "decoder",
                                          "decoder_after_layers.0",
                                          "decoder_after_layers.1",
                                          "decoder_after_layers.2",
                                          "decoder_after_layers.3",
                                          "decoder_after_layers.4",
                                          "decoder_after_layers.5",
                                          "decoder_after_layers.6",
                                          "enc_mean",
                                          "enc_stdev",
                                          "pingpong8_latent",
                                          "pingpong8_audio",
                                          "pingpong8_init_smax0.6_latent"};
  for (const auto& [name, value] : Golden()["cases"].items()) {
    EXPECT_TRUE(std::ranges::count(known, name)) << name;
  }
}

// --- Full size
// ----------------------------------------------------------------

// The three figures at the end of section 7. Weights follow from their names;
// each model is written to a file (1.4 GB at most) and removed again.
class FullSize : public testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv("LATHE_FULL") == nullptr) {
      GTEST_SKIP() << "set LATHE_FULL to run it: writes 2 GB, half a minute";
    }
  }

  Session OpenFull(const graph::Graph& graph, const std::string& name) {
    const std::string path = folder_ / name;
    const Status written = format::WriteTflite(graph, path);
    EXPECT_TRUE(written) << written.error().message;
    const auto model = Model::Open(path);
    EXPECT_TRUE(model) << model.error().message;
    return Open(*model, "");
  }

  static void ExpectFigures(const std::vector<float>& got, double rms,
                            const std::vector<double>& first) {
    const double squares =
        std::transform_reduce(got.begin(), got.end(), 0.0, std::plus<>(),
                              [](double x) { return x * x; });
    EXPECT_NEAR(std::sqrt(squares / static_cast<double>(got.size())) / rms, 1,
                1e-4);
    for (size_t i = 0; i < first.size(); ++i) {
      EXPECT_NEAR(got[i], first[i], 1e-4) << i;
    }
  }

  TempFolder folder_;
};

TEST_F(FullSize, TransformerGivesTheReferencesFigures) {
  Session dit = OpenFull(AuthorNameKeyed(ModelSize::kFull).dit, "dit.tflite");
  std::vector<float> cross = NameKeyedInput("cross", 65 * 768);
  std::fill(cross.begin() + 12 * 768, cross.begin() + 64 * 768, 0.0f);
  Fill(dit, "x", NameKeyedInput("x", 64 * 256));
  Fill<float>(dit, "t", {0.73f});
  Fill(dit, "context", cross);
  Fill(dit, "global", NameKeyedInput("glob", 768));
  ASSERT_TRUE(dit.Run());
  ExpectFigures(Read(dit, "velocity"), 4.58170,
                {-3.867650, -3.471492, 7.914940, -0.290380});
}

TEST_F(FullSize, DecoderGivesTheReferencesFigures) {
  Session decoder =
      OpenFull(AuthorNameKeyed(ModelSize::kFull).decoder, "decoder.tflite");
  const int32_t shape[] = {1, 64, 8};
  ASSERT_TRUE(decoder.Resize("latent", shape));
  Fill(decoder, "latent", NameKeyedInput("z", 64 * 8));
  ASSERT_TRUE(decoder.Run());
  ExpectFigures(Read(decoder, "audio"), 0.39285,
                {-0.115287, -0.019522, -0.111430, -0.259238});
}

TEST_F(FullSize, EncoderGivesTheReferencesFigures) {
  Session encoder =
      OpenFull(AuthorNameKeyed(ModelSize::kFull).encoder, "encoder.tflite");
  const int32_t shape[] = {1, 2, 16384};
  ASSERT_TRUE(encoder.Resize("audio", shape));
  Fill(encoder, "audio", NameKeyedInput("audio", 2 * 16384, 0.5f));
  ASSERT_TRUE(encoder.Run());
  // The figures are of the values in front of the split: the means, then what
  // stdev = log(1 + e^raw) + 1e-4 was made from.
  std::vector<float> both = Read(encoder, "mean");
  for (const double stdev : Read(encoder, "stdev")) {
    both.push_back(static_cast<float>(std::log(std::expm1(stdev - 1e-4))));
  }
  ExpectFigures(both, 1.26025, {-1.086066, 0.256772, -0.315080, -1.342859});
}

}  // namespace
}  // namespace lathe
