#include "src/kernels/quantized/fixed_point.h"

#include <cmath>

#include "gtest/gtest.h"

namespace lathe::kernels {
namespace {

TEST(FixedPoint, CurvesOf16BitsStayNearTheirFunctionsForEveryInput) {
  for (int q = -32768; q <= 32767; ++q) {
    const int16_t x = static_cast<int16_t>(q);
    const double real = q / 4096.0;  // Three integer bits.
    ASSERT_NEAR(FixedLogistic<3>(x) / 32768.0, 1 / (1 + std::exp(-real)), 2e-4)
        << q;
    ASSERT_NEAR(FixedTanh<3>(x) / 32768.0, std::tanh(real), 5e-4) << q;
    ASSERT_NEAR(FixedTanh<0>(x) / 32768.0, std::tanh(q / 32768.0), 5e-4) << q;
    ASSERT_NEAR(FixedTanh<6>(x) / 32768.0, std::tanh(q / 512.0), 5e-4) << q;
    if (q <= 0) {
      ASSERT_NEAR(FixedExp<3>(x) / 32768.0, std::exp(real), 2e-4) << q;
    }
  }
}

TEST(FixedPoint, CurvesOf32BitsAreFine) {
  for (int64_t q = INT32_MIN; q <= INT32_MAX; q += 1234567) {
    const double real = static_cast<double>(q) / (1 << 28);
    const int32_t x = static_cast<int32_t>(q);
    ASSERT_NEAR(FixedLogistic<3>(x) / 0x1p31, 1 / (1 + std::exp(-real)), 1e-6);
    ASSERT_NEAR(FixedTanh<3>(x) / 0x1p31, std::tanh(real), 1e-6);
  }
}

TEST(FixedPoint, LogisticAndTanhAreSymmetric) {
  for (int q = 1; q <= 32767; ++q) {
    const int16_t x = static_cast<int16_t>(q), minus = static_cast<int16_t>(-q);
    ASSERT_EQ(FixedTanh<3>(x), -FixedTanh<3>(minus));
    ASSERT_EQ(FixedLogistic<3>(x) + FixedLogistic<3>(minus), 32767);
  }
}

TEST(FixedPoint, InverseRootsAreMultipliersForEverySizeOfNumber) {
  for (int64_t x = 1; x <= INT32_MAX; x = x * 5 / 4 + 1) {
    const Multiplier m = InverseSqrt(static_cast<int32_t>(x));
    const double real = m.value / 0x1p31 * std::ldexp(1.0, m.shift);
    ASSERT_NEAR(real * std::sqrt(static_cast<double>(x)), 1, 2e-6) << x;
  }
  EXPECT_EQ(InverseSqrt(0), InverseSqrt(1));
}

TEST(FixedPoint, InversesHaveAllTheirBits) {
  for (int64_t x = 1; x <= INT32_MAX; x = x * 3 / 2 + 1) {
    const FixedInverse inverse = InverseOf(static_cast<int32_t>(x));
    const double real = inverse.value / 0x1p31 / std::ldexp(1.0, inverse.shift);
    ASSERT_NEAR(real * static_cast<double>(x), 1, 1e-8) << x;
  }
}

TEST(FixedPoint, ShiftsSaturateToTheLeftAndRoundAwayFromZeroToTheRight) {
  EXPECT_EQ(FixedShift<int16_t>(20000, 1), 32767);
  EXPECT_EQ(FixedShift<int16_t>(-20000, 1), -32768);
  EXPECT_EQ(FixedShift<int16_t>(5, -1), 3);
  EXPECT_EQ(FixedShift<int16_t>(-5, -1), -3);
  EXPECT_EQ(FixedMultiply<int16_t>(-32768, -32768), 32767);
  EXPECT_EQ(FixedMultiply<int32_t>(INT32_MIN, INT32_MIN), INT32_MAX);
}

}  // namespace
}  // namespace lathe::kernels
