// Products of quantized weights in forms that few files have.

#include <cmath>

#include "gmock/gmock.h"
#include "src/plan/test_support.h"

namespace lathe::plan {
namespace {

using testing::HasSubstr;

template <typename T>
std::vector<T> ValuesOf(const Bench& bench, std::string_view name) {
  const int32_t tensor =
      static_cast<int32_t>(&bench.Named(name) - bench.plan().tensors.data());
  const auto bytes = bench.Bytes(tensor);
  const T* values = reinterpret_cast<const T*>(bytes.data());
  return {values, values + bytes.size() / sizeof(T)};
}

template <typename T>
void Set(const Bench& bench, size_t input, const std::vector<T>& values) {
  const auto bytes = bench.Bytes(bench.plan().inputs[input]);
  ASSERT_EQ(bytes.size(), values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
}

TEST(BatchMatmul, TakesAScalePerChannelOfItsSecondOperand) {
  for (const Isa isa : IsasHere()) {
    SCOPED_TRACE(Name(isa));
    PlanOptions options;
    options.isa = isa;
    const Bench bench(R"(graph main
input a: int8[1,2,2] scale[1] zero[1]
const b: int8[1,2,3] scale[1,2,0.5] zero[0,0,0] axis[2] = 1 2 4 -3 1 8
y: int8[1,2,3] scale[1] zero[-5] = BATCH_MATMUL(a, b)
output y
)",
                      options);
    ASSERT_TRUE(bench.status()) << bench.status().error().message;
    Set<int8_t>(bench, 0, {2, 3, 1, -4});
    ASSERT_TRUE(bench.Run());
    // a - 1 is {1, 2}, {0, -5}.
    EXPECT_EQ(
        ValuesOf<int8_t>(bench, "y"),
        (std::vector<int8_t>{-5 - 5, 8 - 5, 10 - 5, 15 - 5, -10 - 5, -20 - 5}));
  }
}

// Layers of one x; "a" lines are asymmetric.
std::string Layers(std::string_view which) {
  std::string text = "graph main\ninput x: float32[3,8]\n";
  for (size_t i = 0; i < which.size(); ++i) {
    text += fmt::format("const w{0}: int8[2,8] scale[0.{1}] zero[0] =", i,
                        which[i] == 'b' ? 2 : 1);
    for (size_t j = 0; j < 16; ++j) {
      text +=
          fmt::format(" {}", static_cast<int>((j * 37 + which[i]) % 255) - 127);
    }
    text += fmt::format(
        "\ny{0}: float32[3,2] = FULLY_CONNECTED(x, w{0}){1}\noutput y{0}\n", i,
        which[i] == 'a' ? " {asymmetric_quantize_inputs=true}" : "");
  }
  return text;
}

TEST(DynamicLayers, QuantizeTheirInputOnceForAllThatTakeItAlike) {
  for (const Isa isa : IsasHere()) {
    SCOPED_TRACE(Name(isa));
    PlanOptions options;
    options.isa = isa;
    const std::string which = "bcad";
    const Bench all(Layers(which), options);
    ASSERT_TRUE(all.status()) << all.status().error().message;
    std::vector<float> x(24);
    for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(1.0f + i * i);
    Set(all, 0, x);
    ASSERT_TRUE(all.Run());
    std::vector<int32_t> shared;
    for (const Step& step : all.plan().steps) shared.push_back(step.shared);
    EXPECT_EQ(shared, (std::vector<int32_t>{0, 0, 1, 0}));
    for (size_t i = 0; i < which.size(); ++i) {
      SCOPED_TRACE(which[i]);
      const Bench one(Layers(which.substr(i, 1)), options);
      ASSERT_TRUE(one.status()) << one.status().error().message;
      EXPECT_EQ(one.plan().steps[0].shared, -1);
      Set(one, 0, x);
      ASSERT_TRUE(one.Run());
      EXPECT_EQ(ValuesOf<float>(all, fmt::format("y{}", i)),
                ValuesOf<float>(one, "y0"));
    }
  }
}

TEST(DynamicLayers, OfAVariableQuantizeItEachTime) {
  std::string text = Layers("bc");
  const std::string_view input = "input x";
  text.replace(text.find(input), input.size(), "variable x");
  const Bench bench(text, {});
  ASSERT_TRUE(bench.status()) << bench.status().error().message;
  ASSERT_EQ(bench.plan().steps.size(), 2u);
  for (const Step& step : bench.plan().steps) EXPECT_EQ(step.shared, -1);
}

constexpr std::string_view kShuffled = R"(graph main
input x: uint8[2,32] scale[0.5] zero[128]
const w: uint8[8,32] scale[0.25] zero[128] = 0x)";
constexpr std::string_view kProduct = R"(
const bias: int32[8] = 0 1 2 3 4 5 6 7
y: int16[2,8] scale[0.125] zero[0], space: uint8[2,32] = FULLY_CONNECTED(x, w, bias) {weights_format=1}
output y
output space
)";

TEST(ShuffledWeights, AreTilesOfFourRowsAndSixteenColumns) {
  std::string hex;
  std::vector<int> weights(8 * 32);
  for (size_t at = 0; at < weights.size(); ++at) {
    const int value = static_cast<int>(at * 7 % 256) - 128;
    hex += fmt::format("{:02x}", static_cast<uint8_t>(value));
    const size_t tile = at / 64, row = tile / 2 * 4 + at % 64 / 16;
    weights[row * 32 + tile % 2 * 16 + at % 16] = value;
  }
  for (const Isa isa : IsasHere()) {
    SCOPED_TRACE(Name(isa));
    PlanOptions options;
    options.isa = isa;
    const Bench bench(std::string(kShuffled) + hex + std::string(kProduct),
                      options);
    ASSERT_TRUE(bench.status()) << bench.status().error().message;
    std::vector<uint8_t> x(64);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint8_t>(i * 37);
    Set(bench, 0, x);
    ASSERT_TRUE(bench.Run());
    std::vector<int16_t> wanted;
    for (size_t i = 0; i < 2; ++i) {
      for (size_t j = 0; j < 8; ++j) {
        int sum = static_cast<int>(j);
        for (size_t p = 0; p < 32; ++p) {
          sum += (x[i * 32 + p] - 128) * weights[j * 32 + p];
        }
        wanted.push_back(static_cast<int16_t>(std::clamp(sum, -32768, 32767)));
      }
    }
    EXPECT_EQ(ValuesOf<int16_t>(bench, "y"), wanted);
    EXPECT_EQ(ValuesOf<uint8_t>(bench, "space"), std::vector<uint8_t>(64, 0));
  }
}

TEST(ShuffledWeights, AreRefusedWhenTheyAreNoTilesOrHaveOtherZeroPoints) {
  const auto error = [](std::string_view from, std::string_view to) {
    std::string text =
        std::string(kShuffled) + std::string(512, '0') + std::string(kProduct);
    for (size_t at; (at = text.find(from)) != std::string::npos;) {
      text.replace(at, from.size(), to);
    }
    const Bench bench(text);
    return bench.status() ? "" : bench.status().error().message;
  };
  EXPECT_THAT(error("scale[0.5] zero[128]", "scale[0.5] zero[7]"),
              HasSubstr("zero point 7 of \"x\"; shuffled weights allow only "
                        "128"));
  EXPECT_THAT(error("const w: uint8[8,32] scale[0.25] zero[128] = 0x" +
                        std::string(512, '0'),
                    "const w: uint8[8,8] scale[0.25] zero[128]"),
              HasSubstr("allowed are constant uint8 in tiles of 4 by 16"));
}

}  // namespace
}  // namespace lathe::plan
