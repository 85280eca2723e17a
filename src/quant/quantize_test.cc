#include "src/quant/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "src/graph/builder.h"
#include "src/graph/verify.h"

namespace lathe::quant {
namespace {

using graph::Builder;
using graph::Graph;
using graph::Op;
using graph::OpCode;
using graph::Shape;
using graph::Tensor;
using graph::TensorId;
using graph::Type;
using testing::HasSubstr;

std::vector<float> Random(size_t count, uint32_t seed = 1) {
  std::mt19937 rng(seed);
  std::vector<float> values(count);
  for (float& x : values) x = static_cast<float>(rng()) / 2147483648.0f - 1;
  return values;
}

// A model as the caller authors it, with every tensor's range [-2, 3].
struct Model {
  Graph graph = Graph::Empty();
  Statistics statistics;

  template <typename F>
  explicit Model(const F& author) {
    Builder b(graph, "main");
    const auto [inputs, outputs] = author(b);
    const auto named = [&](const std::vector<TensorId>& ids, char letter) {
      std::vector<std::pair<std::string, TensorId>> names;
      for (const TensorId id : ids) {
        names.emplace_back(letter + std::to_string(names.size()), id);
      }
      return names;
    };
    const Status done =
        b.Finish("serving", named(inputs, 'i'), named(outputs, 'o'));
    EXPECT_TRUE(done) << done.error().message;
    for (const Tensor& tensor : graph.subgraphs[0].tensors) {
      statistics.of[tensor.name] = {.min = {-2}, .max = {3}, .rank = 1};
    }
  }
  const Tensor& TensorNamed(std::string_view name) const {
    const auto& tensors = graph.subgraphs[0].tensors;
    return *std::ranges::find(tensors, name, &Tensor::name);
  }
};
using Ends = std::pair<std::vector<TensorId>, std::vector<TensorId>>;

std::string Rule(std::string_view regex, std::string_view operation,
                 std::string_view algorithm, std::string_view weight,
                 std::string_view more) {
  return fmt::format(
      R"({{"regex": "{}", "operation": "{}", "algorithm_key": "{}",
          "op_config": {{"weight_tensor_config": {{{}}}{}}}}})",
      regex, operation, algorithm, weight, more);
}
constexpr std::string_view kDynamic = R"(, "compute_precision": "INTEGER")";
constexpr std::string_view kStatic =
    R"(, "compute_precision": "INTEGER", "activation_tensor_config":
       {"num_bits": 8, "symmetric": false})";
constexpr std::string_view kChannel =
    R"("num_bits": 8, "granularity": "CHANNELWISE")";
constexpr std::string_view kChannel4 =
    R"("num_bits": 4, "granularity": "CHANNELWISE")";
constexpr std::string_view kMinMax = "min_max_uniform_quantize";

Result<Quantized> Made(const Model& model, const std::string& rules,
                       Behaviour behaviour = Behaviour::kCorrect,
                       bool with_statistics = true) {
  static std::vector<std::unique_ptr<Recipe>> kept;
  auto recipe = ParseRecipe(fmt::format("[{}]", rules), "recipe", behaviour,
                            [](const std::string&) -> Result<std::string> {
                              return Invalid("no file");
                            });
  if (!recipe) return std::unexpected(recipe.error());
  kept.push_back(std::make_unique<Recipe>(*std::move(recipe)));
  QuantizeOptions options;
  options.behaviour = behaviour;
  auto made =
      QuantizeGraph(model.graph, *kept.back(),
                    with_statistics ? &model.statistics : nullptr, options);
  if (made) {
    const Status status = graph::Verify(made->graph);
    EXPECT_TRUE(status) << status.error().message;
  }
  return made;
}

const Tensor* Find(const Graph& graph, std::string_view name) {
  const auto& tensors = graph.subgraphs[0].tensors;
  const auto found = std::ranges::find(tensors, name, &Tensor::name);
  return found == tensors.end() ? nullptr : &*found;
}
std::vector<std::byte> BytesOf(const Graph& graph, const Tensor& tensor) {
  const graph::Buffer& buffer = graph.BufferOf(tensor);
  std::vector<std::byte> bytes(buffer.size());
  if (buffer.produce) {
    EXPECT_TRUE(buffer.produce(bytes));
  } else {
    std::ranges::copy(buffer.bytes, bytes.begin());
  }
  return bytes;
}
std::vector<OpCode> Codes(const Graph& graph) {
  std::vector<OpCode> codes;
  for (const Op& op : graph.subgraphs[0].ops) codes.push_back(op.code);
  return codes;
}
size_t Count(const Graph& graph, OpCode code) {
  return static_cast<size_t>(std::ranges::count(Codes(graph), code));
}

