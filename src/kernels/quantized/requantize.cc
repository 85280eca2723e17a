#include "src/kernels/quantized/requantize.h"

namespace lathe::kernels {

Multiplier MultiplierOf(double real) {
  if (!(real > 0)) return {};
  if (std::isinf(real)) return {std::numeric_limits<int32_t>::max(), 30};
  int shift = 0;
  const double fraction = std::frexp(real, &shift);
  int64_t value = std::llround(fraction * 0x1p31);
  if (value == int64_t{1} << 31) {
    value /= 2;
    ++shift;
  }
  if (shift < -31) return {};
  if (shift > 30) return {std::numeric_limits<int32_t>::max(), 30};
  return {static_cast<int32_t>(value), shift};
}

IntegerRange RangeOf(Activation activation, float scale, int32_t zero_point,
                     int32_t type_low, int32_t type_high) {
  IntegerRange range{type_low, type_high};
  const Clamp clamp = ClampOf(activation);
  if (std::isfinite(clamp.low)) {
    range.low = QuantizeOne(clamp.low, scale, zero_point, type_low, type_high);
  }
  if (std::isfinite(clamp.high)) {
    range.high =
        QuantizeOne(clamp.high, scale, zero_point, type_low, type_high);
  }
  return range;
}

}  // namespace lathe::kernels
