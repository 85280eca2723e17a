#include "src/kernels/quantized/requantize.h"

#include <random>

#include "gtest/gtest.h"

namespace lathe::kernels {
namespace {

constexpr int32_t kMin = std::numeric_limits<int32_t>::min();
constexpr int32_t kMax = std::numeric_limits<int32_t>::max();

TEST(Requantize, MultiplierStandsForTheFactor) {
  EXPECT_EQ(MultiplierOf(0.5), (Multiplier{1 << 30, 0}));
  EXPECT_EQ(MultiplierOf(1.0), (Multiplier{1 << 30, 1}));
  EXPECT_EQ(MultiplierOf(0.75), (Multiplier{3 << 29, 0}));
  EXPECT_EQ(MultiplierOf(0), (Multiplier{}));
  EXPECT_EQ(MultiplierOf(-1), (Multiplier{}));
  EXPECT_EQ(MultiplierOf(std::nan("")), (Multiplier{}));
  EXPECT_EQ(MultiplierOf(0x1p-33), (Multiplier{}));
  EXPECT_EQ(MultiplierOf(0x1p40), (Multiplier{kMax, 30}));
  // Rounds up to a power of two.
  EXPECT_EQ(MultiplierOf(1 - 0x1p-40), (Multiplier{1 << 30, 1}));
}

TEST(Requantize, RescaleIsTheProductWithinTwoRoundings) {
  std::mt19937 rng(1);
  for (int i = 0; i < 20000; ++i) {
    const double factor = std::ldexp(1.0 + (rng() % 1000) / 1000.0,
                                     static_cast<int>(rng() % 34) - 31);
    // Bits to spare for the shift to the left.
    const int32_t x = static_cast<int32_t>(rng()) >> (4 + rng() % 26);
    const double exact = x * factor;
    EXPECT_NEAR(Rescale(x, MultiplierOf(factor)), exact,
                1.01 + std::abs(exact) * 0x1p-30)
        << x << " * " << factor;
  }
}

// The format's own words: a nudge by the sign, then a cut towards zero.
TEST(Requantize, HighMultiplyAgreesWithItsDefinition) {
  std::mt19937 rng(3);
  for (int i = 0; i < 20000; ++i) {
    const int32_t x = static_cast<int32_t>(rng()) >> (rng() % 31);
    const int32_t value =
        static_cast<int32_t>(rng() % 4 == 0 ? 1u << 30 : rng() >> 1);
    const int64_t product = int64_t{x} * value;
    const int64_t nudge = product >= 0 ? 1 << 30 : 1 - (1 << 30);
    EXPECT_EQ(RoundingHighMultiply(x, value),
              (product + nudge) / (int64_t{1} << 31))
        << x << " * " << value;
  }
}

TEST(Requantize, HalvesMoveAwayFromZero) {
  EXPECT_EQ(RoundingShift(3, 1), 2);
  EXPECT_EQ(RoundingShift(-3, 1), -2);
  EXPECT_EQ(RoundingShift(-5, 2), -1);
  EXPECT_EQ(RoundingShift(-6, 2), -2);
  EXPECT_EQ(RoundingShift(7, 0), 7);
  EXPECT_EQ(RoundingShift(-7, 0), -7);
  EXPECT_EQ(RoundingShift(kMin, 31), -1);
  EXPECT_EQ(RoundingShift(kMax, 31), 1);
}

// The definition in words: shift, mask and remainder.
TEST(Requantize, ShiftAgreesWithItsDefinition) {
  std::mt19937 rng(2);
  for (int i = 0; i < 20000; ++i) {
    const int32_t x = static_cast<int32_t>(rng()) >> (rng() % 31);
    const int32_t by = static_cast<int32_t>(rng() % 32);
    const int32_t mask = static_cast<int32_t>((int64_t{1} << by) - 1);
    const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
    EXPECT_EQ(RoundingShift(x, by), (x >> by) + ((x & mask) > threshold))
        << x << " >> " << by;
  }
}

TEST(Requantize, LargeShiftsSaturate) {
  EXPECT_GT(Rescale(1 << 30, MultiplierOf(512)), 1 << 29);
  EXPECT_LT(Rescale(-(1 << 30), MultiplierOf(512)), -(1 << 29));
  EXPECT_EQ(Rescale64(int64_t{1} << 46, MultiplierOf(0x1p29)), kMax);
  EXPECT_EQ(Rescale64(-(int64_t{1} << 46), MultiplierOf(0x1p29)), kMin);
}

TEST(Requantize, Rescale64RoundsOnce) {
  EXPECT_EQ(Rescale64(3, MultiplierOf(0.5)), 2);
  EXPECT_EQ(Rescale64(-3, MultiplierOf(0.5)), -1);
  EXPECT_EQ(Rescale64(int64_t{1} << 40, MultiplierOf(0x1p-20)), 1 << 20);
}

TEST(Requantize, ActivationCutsTheRange) {
  const IntegerRange all = RangeOf(Activation::kNone, 0.1f, 3, -128, 127);
  EXPECT_EQ(all.low, -128);
  EXPECT_EQ(all.high, 127);
  const IntegerRange relu6 = RangeOf(Activation::kRelu6, 0.1f, 3, -128, 127);
  EXPECT_EQ(relu6.low, 3);
  EXPECT_EQ(relu6.high, 63);
  const IntegerRange narrow =
      RangeOf(Activation::kReluN1To1, 1e-9f, 0, -128, 127);
  EXPECT_EQ(narrow.low, -128);
  EXPECT_EQ(narrow.high, 127);
}

TEST(Requantize, QuantizingTakesEveryFloat) {
  EXPECT_EQ(QuantizeOne(0.25f, 0.5f, 0, -128, 127), 1);
  EXPECT_EQ(QuantizeOne(-0.25f, 0.5f, 0, -128, 127), -1);
  EXPECT_EQ(QuantizeOne(INFINITY, 0.5f, 4, -128, 127), 127);
  EXPECT_EQ(QuantizeOne(-INFINITY, 0.5f, 4, -128, 127), -128);
  EXPECT_EQ(QuantizeOne(NAN, 0.5f, 4, -128, 127), 4);
}

}  // namespace
}  // namespace lathe::kernels