Model FullyConnected(std::vector<float> weights, Shape shape,
                     bool with_bias = true,
                     std::vector<int32_t> signature = {}) {
  return Model([&](Builder& b) -> Ends {
    const TensorId x =
        b.Input("x", Type::kFloat32, {2, shape[1]}, std::move(signature));
    const TensorId w = b.Floats("w", shape, weights);
    if (!with_bias) {
      return {{x}, {b.Op(OpCode::kFullyConnected, {x, w}, {}, "y")}};
    }
    const TensorId bias = b.Floats("b", {shape[0]}, Random(shape[0], 7));
    return {{x}, {b.Op(OpCode::kFullyConnected, {x, w, bias}, {}, "y")}};
  });
}

TEST(Quantize, ADynamicWeightBecomesIntegersAndTheVersionSaysSo) {
  const Model model = FullyConnected(Random(32), {4, 8});
  const auto made = Made(model, Rule(".*", "*", kMinMax, kChannel, kDynamic));
  ASSERT_TRUE(made) << made.error().message;
  const Tensor& w = *Find(made->graph, "w");
  EXPECT_EQ(w.type, Type::kInt8);
  EXPECT_EQ(w.quantization->scale.size(), 4u);
  EXPECT_EQ(BytesOf(made->graph, w).size(), 32u);
  const graph::Op& op = made->graph.subgraphs[0].ops[0];
  EXPECT_EQ(op.version, 9);
  // Rows get a zero point, as in XNNPACK.
  EXPECT_TRUE(op.options.Bool("asymmetric_quantize_inputs"));
  const auto old = Made(model, Rule(".*", "*", kMinMax, kChannel, kDynamic),
                        Behaviour::kCompat);
  const graph::Op& old_op = old->graph.subgraphs[0].ops[0];
  EXPECT_EQ(old_op.version, model.graph.subgraphs[0].ops[0].version);
  EXPECT_FALSE(old_op.options.Bool("asymmetric_quantize_inputs"));
}

TEST(Quantize, InsertedOperatorsKeepResizableDims) {
  const Model model = FullyConnected(Random(32), {4, 8}, true, {-1, 8});
  const std::string rules =
      Rule(".*", "*", kMinMax, kChannel, kStatic) +
      R"(, {"regex": ".*", "operation": "INPUT", "algorithm_key":
            "no_quantize"})";
  const auto made = Made(model, rules);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(Find(made->graph, "x_quantized")->shape_signature,
            (std::vector<int32_t>{-1, 8}));
  const auto old = Made(model, rules, Behaviour::kCompat);
  EXPECT_TRUE(Find(old->graph, "x_quantized")->shape_signature.empty());
}

// x -> RELU -> mid (also an output) -> EXP -> y. EXP is never quantized.
Model OutputAlsoRead() {
  return Model([](Builder& b) -> Ends {
    const TensorId x = b.Input("x", Type::kFloat32, {4});
    const TensorId mid = b.Op(OpCode::kRelu, {x}, {}, "mid");
    return {{x}, {mid, b.Op(OpCode::kExp, {mid}, {}, "y")}};
  });
}

// Reference A4.
TEST(Quantize, AnOutputThatIsAlsoReadKeepsItsSignature) {
  const auto made =
      Made(OutputAlsoRead(), Rule(".*", "*", kMinMax, kChannel, kStatic));
  ASSERT_TRUE(made) << made.error().message;
  const graph::Subgraph& main = made->graph.subgraphs[0];
  // The caller reads integers, EXP its own floats.
  EXPECT_EQ(main.tensors[main.outputs[0]].name, "mid");
  EXPECT_EQ(main.tensors[main.outputs[0]].type, Type::kInt8);
  for (const graph::NamedTensor& item : made->graph.signatures[0].outputs) {
    EXPECT_EQ(
        std::ranges::count(main.outputs, static_cast<int32_t>(item.tensor)), 1);
  }
}

