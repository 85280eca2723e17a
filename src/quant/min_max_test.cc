#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "src/quant/test_support.h"

namespace lathe::quant {
namespace {

using enum Grouping::Kind;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(MinMax, OneScaleForEachRow) {
  const Quantized got =
      QuantizeAll({.grouping = {.kind = kAxis, .axis = 0}},
                  {1, -2.54f, 0.5f, 0.3f, 1.27f, -0.01f}, {2, 3});
  EXPECT_THAT(got.params.scale, ElementsAre(2.54f / 127, 1.27f / 127));
  EXPECT_THAT(got.params.zero_point, Each(0));
  EXPECT_THAT(got.q, ElementsAre(50, -127, 25, 30, 127, -1));
}

TEST(MinMax, OneScaleForEachChannelOfADepthwiseFilter) {
  // [1, 2, 1, 3]: channels lie across.
  const Quantized got = QuantizeAll({.grouping = {.kind = kAxis, .axis = 3}},
                                    {1, -127, 3, -2, 5, 381}, {1, 2, 1, 3});
  EXPECT_THAT(got.params.scale, ElementsAre(2.0f / 127, 1, 3));
  EXPECT_THAT(got.q, ElementsAre(64, -127, 1, -127, 5, 127));
}

TEST(MinMax, OneScaleForEachRowOfABatch) {
  // [2, 2, 2] with axis 1: group 0 is 127, 1, -3, 4.
  const Quantized got = QuantizeAll({.grouping = {.kind = kAxis, .axis = 1}},
                                    {127, 1, 2, 3, -3, 4, 254, 0}, {2, 2, 2});
  EXPECT_THAT(got.params.scale, ElementsAre(1, 2));
  EXPECT_THAT(got.q, ElementsAre(127, 1, 1, 2, -3, 4, 127, 0));
}

TEST(MinMax, AsymmetricScalesCoverFromTheLeastToTheMost) {
  // -1 to 1.55 in 255 steps of 0.01; zero at -128 + 100.
  const Quantized got =
      QuantizeAll({.symmetric = false}, {-1, 1.55f, 0, 0.1f}, {4});
  EXPECT_THAT(got.params.zero_point, ElementsAre(-28));
  EXPECT_FLOAT_EQ(static_cast<float>(got.params.scale[0]), 0.01f);
  EXPECT_THAT(got.q, ElementsAre(-128, 127, -28, -18));
}

TEST(MinMax, BlocksDivideByTheRoundedScale) {
  // 0.7 / 7 is 0.1, whose bfloat16 is 205 / 2048.
  const Quantized got =
      QuantizeAll({.bits = 4, .grouping = {.kind = kBlock, .block = 2}},
                  {0.7f, -0.35f, 0.05f, 0.2f}, {1, 4});
  EXPECT_EQ(got.params.scale[0], 205.0 / 2048);
  // 0.35 / 0.1000977 is 3.497.
  EXPECT_THAT(got.q, ElementsAre(7, -3, 2, 7));
}

// Reference A1.
TEST(MinMax, ATinyBlockGetsTheSmallestNormalHalf) {
  const WeightConfig config = {.bits = 4,
                               .grouping = {.kind = kBlock, .block = 2}};
  const std::vector<float> values = {0, 0, 1e-4f, -1e-5f};
  const Quantized got = QuantizeAll(config, values, {2, 2});
  EXPECT_THAT(got.params.scale, ElementsAre(0x1p-14, 0x1p-14));
  EXPECT_THAT(got.q, ElementsAre(0, 0, 2, 0));

  WeightConfig compat = config;
  compat.behaviour = Behaviour::kCompat;
  const Quantized older = QuantizeAll(compat, values, {2, 2});
  EXPECT_EQ(older.params.scale[0], 0);
  EXPECT_EQ(older.q[0], 0);
}

TEST(MinMax, AHugeBlockHasAFiniteScale) {
  const Quantized got = QuantizeAll(
      {.bits = 4, .grouping = {.kind = kBlock, .block = 2}}, {1e6f, 1}, {1, 2});
  EXPECT_THAT(got.params.scale, ElementsAre(65280));
}

TEST(MinMax, SaysWhereAValueIsNotFinite) {
  std::vector<float> values(6, 1.0f);
  values[5] = std::numeric_limits<float>::quiet_NaN();
  WeightConfig config = {.grouping = {.kind = kAxis}};
  EXPECT_THAT(QuantizeAll(config, values, {2, 3}).error,
              HasSubstr("value at [1, 2] is nan"));
  values[0] = -std::numeric_limits<float>::infinity();
  EXPECT_THAT(QuantizeAll(config, values, {2, 3}).error,
              HasSubstr("value at [0, 0] is -inf"));

  // The older tool goes on: the row is zeros with a scale that is not finite.
  config.behaviour = Behaviour::kCompat;
  const Quantized older = QuantizeAll(config, values, {2, 3});
  EXPECT_TRUE(std::isinf(older.params.scale[0]));
  EXPECT_TRUE(std::isnan(older.params.scale[1]));
  EXPECT_THAT(older.q, Each(0));
}

TEST(MinMax, LongGroupsAreFoundInPieces) {
  std::vector<float> values(300000, 0.5f);
  values[299999] = -127;
  values[131072] = 63;
  ThreadPool pool(3);
  const Quantized got = QuantizeAll({}, values, {300, 1000}, {}, &pool);
  EXPECT_THAT(got.params.scale, ElementsAre(1));
  EXPECT_EQ(got.q[299999], -127);
  EXPECT_EQ(got.q[131072], 63);
  EXPECT_EQ(got.q[5], 0);
}

}  // namespace
}  // namespace lathe::quant
