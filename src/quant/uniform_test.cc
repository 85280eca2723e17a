#include "src/quant/uniform.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace lathe::quant {
namespace {

void ExpectRange(IntegerRange range, int64_t low, int64_t high) {
  EXPECT_EQ(range.low, low);
  EXPECT_EQ(range.high, high);
}

TEST(Uniform, OnlySymmetricTypesOfEightBitsAndMoreAreNarrow) {
  ExpectRange(RangeOf(2, true, false), -2, 1);
  ExpectRange(RangeOf(4, true, false), -8, 7);
  ExpectRange(RangeOf(8, true, false), -127, 127);
  ExpectRange(RangeOf(8, false, false), -128, 127);
  ExpectRange(RangeOf(8, false, true), 0, 255);
  ExpectRange(RangeOf(16, true, false), -32767, 32767);
  ExpectRange(RangeOf(32, true, false), -2147483647, 2147483647);
  ExpectRange(RangeOf(64, true, false), -std::numeric_limits<int64_t>::max(),
              std::numeric_limits<int64_t>::max());
  ExpectRange(RangeOf(64, false, false), std::numeric_limits<int64_t>::min(),
              std::numeric_limits<int64_t>::max());
}

TEST(Uniform, SymmetricScaleComesFromTheLargerEnd) {
  EXPECT_EQ(FromRange(-2.54, 1, 8, true, false).scale, 2.54 / 127);
  EXPECT_EQ(FromRange(-1, 3.5, 4, true, false).scale, 0.5);
  EXPECT_EQ(FromRange(-1, 3.5, 4, true, false).zero_point, 0);
}

TEST(Uniform, ARangeIsAtLeastABillionthWide) {
  EXPECT_EQ(FromRange(0, 0, 8, true, false).scale, 1e-9 / 127);
  EXPECT_EQ(FromRange(0, 0, 8, false, false).scale, 1e-9 / 255);
  EXPECT_EQ(FromRange(0, 0, 8, false, false).zero_point, -128);
}

TEST(Uniform, AsymmetricRangesContainZero) {
  // [1, 5.1] becomes [0, 5.1].
  const ScaleZeroPoint above = FromRange(1, 5.1, 8, false, false);
  EXPECT_DOUBLE_EQ(above.scale, 0.02);
  EXPECT_EQ(above.zero_point, -128);
  // [-5.1, -1] becomes [-5.1, 0].
  const ScaleZeroPoint below = FromRange(-5.1, -1, 8, false, false);
  EXPECT_DOUBLE_EQ(below.scale, 0.02);
  EXPECT_EQ(below.zero_point, 127);
  // -1 / (4 / 255) = -63.75, and -128 + 63.75 = -64.25.
  EXPECT_EQ(FromRange(-1, 3, 8, false, false).zero_point, -64);
  EXPECT_EQ(FromRange(-1, 3, 8, false, true).zero_point, 64);
}

TEST(Uniform, TiesGoToTheEvenInteger) {
  const IntegerRange range = RangeOf(8, true, false);
  EXPECT_EQ(Quantize(0.5, {}, range), 0);
  EXPECT_EQ(Quantize(1.5, {}, range), 2);
  EXPECT_EQ(Quantize(-2.5, {}, range), -2);
  EXPECT_EQ(Quantize(3, {.scale = 2, .zero_point = 10}, range), 12);
}

TEST(Uniform, ValuesOutsideAreClippedAlsoAtTheEndsOfInt64) {
  EXPECT_EQ(Quantize(-1000, {}, RangeOf(8, true, false)), -127);
  EXPECT_EQ(Quantize(1000, {}, RangeOf(8, true, false)), 127);
  EXPECT_EQ(Quantize(1e300, {}, RangeOf(64, true, false)),
            std::numeric_limits<int64_t>::max());
  EXPECT_EQ(Quantize(-1e300, {}, RangeOf(64, true, false)),
            -std::numeric_limits<int64_t>::max());
  EXPECT_EQ(Quantize(std::numeric_limits<double>::infinity(), {},
                     RangeOf(8, true, false)),
            127);
}

TEST(Uniform, ABlockScaleIsRoundedTwice) {
  EXPECT_EQ(BlockScale(1.0f), 1.0f);
  // 1 + 2^-7 is a bfloat16; half a step more is a tie, to even: 1 + 2^-6.
  EXPECT_EQ(BlockScale(1.0f + 0x1p-7f), 1.0f + 0x1p-7f);
  EXPECT_EQ(BlockScale(1.0f + 0x1p-7f + 0x1p-8f), 1.0f + 0x1p-6f);
  // Below the normal halves fewer bits are left: steps of 2^-24.
  EXPECT_EQ(BlockScale(0x1p-24f * 1.25f), 0x1p-24f);
  EXPECT_EQ(BlockScale(0x1p-26f), 0.0f);
  EXPECT_TRUE(std::isinf(BlockScale(66000.0f)));
}

}  // namespace
}  // namespace lathe::quant
