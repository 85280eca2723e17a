#include <cmath>

#include "gmock/gmock.h"
#include "src/quant/test_support.h"

namespace lathe::quant {
namespace {

using enum Grouping::Kind;
using testing::HasSubstr;

WeightConfig Mse(int bits, Behaviour behaviour = Behaviour::kCorrect) {
  return {.algorithm = Algorithm::kMse, .bits = bits, .behaviour = behaviour};
}

TEST(Mse, OfTheOlderToolIsAMultipleOfTheRootMeanSquare) {
  // sqrt((9 + 16) / 2) = 3.5355339.
  EXPECT_NEAR(
      QuantizeAll(Mse(4, Behaviour::kCompat), {3, -4}, {2}).params.scale[0],
      0.37755 * 3.5355339, 1e-6);
  EXPECT_NEAR(
      QuantizeAll(Mse(8, Behaviour::kCompat), {3, -4}, {2}).params.scale[0],
      0.05408 * 3.5355339, 1e-6);
  EXPECT_THAT(QuantizeAll(Mse(2, Behaviour::kCompat), {3, -4}, {2}).error,
              HasSubstr("not 2"));
}

TEST(Mse, FindsTheClipByHand) {
  // 2 bits, values -2 to 1 steps: {1, 1, 1, -3}. With a clip of c the ones
  // become c for c <= 2 and -3 becomes -2c: 3 (1 - c)^2 + (3 - 2c)^2 is least
  // at c = 9/7, not the 3 of min/max nor a 1. The grid has 110/256 of 3.
  const Quantized got = QuantizeAll(Mse(2), {1, 1, 1, -3}, {4});
  EXPECT_NEAR(got.params.scale[0], 9.0 / 7, 3.0 / 256);
  EXPECT_THAT(got.q, testing::ElementsAre(1, 1, 1, -2));
}

TEST(Mse, IsNeverFurtherThanMinMaxAndCloseToTheBestKnown) {
  const std::vector<float> values = Normal(64 * 4096, 0.02f, 1);
  double energy = 0;
  for (const float v : values) energy += static_cast<double>(v * v);
  // Appendix B of the reference: 71 clips give 1.18e-2 and 7.38e-5. Leaving
  // out -8 costs a tenth at 4 bits.
  for (const auto& [bits, limit] : {std::pair{4, 1.31e-2}, {8, 7.5e-5}}) {
    WeightConfig config = Mse(bits);
    config.grouping = {.kind = kAxis};
    const double best =
        SquaredDistance(QuantizeAll(config, values, {64, 4096}).back, values);
    EXPECT_LT(best / energy, limit);
    config.algorithm = Algorithm::kMinMax;
    EXPECT_LE(best, SquaredDistance(
                        QuantizeAll(config, values, {64, 4096}).back, values));
  }
}

TEST(Mse, FindsAClipFarBelowAnOutlier) {
  std::vector<float> values = Normal(100000, 0.01f, 3);
  values[7] = 0.5f;
  const Quantized got = QuantizeAll(Mse(4), values, {100000});
  EXPECT_LT(got.params.scale[0] * 7, 0.06);
  EXPECT_GT(got.params.scale[0] * 7, 0.02);
}

// Reference A16.
TEST(Mse, SearchesBlocksWithTheScaleAsStored) {
  const std::vector<float> values = Normal(64 * 64, 0.02f, 5);
  WeightConfig config = Mse(4);
  config.grouping = {.kind = kBlock, .block = 32};
  const Quantized got = QuantizeAll(config, values, {64, 64});
  ASSERT_EQ(got.params.scale.size(), 128u);
  for (const double scale : got.params.scale) {
    EXPECT_EQ(BlockScale(static_cast<float>(scale)), scale);
  }
  config.algorithm = Algorithm::kMinMax;
  EXPECT_LT(
      SquaredDistance(got.back, values),
      SquaredDistance(QuantizeAll(config, values, {64, 64}).back, values));
}

TEST(Mse, AZeroGroupHasAPositiveScale) {
  const Quantized got = QuantizeAll(Mse(8), {0, 0, 0}, {3});
  EXPECT_TRUE(std::isnormal(static_cast<float>(got.params.scale[0])));
  EXPECT_THAT(got.q, testing::Each(0));
}

}  // namespace
}  // namespace lathe::quant
