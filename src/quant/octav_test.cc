#include <cmath>

#include "gmock/gmock.h"
#include "src/quant/test_support.h"

namespace lathe::quant {
namespace {

using enum Grouping::Kind;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Octav, FollowsNewtonsMethodByHand) {
  // 2 bits: k = 1/48. From s = 1 nothing is selected: s = 0. Then all are, the
  // zeros twice: 0.75 / (4/48 + 6 * 47/48) = 0.1259. Then two: 0.75 / (4/48 +
  // 2 * 47/48) = 0.3673. Then one: 0.5 / (4/48 + 47/48) = 8/17, which stays.
  for (const Behaviour behaviour : {Behaviour::kCorrect, Behaviour::kCompat}) {
    const Quantized got = QuantizeAll(
        {.algorithm = Algorithm::kOctav, .bits = 2, .behaviour = behaviour},
        {0.5f, -0.25f, 0, 0}, {4});
    EXPECT_NEAR(got.params.scale[0], 8.0 / 17, 1e-7);
    EXPECT_THAT(got.q, ElementsAre(1, -1, 0, 0));
  }
}

TEST(Octav, AGroupOfOneMagnitudeKeepsIt) {
  // All selected from the first round on: sum 4 / n 2.
  const Quantized got =
      QuantizeAll({.algorithm = Algorithm::kOctav, .bits = 4}, {2, -2}, {2});
  EXPECT_FLOAT_EQ(static_cast<float>(got.params.scale[0]), 2.0f / 7);
  EXPECT_THAT(got.q, ElementsAre(7, -7));
}

TEST(Octav, FourBitsReachMinusEightOnlyAsTheOlderTool) {
  std::vector<float> values(64, 0.1f);
  values[0] = -1;  // Far outside the clip.
  WeightConfig config = {.algorithm = Algorithm::kOctav, .bits = 4};
  EXPECT_EQ(QuantizeAll(config, values, {64}).q[0], -7);
  config.behaviour = Behaviour::kCompat;
  EXPECT_EQ(QuantizeAll(config, values, {64}).q[0], -8);
}

TEST(Octav, IsCloserThanMinMaxAtFourBits) {
  const std::vector<float> values = Normal(16 * 4096, 0.02f, 1);
  WeightConfig config = {.bits = 4, .grouping = {.kind = kAxis}};
  const double plain =
      SquaredDistance(QuantizeAll(config, values, {16, 4096}).back, values);
  config.algorithm = Algorithm::kOctav;
  const double octav =
      SquaredDistance(QuantizeAll(config, values, {16, 4096}).back, values);
  // 1.23e-2 and 2.50e-2 in appendix B of the reference.
  EXPECT_LT(octav, 0.55 * plain);
}

TEST(Octav, AZeroGroupHasAPositiveScale) {
  for (const Grouping& grouping :
       {Grouping{.kind = kAxis}, Grouping{.kind = kBlock, .block = 4}}) {
    const Quantized got = QuantizeAll(
        {.algorithm = Algorithm::kOctav, .bits = 4, .grouping = grouping},
        {0, 0, 0, 0, 1, 2, 3, 4}, {2, 4});
    EXPECT_TRUE(std::isnormal(static_cast<float>(got.params.scale[0])));
    EXPECT_EQ(got.q[0], 0);
  }
  const Quantized older = QuantizeAll({.algorithm = Algorithm::kOctav,
                                       .bits = 4,
                                       .behaviour = Behaviour::kCompat},
                                      {0, 0}, {2});
  EXPECT_EQ(older.params.scale[0], 0);
}

TEST(Octav, IsSymmetricOnly) {
  EXPECT_THAT(QuantizeAll({.algorithm = Algorithm::kOctav, .symmetric = false},
                          {1, 2}, {2})
                  .error,
              HasSubstr("symmetric"));
}

}  // namespace
}  // namespace lathe::quant