// Reference A3.
TEST(Quantize, AFloatOutputThatTheLastOperatorReadsStaysRight) {
  const Model model([](Builder& b) -> Ends {
    const TensorId x = b.Input("x", Type::kFloat32, {2, 8});
    const TensorId mid = b.Op(OpCode::kRelu, {x}, {}, "mid");
    const TensorId w = b.Floats("w", {4, 8}, Random(32));
    return {{x}, {mid, b.Op(OpCode::kFullyConnected, {mid, w}, {}, "y")}};
  });
  const auto made = Made(model, Rule(".*", "*", kMinMax, kChannel, kStatic) +
                                    R"(, {"regex": ".*", "operation": "OUTPUT",
                       "algorithm_key": "no_quantize"})");
  ASSERT_TRUE(made) << made.error().message;
  const graph::Subgraph& main = made->graph.subgraphs[0];
  for (const Op& op : main.ops) {
    if (op.code != OpCode::kFullyConnected) continue;
    EXPECT_EQ(main.tensors[op.inputs[0]].name, "mid");
    EXPECT_EQ(main.tensors[op.inputs[0]].type, Type::kInt8);
  }
  EXPECT_EQ(main.tensors[main.outputs[0]].type, Type::kFloat32);
  EXPECT_EQ(made->graph.signatures[0].outputs[0].tensor,
            static_cast<uint32_t>(main.outputs[0]));
}

// Reference A5 and A27.
TEST(Quantize, ARuleThatDoesNothingIsRefusedByName) {
  const Model model = FullyConnected(Random(32 * 4), {4, 32});
  const auto error = [&](const std::string& rules) {
    const auto made = Made(model, rules);
    return made ? std::string() : made.error().message;
  };
  EXPECT_THAT(error(Rule("yy", "*", kMinMax, kChannel, kDynamic)),
              HasSubstr("regex matches no operator; did you mean \"y\"?"));
  EXPECT_THAT(error(Rule(".*", "CONV_2D", kMinMax, kChannel, kDynamic)),
              HasSubstr("no CONV_2D among"));
  // 8 bits in blocks suit nothing, nor do floats without a dequantize.
  EXPECT_THAT(
      error(Rule(".*", "*", kMinMax,
                 R"("num_bits": 8, "granularity": "BLOCKWISE_32")", kDynamic)),
      HasSubstr("suits none"));
  EXPECT_THAT(error(Rule(".*", "*", kMinMax, kChannel, "")),
              HasSubstr("suits none"));
  const auto old = Made(model, Rule("zz", "*", kMinMax, kChannel, kDynamic),
                        Behaviour::kCompat);
  ASSERT_TRUE(old);
  EXPECT_EQ(Find(old->graph, "w")->type, Type::kFloat32);
}

// Reference A6.
TEST(Quantize, AShippedPairOfRulesMeansBoth) {
  const Model model([](Builder& b) -> Ends {
    const TensorId x = b.Input("x", Type::kFloat32, {1, 4, 4, 8});
    const TensorId w = b.Floats("w", {8, 1, 1, 8}, Random(64));
    const TensorId bias = b.Floats("b", {8}, Random(8));
    const TensorId c =
        b.Op(OpCode::kConv2d, {x, w, bias},
             {{"stride_w", int64_t{1}}, {"stride_h", int64_t{1}}}, "c");
    const TensorId fw = b.Floats("fw", {4, 8}, Random(32));
    return {{x}, {b.Op(OpCode::kFullyConnected, {c, fw, -1}, {}, "y")}};
  });
  auto recipe = LoadRecipe("dynamic_wi8_afp32_hadamard", Behaviour::kCorrect);
  ASSERT_TRUE(recipe);
  const auto made = QuantizeGraph(model.graph, *recipe, nullptr, {});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(Find(made->graph, "w")->type, Type::kInt8);
  EXPECT_EQ(Find(made->graph, "fw")->type, Type::kInt8);
  EXPECT_EQ(Count(made->graph, OpCode::kFullyConnected), 2u);
}

