// The autoencoder's constants against plain definitions, and its halo.

#include "src/import/models/oobleck.h"

#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "src/import/testing/name_keyed.h"

namespace lathe::importer {
namespace {

// The tiny model's decoder and encoder.
struct Authored {
  StableAudioConfig config = NameKeyedConfig(ModelSize::kTiny);
  TensorSource source = NameKeyedSource(CheckpointShapes(config));
  Weights weights{source, "tiny"};
  graph::Graph decoder = graph::Graph::Empty();
  graph::Graph encoder = graph::Graph::Empty();

  Authored() {
    EXPECT_TRUE(AuthorDecoder(config, weights, decoder));
    EXPECT_TRUE(AuthorEncoder(config, weights, encoder));
  }
};

std::vector<float> Read(const SourceTensor& tensor) {
  size_t n = 1;
  for (const int64_t dim : tensor.shape) n *= static_cast<size_t>(dim);
  std::vector<float> values(n);
  EXPECT_TRUE(tensor.read(0, values));
  return values;
}

// The constant with this name and its shape.
std::pair<std::vector<float>, graph::Shape> Constant(const graph::Graph& graph,
                                                     const std::string& name) {
  for (const graph::Tensor& tensor : graph.subgraphs[0].tensors) {
    if (tensor.name != name) continue;
    const graph::Buffer& buffer = graph.BufferOf(tensor);
    std::vector<float> values(buffer.size() / sizeof(float));
    EXPECT_TRUE(buffer.produce(std::as_writable_bytes(std::span(values))));
    return {values, tensor.shape};
  }
  ADD_FAILURE() << "no constant " << name;
  return {};
}

// weight_g weight_v / |weight_v| of a tensor of `shape`, by its definition.
std::vector<double> Normed(const TensorSource& source,
                           const std::string& name) {
  const SourceTensor& v = source.find(name + ".weight_v")->second;
  const std::vector<float> values = Read(v);
  const std::vector<float> gains =
      Read(source.find(name + ".weight_g")->second);
  const size_t row = values.size() / gains.size();
  std::vector<double> weights(values.begin(), values.end());
  for (size_t i = 0; i < gains.size(); ++i) {
    double sum = 0;
    for (size_t j = 0; j < row; ++j) {
      sum += weights[i * row + j] * weights[i * row + j];
    }
    for (size_t j = 0; j < row; ++j) {
      weights[i * row + j] *= gains[i] / std::sqrt(sum);
    }
  }
  return weights;
}

TEST(Oobleck, UpsamplesAsTheTransposedConvolutionOfTheDefinition) {
  Authored a;
  // (in, out, stride) of the five blocks: channels 4 times 16, 8, 4, 2, 1, 1.
  const int32_t blocks[5][3] = {
      {64, 32, 8}, {32, 16, 8}, {16, 8, 4}, {8, 4, 4}, {4, 4, 2}};
  for (size_t block = 0; block < 5; ++block) {
    const auto [in, out, s] = blocks[block];
    const std::string layer = fmt::format("layers.{}.layers.1", block + 1);
    const std::string key = "pretransform.model.decoder." + layer;
    const std::vector<double> w = Normed(a.source, key);  // [in, out, 2 s]
    const std::vector<float> bias = Read(a.source.find(key + ".bias")->second);
    const int32_t n = 5;
    const std::vector<float> x = NameKeyedInput(
        "up", static_cast<size_t>(n) * static_cast<size_t>(in));  // [n, in]
    const auto at = [](int32_t i) { return static_cast<size_t>(i); };

    std::vector<double> wanted(at(n * s * out));
    for (int32_t o = 0; o < n * s; ++o) {
      for (int32_t c = 0; c < out; ++c) {
        double sum = bias[at(c)];
        for (int32_t i = 0; i < n; ++i) {
          const int32_t j = o + s / 2 - i * s;
          if (j < 0 || j >= 2 * s) continue;
          for (int32_t k = 0; k < in; ++k) {
            sum += x[at(i * in + k)] * w[at((k * out + c) * 2 * s + j)];
          }
        }
        wanted[at(o * out + c)] = sum;
      }
    }

    // Convolution of width 2 over rows -1 .. n, then s / 2 samples cut off.
    const auto [filter, shape] = Constant(a.decoder, layer + ".weight");
    const auto [biases, bias_shape] = Constant(a.decoder, layer + ".bias");
    ASSERT_EQ(shape, (graph::Shape{s * out, 1, 2, in}));
    ASSERT_EQ(bias_shape, (graph::Shape{s * out}));
    std::vector<double> rows(at((n + 1) * s * out));
    for (int32_t i = 0; i <= n; ++i) {
      for (int32_t o = 0; o < s * out; ++o) {
        double sum = biases[at(o)];
        for (int32_t tap = 0; tap < 2; ++tap) {
          const int32_t row = i - 1 + tap;
          if (row < 0 || row >= n) continue;
          for (int32_t k = 0; k < in; ++k) {
            sum += x[at(row * in + k)] * filter[at((o * 2 + tap) * in + k)];
          }
        }
        rows[at(i * s * out + o)] = sum;
      }
    }
    for (size_t i = 0; i < wanted.size(); ++i) {
      ASSERT_NEAR(rows[i + at(s / 2 * out)], wanted[i], 1e-5)
          << layer << " at " << i;
    }
  }
}

TEST(Oobleck, StoresFiltersOutputMajorWithFusedWeightNorm) {
  Authored a;
  const std::string layer = "layers.4.layers.4";  // Strided, 32 to 64, k 16.
  const std::vector<double> w =
      Normed(a.source, "pretransform.model.encoder." + layer);
  const auto [filter, shape] = Constant(a.encoder, layer + ".weight");
  ASSERT_EQ(shape, (graph::Shape{32, 1, 16, 16}));
  for (size_t o = 0; o < 32; ++o) {
    for (size_t i = 0; i < 16; ++i) {
      for (size_t k = 0; k < 16; ++k) {
        ASSERT_NEAR(filter[(o * 16 + k) * 16 + i], w[(o * 16 + i) * 16 + k],
                    1e-7);
      }
    }
  }
}

TEST(Oobleck, NamesTheWeightWhoseDirectionHasNoLength) {
  Authored a;
  a.source.find("pretransform.model.decoder.layers.0.weight_v")->second.read =
      [](uint64_t, std::span<float> out) -> Status {
    std::ranges::fill(out, 0.0f);
    return {};
  };
  Weights weights(a.source, "tiny");
  graph::Graph graph = graph::Graph::Empty();
  ASSERT_TRUE(AuthorDecoder(a.config, weights, graph));
  for (const graph::Tensor& tensor : graph.subgraphs[0].tensors) {
    if (tensor.name != "layers.0.weight") continue;
    std::vector<std::byte> bytes(graph.BufferOf(tensor).size());
    const Status status = graph.BufferOf(tensor).produce(bytes);
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().message,
                testing::HasSubstr("decoder.layers.0.weight_v: row 0"));
  }
}

TEST(Oobleck, LeavesTheTimeAxisToTheCaller) {
  Authored a;
  const auto input = [](const graph::Graph& graph) {
    const graph::Subgraph& s = graph.subgraphs[0];
    return s.tensors[static_cast<size_t>(s.inputs[0])];
  };
  EXPECT_EQ(input(a.decoder).shape, (graph::Shape{1, 8, 16}));
  EXPECT_EQ(input(a.decoder).shape_signature, (graph::Shape{1, 8, -1}));
  EXPECT_EQ(input(a.encoder).shape, (graph::Shape{1, 2, 32768}));
  EXPECT_EQ(input(a.encoder).shape_signature, (graph::Shape{1, 2, -1}));
}

// 18981 and 14885 samples of 2048 a frame (reference, section 2.7).
TEST(Oobleck, ReachesTenFramesInTheDecoderAndEightInTheEncoder) {
  const StableAudioConfig full = NameKeyedConfig(ModelSize::kFull);
  EXPECT_EQ(DecoderHalo(full.decoder), 10);
  EXPECT_EQ(EncoderHalo(full.encoder), 8);
}

}  // namespace
}  // namespace lathe::importer
