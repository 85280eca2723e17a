#include "src/kernels/quantized/unary.h"

#include <cmath>
#include <numeric>
#include <vector>

#include "gtest/gtest.h"

namespace lathe::kernels {
namespace {

constexpr float kAlpha = 0.3F;

double Real(QuantizedUnary kind, double x) {
  switch (kind) {
    case QuantizedUnary::kRelu:
      return std::max(x, 0.0);
    case QuantizedUnary::kRelu6:
      return std::clamp(x, 0.0, 6.0);
    case QuantizedUnary::kReluN1To1:
      return std::clamp(x, -1.0, 1.0);
    case QuantizedUnary::kRelu0To1:
      return std::clamp(x, 0.0, 1.0);
    case QuantizedUnary::kLeakyRelu:
      return x >= 0 ? x : double{kAlpha} * x;
    case QuantizedUnary::kAbs:
      return std::abs(x);
    case QuantizedUnary::kHardSwish:
      return x * std::clamp(x + 3, 0.0, 6.0) / 6;
    case QuantizedUnary::kSqrt:
      return std::sqrt(x);
    case QuantizedUnary::kRsqrt:
      return 1 / std::sqrt(x);
    case QuantizedUnary::kExp:
      return std::exp(x);
    case QuantizedUnary::kLog:
      return std::log(x);
    case QuantizedUnary::kElu:
      return x < 0 ? std::expm1(x) : x;
    case QuantizedUnary::kGelu:
    case QuantizedUnary::kGeluTanh:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case QuantizedUnary::kTanh:
      return std::tanh(x);
    case QuantizedUnary::kLogistic:
      return 1 / (1 + std::exp(-x));
  }
  return 0;
}

constexpr QuantizedUnary kAll[] = {
    QuantizedUnary::kRelu,      QuantizedUnary::kRelu6,
    QuantizedUnary::kReluN1To1, QuantizedUnary::kRelu0To1,
    QuantizedUnary::kLeakyRelu, QuantizedUnary::kAbs,
    QuantizedUnary::kHardSwish, QuantizedUnary::kSqrt,
    QuantizedUnary::kRsqrt,     QuantizedUnary::kExp,
    QuantizedUnary::kLog,       QuantizedUnary::kElu,
    QuantizedUnary::kGelu,      QuantizedUnary::kGeluTanh,
    QuantizedUnary::kTanh,      QuantizedUnary::kLogistic,
};

bool Defined(QuantizedUnary kind, double x) {
  if (kind == QuantizedUnary::kSqrt) return x >= 0;
  if (kind == QuantizedUnary::kRsqrt || kind == QuantizedUnary::kLog) {
    return x > 0;
  }
  return true;
}

TEST(QuantizedUnary, TablesOfBytesAreTheFunctionRoundedAndClamped) {
  for (const QuantizedUnary kind : kAll) {
    for (const bool is_signed : {true, false}) {
      SCOPED_TRACE(static_cast<int>(kind) * 2 + is_signed);
      const int low = is_signed ? -128 : 0, high = low + 255;
      const Requantized s{0.04F, low + 100, 0.025F, low + 90};
      const ByteTable table = UnaryByteTable(kind, is_signed, s, kAlpha);
      for (int q = low; q <= high; ++q) {
        const double x = 0.04 * (q - s.in_zero);
        if (!Defined(kind, x)) continue;
        const double want = std::clamp(Real(kind, x) / 0.025 + s.out_zero,
                                       double(low), double(high));
        const uint8_t raw = table[static_cast<uint8_t>(q)];
        const int got = is_signed ? static_cast<int8_t>(raw) : raw;
        ASSERT_NEAR(got, want, 1.01) << q;
      }
    }
  }
}

TEST(QuantizedUnary, FunctionsOf16BitsFollowForAnyThreads) {
  std::vector<int16_t> x(65536), y(x.size()), again(x.size());
  std::iota(x.begin(), x.end(), int16_t{-32768});
  for (const QuantizedUnary kind : kAll) {
    SCOPED_TRACE(static_cast<int>(kind));
    const bool curve =
        kind == QuantizedUnary::kTanh || kind == QuantizedUnary::kLogistic;
    // Also the powers of two that have their own arithmetic.
    for (const float in : {1.3e-4F, 0x1p-12F, 0x1p-11F}) {
      const float out = curve ? 0x1p-15F : 3e-4F;
      const Requantized s{in, 0, out, 0};
      const auto run = UnaryInt16(kind, s, kAlpha);
      if (!run) continue;
      ThreadPool one(1), three(3);
      run(x.size(), x.data(), y.data(), one);
      run(x.size(), x.data(), again.data(), three);
      ASSERT_EQ(y, again);
      for (size_t i = 0; i < x.size(); ++i) {
        const double real = double{in} * x[i];
        if (!Defined(kind, real)) continue;
        // Lines between samples miss steep ends and where the clamp begins.
        const bool steep =
            (kind == QuantizedUnary::kRsqrt || kind == QuantizedUnary::kLog) &&
            x[i] < 2048;
        const double free = Real(kind, real) / double{out};
        if (steep || (free > 31000 && free < 34000)) continue;
        const double want =
            std::clamp(Real(kind, real) / double{out}, -32768.0, 32767.0);
        const double bound = curve ? 24 : 3 + std::abs(want) * 2e-3;
        ASSERT_NEAR(y[i], want, bound) << x[i] << " " << in;
      }
    }
  }
}

TEST(QuantizedUnary, RootsKeepTheirSpecialValues) {
  const Requantized s{0.1F, -128, 0.1F, -128};
  const ByteTable inverse = UnaryByteTable(QuantizedUnary::kRsqrt, true, s, 0);
  EXPECT_EQ(static_cast<int8_t>(inverse[128]), 127);  // Of zero: the most.
  const ByteTable log = UnaryByteTable(QuantizedUnary::kLog, true, s, 0);
  EXPECT_EQ(static_cast<int8_t>(log[128]), -128);
}

// A scale of 1e-30 makes multipliers that reach any int32 (found by fuzzing:
// the zero point was added without looking).
TEST(QuantizedUnary, SteepScalesSaturate) {
  const Requantized s{1, 0, 1e-30F, 100};
  for (const QuantizedUnary kind :
       {QuantizedUnary::kRelu, QuantizedUnary::kLeakyRelu,
        QuantizedUnary::kAbs}) {
    const ByteTable table = UnaryByteTable(kind, true, s, kAlpha);
    EXPECT_EQ(static_cast<int8_t>(table[5]), 127);
  }
}

TEST(QuantizedUnary, KnowsPowersOfTwo) {
  int exponent = 0;
  EXPECT_TRUE(IsPowerOfTwo(0x1p-12F, &exponent));
  EXPECT_EQ(exponent, -12);
  EXPECT_FALSE(IsPowerOfTwo(0.3F, &exponent));
}

}  // namespace
}  // namespace lathe::kernels