// Reference A9.
TEST(Quantize, RotationsNeedNoBiasAndNoLargeMatrix) {
  for (const bool with_bias : {false, true}) {
    const Model model = FullyConnected(Random(256 * 4), {4, 256}, with_bias);
    const auto made =
        Made(model, Rule(".*", "*", "HADAMARD_ROTATION", kChannel4, kDynamic));
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(Find(made->graph, "w")->type, Type::kInt4);
    // 256 = 16 * 16: two small products.
    EXPECT_EQ(Count(made->graph, OpCode::kFullyConnected), 3u);
    EXPECT_EQ(Count(made->graph, OpCode::kTranspose), 2u);
    for (const Tensor& tensor : made->graph.subgraphs[0].tensors) {
      EXPECT_LE(made->graph.BufferOf(tensor).size(), 16384u) << tensor.name;
    }
  }
}

// Reference A10.
TEST(Quantize, AnOddWidthIsNotRotated) {
  const Model model = FullyConnected(Random(12), {4, 3});
  const auto made = Made(model, Rule(".*", "*", "DECOMPOSED_HADAMARD_ROTATION",
                                     kChannel, kDynamic));
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(Codes(made->graph), std::vector{OpCode::kFullyConnected});
  EXPECT_EQ(Find(made->graph, "w")->type, Type::kInt8);
}

// Reference A8.
TEST(Quantize, LayersWithOtherRotationsShareNone) {
  const Model model([](Builder& b) -> Ends {
    const TensorId x = b.Input("x", Type::kFloat32, {2, 16});
    const TensorId v = b.Floats("v", {4, 16}, Random(64, 1));
    const TensorId w = b.Floats("w", {4, 16}, Random(64, 2));
    return {{x},
            {b.Op(OpCode::kFullyConnected, {x, v}, {}, "first"),
             b.Op(OpCode::kFullyConnected, {x, w}, {}, "second")}};
  });
  const auto rule = [](std::string_view regex, int size) {
    return Rule(regex, "*", "DECOMPOSED_HADAMARD_ROTATION",
                fmt::format(R"("num_bits": 8, "granularity": "CHANNELWISE",
                               "algorithm_params": {{"max_hadamard_size": {}}})",
                            size),
                kDynamic);
  };
  const auto apart = Made(model, rule("first", 16) + "," + rule("second", 8));
  ASSERT_TRUE(apart) << apart.error().message;
  EXPECT_EQ(Count(apart->graph, OpCode::kFullyConnected), 4u);
  const auto alike = Made(model, rule(".*", 16));
  ASSERT_TRUE(alike) << alike.error().message;
  EXPECT_EQ(Count(alike->graph, OpCode::kFullyConnected), 3u);
}

// Reference A7.
TEST(Quantize, ATiedTableIsRotatedOnlyWhereItsRuleSaysSo) {
  const Model model([](Builder& b) -> Ends {
    const TensorId ids = b.Input("ids", Type::kInt32, {2});
    const TensorId w = b.Floats("w", {4, 8}, Random(32));
    const TensorId e = b.Op(OpCode::kEmbeddingLookup, {ids, w}, {}, "e");
    return {{ids}, {b.Op(OpCode::kFullyConnected, {e, w}, {}, "y")}};
  });
  const auto made = Made(
      model,
      Rule(".*", "EMBEDDING_LOOKUP", "HADAMARD_ROTATION", kChannel, kDynamic) +
          "," + Rule(".*", "FULLY_CONNECTED", kMinMax, kChannel, kDynamic));
  ASSERT_TRUE(made) << made.error().message;
  const graph::Subgraph& main = made->graph.subgraphs[0];
  std::vector<std::vector<std::byte>> tables;
  for (const Op& op : main.ops) {
    const bool reads_table = op.code == OpCode::kEmbeddingLookup ||
                             (op.code == OpCode::kFullyConnected &&
                              main.tensors[op.inputs[1]].type == Type::kInt8);
    if (reads_table) {
      tables.push_back(BytesOf(made->graph, main.tensors[op.inputs[1]]));
    }
  }
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_FALSE(std::ranges::equal(tables[0], tables[1]));
}

