#include "src/quant/hadamard.h"

#include "gmock/gmock.h"
#include "src/quant/test_support.h"

namespace lathe::quant {
namespace {

using enum Grouping::Kind;
using testing::ElementsAre;

TEST(Hadamard, TheSizeIsTheLargestPowerOfTwoThatDividesAndIsAllowed) {
  EXPECT_EQ(HadamardSize(4096, 0), 4096);
  EXPECT_EQ(HadamardSize(48, 0), 16);
  EXPECT_EQ(HadamardSize(48, 10), 8);
  EXPECT_EQ(HadamardSize(48, 1), 1);
  EXPECT_EQ(HadamardSize(33, 0), 1);
}

TEST(Hadamard, RotatesByHandAndBack) {
  // Sums with signs ++++, +-+-, ++--, +--+, halved.
  std::vector<float> x = {1, 2, 3, 4, 8, 0, 0, 0};
  RotateAll(x, 4);
  EXPECT_THAT(x, ElementsAre(5, -1, -2, 0, 4, 4, 4, 4));
  RotateAll(x, 4);
  EXPECT_THAT(x, ElementsAre(1, 2, 3, 4, 8, 0, 0, 0));
}

TEST(Hadamard, QuantizesTheRotatedWeight) {
  // Rotated: one magnitude only, so OCTAV keeps it.
  const Quantized got = QuantizeAll(
      {.algorithm = Algorithm::kHadamard, .bits = 4}, {8, 0, 0, 0}, {1, 4});
  EXPECT_EQ(got.params.hadamard_size, 4);
  EXPECT_THAT(got.q, ElementsAre(7, 7, 7, 7));
  EXPECT_NEAR(got.back[0], 4, 1e-5);
}

TEST(Hadamard, EveryGroupingQuantizesTheSameRotatedValues) {
  const std::vector<float> values = Normal(6 * 96, 1, 4);
  std::vector<float> rotated = values;
  RotateAll(rotated, 32);
  ThreadPool pool(2);
  for (const Grouping& grouping :
       {Grouping{}, Grouping{.kind = kAxis, .axis = 0},
        Grouping{.kind = kAxis, .axis = 1},
        Grouping{.kind = kBlock, .block = 32},
        Grouping{.kind = kBlock, .block = 48}}) {
    WeightConfig config = {.algorithm = Algorithm::kDecomposedHadamard,
                           .bits = 4,
                           .grouping = grouping};
    const Quantized got = QuantizeAll(config, values, {6, 96}, {}, &pool);
    config.algorithm = Algorithm::kOctav;
    const Quantized want = QuantizeAll(config, rotated, {6, 96});
    EXPECT_EQ(got.params.scale, want.params.scale);
    EXPECT_EQ(got.q, want.q);
    EXPECT_EQ(got.params.hadamard_size, 32);
  }
}

TEST(Hadamard, AnOddWidthIsNotRotated) {
  WeightConfig config = {.algorithm = Algorithm::kHadamard, .bits = 4};
  const Quantized got = QuantizeAll(config, {1, 2, 3}, {1, 3});
  EXPECT_EQ(got.error, "");
  EXPECT_EQ(got.params.hadamard_size, 0);
  config.behaviour = Behaviour::kCompat;
  EXPECT_NE(QuantizeAll(config, {1, 2, 3}, {1, 3}).error, "");
}

}  // namespace
}  // namespace lathe::quant
