#include <limits>

#include "gmock/gmock.h"
#include "src/quant/test_support.h"

namespace lathe::quant {
namespace {

using testing::HasSubstr;

constexpr WeightConfig kHalves = {.algorithm = Algorithm::kFloatCasting,
                                  .bits = 16};

TEST(FloatCast, RoundsToTheNearestHalf) {
  const Quantized got =
      QuantizeAll(kHalves, {1, -2, 65504, 1 + 0x1p-11f}, {2, 2});
  EXPECT_EQ(got.error, "");
  ASSERT_EQ(got.bytes.size(), 8u);
  EXPECT_EQ(got.bytes[0], std::byte{0x00});
  EXPECT_EQ(got.bytes[1], std::byte{0x3C});
  EXPECT_THAT(got.back, testing::ElementsAre(1, -2, 65504, 1));
}

// Reference A28.
TEST(FloatCast, RefusesWhatIsBeyondTheLargestHalf) {
  // 65519 still rounds to 65504.
  EXPECT_EQ(QuantizeAll(kHalves, {65519, 1}, {2, 1}).error, "");
  EXPECT_THAT(QuantizeAll(kHalves, {1, -70000}, {2, 1}).error,
              HasSubstr("value at [1, 0] is -70000"));
  EXPECT_THAT(
      QuantizeAll(kHalves, {std::numeric_limits<float>::quiet_NaN()}, {1})
          .error,
      HasSubstr("value at [0] is nan"));

  WeightConfig compat = kHalves;
  compat.behaviour = Behaviour::kCompat;
  EXPECT_EQ(QuantizeAll(compat, {-70000}, {1}).back[0],
            -std::numeric_limits<float>::infinity());
}

TEST(FloatCast, KnowsSixteenBitsOnly) {
  WeightConfig config = kHalves;
  config.bits = 8;
  EXPECT_THAT(QuantizeAll(config, {1}, {1}).error, HasSubstr("8 bits"));
}

}  // namespace
}  // namespace lathe::quant