// Reference A11 and A12.
TEST(Quantize, AlgorithmsThatWeighByActivationsAskForThem) {
  Model model = FullyConnected(Random(32), {4, 8});
  for (const char* algorithm : {"OSCAR", "GPTQ"}) {
    const std::string rules = Rule(".*", "*", algorithm, kChannel, kDynamic);
    const auto none = Made(model, rules, Behaviour::kCorrect, false);
    ASSERT_FALSE(none);
    EXPECT_THAT(none.error().message, HasSubstr("statistics"));
    const auto partial = Made(model, rules);
    ASSERT_FALSE(partial);
    EXPECT_THAT(partial.error().message, HasSubstr("tensor \"x\""));
  }
  model.statistics.of["x"].mu2 = {1, 2, 3, 4, 100, 6, 7, 8};
  const auto made = Made(model, Rule(".*", "*", "OSCAR", kChannel, kDynamic));
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(Find(made->graph, "w")->type, Type::kInt8);
}

// Reference A15.
TEST(Quantize, OctavLeavesAsymmetricOperandsToMinMax) {
  const Model model([](Builder& b) -> Ends {
    const TensorId x = b.Input("x", Type::kFloat32, {4});
    const TensorId c = b.Floats("c", {4}, Random(4));
    return {{x}, {b.Op(OpCode::kAdd, {x, c}, {}, "y")}};
  });
  const std::string rules = Rule(".*", "*", "OCTAV", kChannel, kStatic);
  const auto made = Made(model, rules);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(Find(made->graph, "c")->type, Type::kInt8);
  EXPECT_FALSE(Made(model, rules, Behaviour::kCompat));
}

// Reference A21.
TEST(Quantize, ASmallWeightLeavesItsStaticOperatorFloat) {
  const Model model = FullyConnected(Random(32), {4, 8});
  const std::string rules =
      Rule(".*", "*", kMinMax, kChannel,
           fmt::format(R"({}, "min_weight_elements": 100)", kStatic));
  const auto made = Made(model, rules);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(Find(made->graph, "w")->type, Type::kFloat32);
  EXPECT_FALSE(made->ops[0].quantized);
  EXPECT_THAT(made->ops[0].reason, HasSubstr("min_weight_elements"));
  EXPECT_FALSE(Made(model, rules, Behaviour::kCompat));
}

// y = x * w, or w * x.
Model Product(bool constant_left) {
  return Model([&](Builder& b) -> Ends {
    const TensorId x = b.Input("x", Type::kFloat32, {1, 8, 8});
    const TensorId w = b.Floats("w", {1, 8, 8}, Random(64));
    return {{x},
            {constant_left ? b.Op(OpCode::kBatchMatmul, {w, x}, {}, "y")
                           : b.Op(OpCode::kBatchMatmul, {x, w}, {}, "y")}};
  });
}

// Reference A23.
TEST(Quantize, AStaticProductHasOneScale) {
  const std::string rules = Rule(".*", "*", kMinMax, kChannel, kStatic);
  const auto made = Made(Product(false), rules);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(Find(made->graph, "w")->quantization->scale.size(), 1u);
  const auto old = Made(Product(false), rules, Behaviour::kCompat);
  EXPECT_EQ(Find(old->graph, "w")->quantization->scale.size(), 8u);
}

// Reference A25.
TEST(Quantize, AConstantLeftOperandStaysFloatBesideAFloat) {
  const auto made =
      Made(Product(true), Rule(".*", "*", kMinMax, kChannel, kDynamic));
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(Find(made->graph, "w")->type, Type::kFloat32);
  EXPECT_FALSE(made->ops[0].quantized);
}

// Reference A24.
TEST(Quantize, ADynamicDepthwiseConvolutionHasAScaleForEachChannel) {
  const Model model([](Builder& b) -> Ends {
    const TensorId x = b.Input("x", Type::kFloat32, {1, 4, 4, 8});
    const TensorId w = b.Floats("w", {1, 3, 3, 8}, Random(72));
    const TensorId bias = b.Floats("b", {8}, Random(8));
    return {{x},
            {b.Op(OpCode::kDepthwiseConv2d, {x, w, bias},
                  {{"stride_w", int64_t{1}},
                   {"stride_h", int64_t{1}},
                   {"depth_multiplier", int64_t{1}}},
                  "y")}};
  });
  const auto made =
      Made(model, Rule(".*", "*", kMinMax, R"("num_bits": 8)", kDynamic));
  ASSERT_TRUE(made) << made.error().message;
  const graph::Quantization& q = *Find(made->graph, "w")->quantization;
  EXPECT_EQ(q.scale.size(), 8u);
  EXPECT_EQ(q.axis, 3);
}

