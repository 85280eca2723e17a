// 16-bit floats: all of them to float32 and back, and rounding to nearest even.

#include "src/base/half.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

#include "gtest/gtest.h"

namespace lathe {
namespace {

// What the bits mean, in the plainest form.
double HalfByDefinition(uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double sign = bits >> 15 != 0 ? -1 : 1;
  if (exponent == 31) {
    return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN()
                         : sign * std::numeric_limits<double>::infinity();
  }
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(Half, EveryValueIsExactInFloat32) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const double want = HalfByDefinition(half);
    const float got = HalfToFloat(half);
    if (std::isnan(want)) {
      EXPECT_TRUE(std::isnan(got)) << bits;
    } else {
      EXPECT_EQ(got, want) << bits;
    }
    EXPECT_EQ(std::signbit(got), bits >= 32768) << bits;
  }
}

TEST(Half, EveryValueComesBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const uint16_t back = FloatToHalf(HalfToFloat(half));
    if ((bits & 0x7FFF) > 0x7C00) {  // NaN stays NaN, quiet.
      EXPECT_EQ(back & 0x7E00, 0x7E00) << bits;
      EXPECT_EQ(back & 0x8000, bits & 0x8000) << bits;
    } else {
      EXPECT_EQ(back, half);
    }
  }
}

// The nearest of two neighbours, the even one in the middle.
TEST(Half, RoundsToNearestAndTiesToEven) {
  for (uint32_t bits = 0; bits < 0x7C00; ++bits) {
    const auto low = static_cast<uint16_t>(bits);
    const auto high = static_cast<uint16_t>(bits + 1);
    const double from = HalfByDefinition(low);
    // The value behind the largest counts as 65536 for rounding.
    const double to = high == 0x7C00 ? 65536 : HalfByDefinition(high);
    const auto middle = static_cast<float>((from + to) / 2);
    const float above =
        std::nextafter(middle, std::numeric_limits<float>::max());
    const float below = std::nextafter(middle, 0.0f);
    for (const uint16_t sign : {0x0000, 0x8000}) {
      const float s = sign != 0 ? -1.0f : 1.0f;
      EXPECT_EQ(FloatToHalf(s * middle), sign | (bits % 2 ? high : low));
      EXPECT_EQ(FloatToHalf(s * above), sign | high) << bits;
      EXPECT_EQ(FloatToHalf(s * below), sign | low) << bits;
    }
  }
}

TEST(Half, ExtremesBecomeInfinityOrZero) {
  const float huge = std::numeric_limits<float>::max();
  const float tiny = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(FloatToHalf(huge), 0x7C00);
  EXPECT_EQ(FloatToHalf(-huge), 0xFC00);
  EXPECT_EQ(FloatToHalf(65504.0f), 0x7BFF);
  EXPECT_EQ(FloatToHalf(65520.0f), 0x7C00);
  EXPECT_EQ(FloatToHalf(tiny), 0x0000);
  EXPECT_EQ(FloatToHalf(-tiny), 0x8000);
}

TEST(Half, NothingIsFurtherThanHalfAStep) {
  constexpr uint32_t kSeed = 7;
  std::mt19937 rng(kSeed);
  for (int i = 0; i < 200000; ++i) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(rng()));
    if (!(std::abs(x) < 65504.0f)) continue;
    const double got = HalfToFloat(FloatToHalf(x));
    int exponent = 0;
    std::frexp(x, &exponent);
    const double step = std::ldexp(1.0, std::max(exponent - 11, -24));
    EXPECT_LE(std::abs(got - x), step / 2) << x << ", seed " << kSeed;
  }
}

TEST(Bf16, IsTheUpperHalfOfAFloat32) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float got = Bf16ToFloat(static_cast<uint16_t>(bits));
    EXPECT_EQ(std::bit_cast<uint32_t>(got), bits << 16);
    if (std::isnan(got)) continue;
    EXPECT_EQ(FloatToBf16(got), bits);
  }
}

TEST(Bf16, RoundsToNearestAndTiesToEven) {
  EXPECT_EQ(FloatToBf16(std::bit_cast<float>(0x3F807FFFu)), 0x3F80);
  EXPECT_EQ(FloatToBf16(std::bit_cast<float>(0x3F808000u)), 0x3F80);
  EXPECT_EQ(FloatToBf16(std::bit_cast<float>(0x3F808001u)), 0x3F81);
  EXPECT_EQ(FloatToBf16(std::bit_cast<float>(0x3F818000u)), 0x3F82);
  // Beyond the largest: infinity. A NaN whose upper half says infinity: NaN.
  EXPECT_EQ(FloatToBf16(std::bit_cast<float>(0x7F7FFFFFu)), 0x7F80);
  EXPECT_EQ(FloatToBf16(std::bit_cast<float>(0xFF800001u)), 0xFFC0);
}

}  // namespace
}  // namespace lathe
