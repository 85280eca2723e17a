// Functions of numbers in fixed point, for kernels that may not use floats.
//
// A number is a Raw (int16_t or int32_t) with kIntegerBits bits left of the
// point: real = raw / 2^(width - 1 - kIntegerBits). "Q0" has none: [-1, 1).

#ifndef LATHE_KERNELS_QUANTIZED_FIXED_POINT_H_
#define LATHE_KERNELS_QUANTIZED_FIXED_POINT_H_

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "src/kernels/quantized/requantize.h"

namespace lathe::kernels {

template <typename Raw>
Raw Saturate(int64_t x) {
  return static_cast<Raw>(std::clamp<int64_t>(
      x, std::numeric_limits<Raw>::min(), std::numeric_limits<Raw>::max()));
}

// Sums and differences wrap around.
template <typename Raw>
Raw WrapAdd(Raw a, Raw b) {
  return static_cast<Raw>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}
template <typename Raw>
Raw WrapSub(Raw a, Raw b) {
  return static_cast<Raw>(static_cast<uint32_t>(a) - static_cast<uint32_t>(b));
}

// a * b; the integer bits of the operands add up. Ties go up; saturates.
template <typename Raw>
Raw FixedMultiply(Raw a, Raw b) {
  constexpr int kFraction = std::numeric_limits<Raw>::digits;
  return Saturate<Raw>((int64_t{a} * b + (int64_t{1} << (kFraction - 1))) >>
                       kFraction);
}

// x * 2^exponent: to the left it saturates, to the right halves go away from
// zero.
template <typename Raw>
Raw FixedShift(Raw x, int exponent) {
  if (exponent >= 0) {
    return Saturate<Raw>(int64_t{x} * (int64_t{1} << exponent));
  }
  return static_cast<Raw>(RoundingShift(x, -exponent));
}

// A constant written as int32 Q0, in the width of Raw.
template <typename Raw>
constexpr Raw FixedConstant(int32_t q31) {
  if constexpr (sizeof(Raw) == 4) {
    return q31;
  } else {
    return static_cast<Raw>((int64_t{q31} + (1 << 15) - (q31 < 0)) >> 16);
  }
}

// e^a for a <= 0; the result is Q0, 1 - 1 unit for a = 0. A fourth-order
// polynomial around -1/8 for what is left after whole quarters, then one factor
// per bit of the quarters.
template <int kIntegerBits, typename Raw>
Raw FixedExp(Raw a) {
  constexpr int kFraction = std::numeric_limits<Raw>::digits - kIntegerBits;
  constexpr Raw kQuarter = static_cast<Raw>(1 << (kFraction - 2));
  const Raw rest =
      static_cast<Raw>((a & static_cast<Raw>(kQuarter - 1)) - kQuarter);

  constexpr Raw kExpEighth = FixedConstant<Raw>(1895147668);  // e^(-1/8)
  constexpr Raw kThird = FixedConstant<Raw>(715827883);
  constexpr Raw kEighth =
      static_cast<Raw>(Raw{1} << (std::numeric_limits<Raw>::digits - 3));
  const Raw x = WrapAdd(FixedShift(rest, kIntegerBits), kEighth);
  const Raw x2 = FixedMultiply(x, x);
  const Raw x3 = FixedMultiply(x2, x);
  const Raw x4 = FixedMultiply(x2, x2);
  const Raw tail = FixedShift(
      WrapAdd(FixedMultiply(WrapAdd(FixedShift(x4, -2), x3), kThird), x2), -1);
  const Raw product = FixedMultiply(kExpEighth, WrapAdd(x, tail));
  Raw result = sizeof(Raw) == 2 ? Saturate<Raw>(int64_t{kExpEighth} + product)
                                : WrapAdd(kExpEighth, product);

  const Raw quarters = WrapSub(rest, a);
  // e^-2^k for k = -2 .. 4.
  constexpr int32_t kFactors[] = {1672461947, 1302514674, 790015084, 290630308,
                                  39332535,   720401,     242};
  for (int k = -2; k <= 4 && k < kIntegerBits; ++k) {
    if (quarters & (int32_t{1} << (kFraction + k))) {
      result = FixedMultiply(result, FixedConstant<Raw>(kFactors[k + 2]));
    }
  }
  if constexpr (kIntegerBits > 5) {
    if (a < -(int32_t{32} << kFraction)) result = 0;
  }
  return a == 0 ? std::numeric_limits<Raw>::max() : result;
}

// 1 / ((1 + a) / 2) with two integer bits, for a in [0, 1) as Q0: three steps
// of Newton from 48/17 - 32/17 d.
template <typename Raw>
Raw FixedHalfReciprocal(Raw a) {
  constexpr Raw kMax = std::numeric_limits<Raw>::max();
  constexpr Raw kOne =
      static_cast<Raw>(Raw{1} << (std::numeric_limits<Raw>::digits - 2));
  const Raw half = static_cast<Raw>((int64_t{a} + kMax + 1) / 2);
  Raw x = WrapAdd(FixedConstant<Raw>(1515870810),
                  FixedMultiply(half, FixedConstant<Raw>(-1010580540)));
  for (int i = 0; i < 3; ++i) {
    const Raw error = WrapSub(kOne, FixedMultiply(half, x));
    x = WrapAdd(x, FixedShift(FixedMultiply(x, error), 2));
  }
  return x;
}

// 1 / (1 + a) and (1 - a) / (1 + a), Q0 to Q0, for a in [0, 1).
template <typename Raw>
Raw FixedReciprocal(Raw a) {
  return FixedShift(FixedHalfReciprocal(a), 1);
}
template <typename Raw>
Raw FixedTanhRatio(Raw a) {
  constexpr Raw kOne =
      static_cast<Raw>(Raw{1} << (std::numeric_limits<Raw>::digits - 2));
  return FixedShift(WrapSub(FixedHalfReciprocal(a), kOne), 2);
}

// The result is Q0.
template <int kIntegerBits, typename Raw>
Raw FixedLogistic(Raw a) {
  constexpr Raw kMax = std::numeric_limits<Raw>::max();
  if (a == 0) return FixedConstant<Raw>(1 << 30);
  const Raw negative = a > 0 ? WrapSub<Raw>(0, a) : a;
  const Raw up = FixedReciprocal(FixedExp<kIntegerBits>(negative));
  return a > 0 ? up : WrapSub(kMax, up);
}
template <int kIntegerBits, typename Raw>
Raw FixedTanh(Raw a) {
  if (a == 0) return 0;
  const Raw negative = a > 0 ? WrapSub<Raw>(0, a) : a;
  const Raw t = FixedTanhRatio(FixedExp<kIntegerBits + 1>(negative));
  return a > 0 ? t : WrapSub<Raw>(0, t);
}

// 1 / sqrt(x) as a multiplier; x >= 0, and 0 counts as 1. Newton's method on
// x scaled to [1/4, 1) with three integer bits.
inline Multiplier InverseSqrt(int32_t x) {
  if (x <= 1) return {std::numeric_limits<int32_t>::max(), 0};
  int32_t right = 11;
  while (x >= (1 << 29)) {
    x /= 4;
    ++right;
  }
  const int pairs = (std::countl_zero(static_cast<uint32_t>(x)) - 1) / 2 - 1;
  right -= pairs;
  x <<= 2 * pairs;
  const int32_t scaled = x >> 1;
  const int32_t half = FixedShift(scaled, -1);
  constexpr int32_t kThreeHalves = (1 << 28) + (1 << 27);
  int32_t y = 1 << 28;
  // Products of three and of two factors have 9 and 6 integer bits.
  for (int i = 0; i < 5; ++i) {
    const int32_t cube = FixedShift(FixedMultiply(FixedMultiply(y, y), y), 6);
    y = FixedShift(
        WrapSub(FixedMultiply(kThreeHalves, y), FixedMultiply(half, cube)), 3);
  }
  y = FixedMultiply(y, 1518500250);  // sqrt(2) / 2
  if (right < 0) {
    y = FixedShift(y, -right);
    right = 0;
  }
  return {y, -right};
}

// 1 / x for x >= 1 as value / 2^31 / 2^shift, value in [2^30, 2^31).
struct FixedInverse {
  int32_t value = 0;
  int32_t shift = 0;
};
inline FixedInverse InverseOf(int32_t x) {
  const int zeros = std::countl_zero(static_cast<uint32_t>(x));
  const uint32_t above_one =
      (static_cast<uint32_t>(x) << zeros) - (uint32_t{1} << 31);
  return {FixedReciprocal(static_cast<int32_t>(above_one)), 31 - zeros};
}

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_FIXED_POINT_H_
