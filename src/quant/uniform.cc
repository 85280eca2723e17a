#include "src/quant/uniform.h"

#include <algorithm>
#include <cmath>

#include "src/base/half.h"
#include "src/base/result.h"

namespace lathe::quant {

IntegerRange RangeOf(int bits, bool symmetric, bool is_unsigned) {
  LATHE_CHECK(bits >= 2 && bits <= 64);
  // All ones in the low `n` bits.
  const auto ones = [](int n) {
    return static_cast<int64_t>(~uint64_t{0} >> (64 - n));
  };
  if (is_unsigned) return {.low = 0, .high = ones(std::min(bits, 63))};
  const int64_t high = ones(bits - 1);
  const bool narrow = symmetric && bits >= 8;
  return {.low = narrow ? -high : -high - 1, .high = high};
}

ScaleZeroPoint FromRange(double min, double max, int bits, bool symmetric,
                         bool is_unsigned) {
  constexpr double kSmallestRange = 1e-9;
  if (symmetric) {
    const double bound =
        std::max({std::abs(min), std::abs(max), kSmallestRange});
    const auto high = RangeOf(bits, true, is_unsigned).high;
    return {.scale = bound / static_cast<double>(high), .zero_point = 0};
  }
  const double high = std::max(max, 0.0), low = std::min(min, 0.0);
  const double width = std::max(high - low, kSmallestRange);
  const IntegerRange range = RangeOf(bits, false, is_unsigned);
  const double scale = width / (static_cast<double>(range.high) -
                                static_cast<double>(range.low));
  return {.scale = scale,
          .zero_point =
              Quantize(low == 0 ? static_cast<double>(range.low)
                                : static_cast<double>(range.low) - low / scale,
                       {.scale = 1, .zero_point = 0}, range)};
}

int64_t Quantize(double value, ScaleZeroPoint grid, IntegerRange range) {
  const double rounded =
      std::nearbyint(value / grid.scale + static_cast<double>(grid.zero_point));
  if (std::isnan(rounded)) return 0;  // As a cast of NaN on x86.
  // Compared before the cast: a double beyond int64_t has no integer.
  if (rounded >= static_cast<double>(range.high)) return range.high;
  if (rounded <= static_cast<double>(range.low)) return range.low;
  return static_cast<int64_t>(rounded);
}

float BlockScale(float scale) {
  return HalfToFloat(FloatToHalf(Bf16ToFloat(FloatToBf16(scale))));
}

}  // namespace lathe::quant
