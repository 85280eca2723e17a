// The arithmetic that brings integer sums to the scale of an output.

#ifndef LATHE_KERNELS_QUANTIZED_REQUANTIZE_H_
#define LATHE_KERNELS_QUANTIZED_REQUANTIZE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "src/kernels/activation.h"

namespace lathe::kernels {

// A real factor as value * 2^(shift - 31): value is 0 or in [2^30, 2^31),
// shift in [-31, 30].
struct Multiplier {
  int32_t value = 0;
  int32_t shift = 0;
  bool operator==(const Multiplier&) const = default;
};

// The nearest multiplier. Below 2^-32 it is 0; above 2^30 it is the largest.
// 0, negative numbers and NaN give 0.
Multiplier MultiplierOf(double real);

// x * value / 2^31 rounded to nearest, ties up; value >= 0.
inline int32_t RoundingHighMultiply(int32_t x, int32_t value) {
  return static_cast<int32_t>((int64_t{x} * value + (int64_t{1} << 30)) >> 31);
}

// x / 2^exponent rounded half away from zero; 0 <= exponent <= 31.
inline int32_t RoundingShift(int32_t x, int32_t exponent) {
  const int64_t half = (int64_t{1} << exponent) >> 1;
  return static_cast<int32_t>((x + half - (x < 0 && exponent > 0)) >> exponent);
}

// x * multiplier in the format's two roundings: the high multiply, then the
// shift to the right. A shift to the left comes first and saturates.
inline int32_t Rescale(int32_t x, Multiplier multiplier) {
  if (multiplier.shift > 0) {
    x = static_cast<int32_t>(
        std::clamp<int64_t>(int64_t{x} * (int64_t{1} << multiplier.shift),
                            std::numeric_limits<int32_t>::min(),
                            std::numeric_limits<int32_t>::max()));
  }
  const int32_t high = RoundingHighMultiply(x, multiplier.value);
  return multiplier.shift >= 0 ? high : RoundingShift(high, -multiplier.shift);
}

// The form for 64-bit sums (16-bit activations): the multiplier is cut to 15
// bits and there is one rounding, ties up. |x| < 2^47; saturates.
inline int32_t Rescale64(int64_t x, Multiplier multiplier) {
  const int64_t value =
      std::min<int64_t>((int64_t{multiplier.value} + (1 << 15)) >> 16, 32767);
  const int32_t right = 15 - multiplier.shift;
  int64_t result = x * value;
  if (right > 0) {
    result = (result + (int64_t{1} << (right - 1))) >> right;
  } else {
    // Left of 2^31 everything saturates, so more bits need not survive.
    result =
        std::clamp<int64_t>(result, -(int64_t{1} << 32), int64_t{1} << 32) *
        (int64_t{1} << -right);
  }
  return static_cast<int32_t>(
      std::clamp<int64_t>(result, std::numeric_limits<int32_t>::min(),
                          std::numeric_limits<int32_t>::max()));
}

// round(x / scale) + zero_point within [low, high]; halves away from zero, NaN
// gives zero_point. The division is done in float32.
inline int32_t QuantizeOne(float x, float scale, int32_t zero_point,
                           int32_t low, int32_t high) {
  const float steps = std::round(x / scale);
  if (std::isnan(steps)) return std::clamp(zero_point, low, high);
  // Far outside any type's range, and exact in float32.
  const float bounded = std::clamp(steps, -0x1p30f, 0x1p30f);
  const int64_t sum = static_cast<int64_t>(bounded) + zero_point;
  return static_cast<int32_t>(std::clamp<int64_t>(sum, low, high));
}

// The integers an output may take: those of its type, cut by the activation.
struct IntegerRange {
  int32_t low = 0;
  int32_t high = 0;
};
IntegerRange RangeOf(Activation activation, float scale, int32_t zero_point,
                     int32_t type_low, int32_t type_high);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_REQUANTIZE_H_
