#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "src/quant/test_support.h"

namespace lathe::quant {
namespace {

using enum Grouping::Kind;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Oscar, WithoutStatisticsClipsWhereTheErrorIsLeast) {
  // 2 bits: c^2 2/12 + (4 - c)^2 is least at c = 24/7, where it is 16/7; not
  // clipping costs 16/6, and clipping the 1 as well more than 9.
  const Quantized got =
      QuantizeAll({.algorithm = Algorithm::kOscar, .bits = 2}, {4, -1}, {1, 2});
  EXPECT_NEAR(got.params.scale[0], 24.0 / 7, 1e-9);
  EXPECT_TRUE(got.params.column_scale.empty());
  EXPECT_THAT(got.q, ElementsAre(1, 0));
}

TEST(Oscar, TheOlderToolMultipliesByOnesWhereItFindsNothing) {
  const WeightConfig config = {.algorithm = Algorithm::kOscar,
                               .bits = 4,
                               .behaviour = Behaviour::kCompat};
  EXPECT_THAT(QuantizeAll(config, {4, -1}, {1, 2}).params.column_scale,
              ElementsAre(1, 1));
}

TEST(Oscar, BalancesColumnsByHand) {
  // mu = (1, 4), A = (2, 0.02): the ratio of the scales starts at
  // sqrt(40). The first column holds every maximum, so A_eff = (2, 0.005) and
  // each of three rounds halves the way, in logarithms, to sqrt(80): the ratio
  // is sqrt(80)^(7/8) sqrt(40)^(1/8). J falls from 34 to 2.44.
  const std::vector<double> mu2 = {1, 16};
  const Quantized got = QuantizeAll(
      {.algorithm = Algorithm::kOscar, .bits = 8, .grouping = {.kind = kAxis}},
      {1, 0.1f, -1, 0.1f}, {2, 2}, {.mu2 = mu2});
  ASSERT_EQ(got.params.column_scale.size(), 2u);
  const double s0 = got.params.column_scale[0];
  const double s1 = got.params.column_scale[1];
  EXPECT_NEAR(s1 / s0, 8.56506, 1e-4);
  EXPECT_NEAR(s0 * s1, 1, 1e-9);
  // Values are those of the scaled weight.
  EXPECT_NEAR(got.back[0], s0, 0.01 * s0);
  EXPECT_NEAR(got.back[1], 0.1 * s1, 0.01 * s0);
}

TEST(Oscar, KeepsColumnsWhereScalingDoesNotHelp) {
  const std::vector<double> mu2 = {16, 1};
  const Quantized got = QuantizeAll({.algorithm = Algorithm::kOscar, .bits = 4},
                                    {1, 1, 1, 1}, {2, 2}, {.mu2 = mu2});
  EXPECT_TRUE(got.params.column_scale.empty());
}

TEST(Oscar, LowersTheErrorThatInputsFeel) {
  constexpr size_t kD = 128, kRows = 32;
  const std::vector<float> values = Normal(kRows * kD, 0.02f, 1);
  std::vector<double> mu2(kD, 0.01);
  for (size_t j = 0; j < kD; j += 16) mu2[j] = 100;
  WeightConfig config = {.bits = 4, .grouping = {.kind = kAxis}};
  const auto error = [&] {
    const Quantized got =
        QuantizeAll(config, values, {kRows, kD}, {.mu2 = mu2});
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const double s = got.params.column_scale.empty()
                           ? 1.0
                           : got.params.column_scale[i % kD];
      const double e =
          static_cast<double>(got.back[i]) / s - static_cast<double>(values[i]);
      sum += e * e * mu2[i % kD];
    }
    return sum;
  };
  const double plain = error();
  config.algorithm = Algorithm::kOscar;
  EXPECT_LT(error(), plain / 2);
}

TEST(Oscar, GroupsOfZerosHaveScalesThatCanBeStored) {
  const Quantized got = QuantizeAll({.algorithm = Algorithm::kOscar,
                                     .bits = 4,
                                     .grouping = {.kind = kBlock, .block = 2}},
                                    {0, 0, 1, 2}, {1, 4});
  EXPECT_EQ(got.params.scale[0], 0x1p-14);
  EXPECT_THAT(got.q, ElementsAre(0, 0, testing::Gt(0), 7));
}

TEST(Oscar, RefusesStatisticsThatDoNotFit) {
  const WeightConfig config = {.algorithm = Algorithm::kOscar, .bits = 4};
  const std::vector<double> three(3, 1.0);
  EXPECT_THAT(QuantizeAll(config, {1, 2}, {1, 2}, {.mu2 = three}).error,
              HasSubstr("3 inputs for 2 columns"));
  const std::vector<double> bad = {1, std::numeric_limits<double>::infinity()};
  EXPECT_THAT(QuantizeAll(config, {1, 2}, {1, 2}, {.mu2 = bad}).error,
              HasSubstr("not finite"));
  EXPECT_THAT(QuantizeAll(config, {1, 2}, {2}).error, HasSubstr("matrices"));
}

}  // namespace
}  // namespace lathe::quant
