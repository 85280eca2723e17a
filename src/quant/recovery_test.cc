#include "gmock/gmock.h"
#include "src/quant/test_support.h"

namespace lathe::quant {
namespace {

using enum Grouping::Kind;
using testing::ElementsAre;
using testing::HasSubstr;

WeightConfig Recovery(int bits) {
  return {.algorithm = Algorithm::kRecovery, .bits = bits};
}

TEST(Recovery, TheStepIsTheSmallestGapOfMagnitudes) {
  // 0, 0.5, 1.0, 1.5.
  const Quantized got = QuantizeAll(Recovery(4), {0.5f, -1, 1.5f}, {3});
  EXPECT_THAT(got.params.scale, ElementsAre(0.5));
  EXPECT_THAT(got.q, ElementsAre(1, -2, 3));
}

TEST(Recovery, EachRowHasItsOwnStep) {
  WeightConfig config = Recovery(8);
  config.grouping = {.kind = kAxis};
  const Quantized got =
      QuantizeAll(config, {0.25f, -31.75f, 2, 127 * 2.0f}, {2, 2});
  EXPECT_THAT(got.params.scale, ElementsAre(0.25, 2));
  EXPECT_THAT(got.q, ElementsAre(1, -127, 1, 127));
}

TEST(Recovery, KeepsMinusEight) {
  const Quantized got = QuantizeAll(Recovery(4), {-8, 1, 7}, {3});
  EXPECT_THAT(got.q, ElementsAre(-8, 1, 7));
}

TEST(Recovery, RefusesWhatWasNeverQuantized) {
  const std::vector<float> values = Normal(100, 1, 1);
  EXPECT_THAT(QuantizeAll(Recovery(4), values, {100}).error,
              HasSubstr("100 distinct values"));
  // Few values, but no grid: the gap is 0.3, and 0.7 is no multiple.
  EXPECT_THAT(QuantizeAll(Recovery(4), {0.7f, 1}, {2}).error,
              HasSubstr("from any grid"));
  WeightConfig config = Recovery(4);
  config.skip_checks = true;
  EXPECT_EQ(QuantizeAll(config, values, {100}).error, "");
}

TEST(Recovery, BlocksAreDividedByTheScaleThatIsStored) {
  // 0.3 is no bfloat16: 0.30078125 is.
  WeightConfig config = Recovery(4);
  config.grouping = {.kind = kBlock, .block = 2};
  config.skip_checks = true;
  const std::vector<float> values = {0.3f, 1.8f};
  EXPECT_EQ(QuantizeAll(config, values, {1, 2}).params.scale[0], 0.30078125);
  // The older tool divides by the step itself, and rounds what it stores.
  config.behaviour = Behaviour::kCompat;
  EXPECT_EQ(QuantizeAll(config, values, {1, 2}).params.scale[0], 0.3f);
}

TEST(Recovery, AZeroGroupHasAPositiveScale) {
  EXPECT_EQ(QuantizeAll(Recovery(4), {0, 0}, {2}).params.scale[0], 1e-9f);
}

}  // namespace
}  // namespace lathe::quant