// Reference A26.
TEST(Quantize, FourBitsNeverHoldTheValueThatAKernelGetsWrong) {
  std::vector<float> weights = Random(64 * 8);
  weights[3] = -30;  // Clipped by OCTAV.
  const Model model = FullyConnected(weights, {8, 64});
  for (const char* algorithm : {"OCTAV", "MSE", "HADAMARD_ROTATION"}) {
    const auto made =
        Made(model, Rule(".*", "*", algorithm, kChannel4, kDynamic));
    ASSERT_TRUE(made) << made.error().message;
    for (const std::byte b : BytesOf(made->graph, *Find(made->graph, "w"))) {
      EXPECT_NE(std::to_integer<int>(b) & 15, 8) << algorithm;
      EXPECT_NE(std::to_integer<int>(b) >> 4, 8) << algorithm;
    }
  }
}

// Reference A1.
TEST(Quantize, ChannelsOfZerosHaveAScale) {
  std::vector<float> weights = Random(64);
  std::fill(weights.begin() + 16, weights.begin() + 32, 0.0f);
  const Model model = FullyConnected(weights, {4, 16});
  for (const char* algorithm : {"OCTAV", "MSE", "min_max_uniform_quantize"}) {
    const auto made =
        Made(model, Rule(".*", "*", algorithm, kChannel, kDynamic));
    ASSERT_TRUE(made) << made.error().message;
    for (const float s : Find(made->graph, "w")->quantization->scale) {
      EXPECT_GT(s, 0);
    }
  }
}

// Reference A28.
TEST(Quantize, NamesATensorThatIsNotFinite) {
  std::vector<float> weights = Random(32);
  weights[9] = std::numeric_limits<float>::quiet_NaN();
  const auto made = Made(FullyConnected(weights, {4, 8}),
                         Rule(".*", "*", kMinMax, kChannel, kDynamic));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kInvalidInput);
  EXPECT_THAT(made.error().message, HasSubstr("tensor \"w\""));
}

// Reference A2: beyond 32 MB the older tool fails for more than two dims.
TEST(Quantize, AFilterOfAnySizeIsQuantized) {
  constexpr int32_t kChannels = 1024;
  constexpr size_t kPerChannel = size_t{3} * 3 * kChannels;
  std::vector<float> weights(kChannels * kPerChannel);
  for (size_t i = 0; i < weights.size(); ++i) {
    // Each channel up to its number.
    weights[i] = static_cast<float>(i / kPerChannel + 1) *
                 (i % kPerChannel == 0 ? 1.0f : 0.5f);
  }
  ASSERT_GT(weights.size() * sizeof(float), size_t{32} << 20);
  const Model model([&](Builder& b) -> Ends {
    const TensorId x = b.Input("x", Type::kFloat32, {1, 3, 3, kChannels});
    const TensorId w = b.Floats("w", {kChannels, 3, 3, kChannels}, weights);
    const TensorId bias = b.Floats("b", {kChannels}, Random(kChannels));
    return {{x},
            {b.Op(OpCode::kConv2d, {x, w, bias},
                  {{"stride_w", int64_t{1}}, {"stride_h", int64_t{1}}}, "y")}};
  });
  const auto made = Made(model, Rule(".*", "*", kMinMax, kChannel, kDynamic));
  ASSERT_TRUE(made) << made.error().message;
  const Tensor& w = *Find(made->graph, "w");
  EXPECT_EQ(w.type, Type::kInt8);
  ASSERT_EQ(w.quantization->scale.size(), size_t{kChannels});
  EXPECT_FLOAT_EQ(w.quantization->scale.back(), kChannels / 127.0f);
  const std::vector<std::byte> bytes = BytesOf(made->graph, w);
  EXPECT_EQ(std::to_integer<int>(bytes[(kChannels - 1) * kPerChannel]), 127);
  EXPECT_EQ(std::to_integer<int>(bytes.back()), 64);
}

// Reference A16.
TEST(Quantize, MseTakesTwoBitsAndBlocks) {
  const Model model = FullyConnected(Random(64 * 4), {4, 64});
  for (const char* weight :
       {R"("num_bits": 2, "granularity": "CHANNELWISE")",
        R"("num_bits": 4, "granularity": "BLOCKWISE_32")",
        R"("num_bits": 2, "granularity": "BLOCKWISE_32")"}) {
    const std::string rules =
        Rule(".*", "FULLY_CONNECTED", "MSE", weight, kDynamic);
    const auto made = Made(model, rules);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_TRUE(made->ops[0].quantized);
    EXPECT_FALSE(Made(model, rules, Behaviour::kCompat)) << weight;
  }
}

// A recipe for many models names what one of them does not have.
TEST(Quantize, ARuleForAnOperatorThatTheModelLacksIsToldNotRefused) {
  const Model model = FullyConnected(Random(32), {4, 8});
  const std::string all = Rule(".*", "*", kMinMax, kChannel, kDynamic);
  const std::string none =
      R"({"regex": ".*", "operation": "SOFTMAX", "algorithm_key":
          "no_quantize"})";
  const auto made = Made(model, all + "," + none);
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->rules.size(), 2u);
  EXPECT_THAT(made->rules[1].problem, HasSubstr("no SOFTMAX among"));
  // But where it is there, a regex that misses it is a mistake.
  EXPECT_FALSE(Made(
      model,
      all + "," + Rule("zz", "FULLY_CONNECTED", kMinMax, kChannel4, kDynamic)));
}

TEST(Quantize, AConstantOfTwoRulesIsStoredTwice) {
  const Model model([](Builder& b) -> Ends {
    const TensorId x = b.Input("x", Type::kFloat32, {2, 8});
    const TensorId w = b.Floats("w", {8, 8}, Random(64));
    return {{x},
            {b.Op(OpCode::kFullyConnected, {x, w}, {}, "first"),
             b.Op(OpCode::kFullyConnected, {x, w}, {}, "second")}};
  });
  const auto made =
      Made(model, Rule("first", "*", kMinMax, kChannel, kDynamic) + "," +
                      Rule("second", "*", kMinMax, kChannel4, kDynamic));
  ASSERT_TRUE(made) << made.error().message;
  const graph::Subgraph& main = made->graph.subgraphs[0];
  EXPECT_EQ(main.tensors[main.ops[0].inputs[1]].type, Type::kInt8);
  EXPECT_EQ(main.tensors[main.ops[1].inputs[1]].type, Type::kInt4);
}

TEST(Quantize, RulesThatSkipChecksCannotBreakIt) {
  const Model model([](Builder& b) -> Ends {
    const TensorId x = b.Input("x", Type::kFloat32, {4});
    const TensorId c = b.Floats("c", {}, Random(1));
    return {{x}, {b.Op(OpCode::kAdd, {x, c}, {}, "y")}};
  });
  for (const char* bits : {"0", "-3", "4", "7", "64", "99", "8589934600"}) {
    for (const char* algorithm : {"min_max_uniform_quantize", "OCTAV"}) {
      const auto made = Made(
          model,
          Rule(".*", "*", algorithm, fmt::format(R"("num_bits": {})", bits),
               fmt::format(R"(, "compute_precision": "INTEGER",
                              "skip_checks": true, "activation_tensor_config":
                              {{"num_bits": {}}})",
                           bits)),
          Behaviour::kCompat);
      EXPECT_FALSE(made) << bits;
    }
  }
  for (const Behaviour behaviour : {Behaviour::kCorrect, Behaviour::kCompat}) {
    const auto made = Made(model,
                           Rule(".*", "*", "OCTAV", kChannel,
                                R"(, "compute_precision": "INTEGER",
                     "activation_tensor_config": {"num_bits": 16})"),
                           behaviour);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(Find(made->graph, "c")->type, Type::kInt16);
    EXPECT_EQ(BytesOf(made->graph, *Find(made->graph, "c")).size(), 2u);
  }
}

TEST(Quantize, MissingStatisticsAreNamed) {
  Model model = FullyConnected(Random(32), {4, 8});
  model.statistics.of.erase("y");
  const auto made = Made(model, Rule(".*", "*", kMinMax, kChannel, kStatic));
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("tensor \"y\""));
}

}  // namespace
}  // namespace lathe::quant
