#include "src/kernels/elementwise/cast.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "src/base/half.h"

namespace lathe::kernels {
namespace {

constexpr size_t kPiece = 16384;  // Elements of one job.

// What the types of number.h that C++ cannot count with stand for.
float Open(Half x) { return HalfToFloat(x.bits); }
float Open(Bfloat x) { return Bf16ToFloat(x.bits); }
uint8_t Open(Truth x) { return x.byte != 0; }
float Open(std::complex<float> x) { return x.real(); }
template <typename T>
T Open(T x) {
  return x;
}

template <typename To, typename From>
To ToInteger(From value) {
  if constexpr (std::is_floating_point_v<From>) {
    if (std::isnan(value)) return std::numeric_limits<To>::max();
    // One above the largest value: exact in every float type.
    const From above = std::ldexp(From(1), std::numeric_limits<To>::digits);
    if (value >= above) return std::numeric_limits<To>::max();
    if (value <= From(std::numeric_limits<To>::min())) {
      return std::numeric_limits<To>::min();
    }
  }
  return static_cast<To>(value);
}

// Nearest float32 that rounds to bfloat16 like `value` does: a double is first
// rounded to odd, so that rounding twice errs never.
float ToFloatForNarrowing(double value) {
  const float nearest = static_cast<float>(value);
  const double back = nearest;
  if (back == value || !std::isfinite(nearest)) return nearest;
  const uint32_t bits = std::bit_cast<uint32_t>(nearest);
  if (bits & 1) return nearest;
  // The even neighbour was taken; the odd one is on value's other side.
  const bool towards_zero = std::fabs(back) > std::fabs(value);
  return std::bit_cast<float>(towards_zero ? bits - 1 : bits + 1);
}

template <typename To, typename From>
To Convert(From x) {
  const auto value = Open(x);
  using Value = std::remove_const_t<decltype(value)>;
  const auto narrow = [&] {
    if constexpr (std::is_same_v<Value, float> || sizeof(Value) < 4) {
      return static_cast<float>(value);
    } else if constexpr (std::is_integral_v<Value> && sizeof(Value) == 8) {
      // Beyond 2^53 a double rounds too; keeping a lost bit as the last one is
      // rounding to odd again.
      Value whole = value;
      constexpr Value kExact = Value{1} << 52;
      if (whole > kExact || (std::is_signed_v<Value> && whole < 0 - kExact)) {
        whole = (whole & ~Value{0xFFF}) | ((whole & 0xFFF) != 0 ? 0x1000 : 0);
      }
      return ToFloatForNarrowing(static_cast<double>(whole));
    } else {
      return ToFloatForNarrowing(static_cast<double>(value));
    }
  };
  if constexpr (std::is_same_v<To, std::complex<float>>) {
    if constexpr (std::is_same_v<From, To>) return x;
    return To(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, Truth>) {
    return Truth{static_cast<uint8_t>(value != Value(0))};
  } else if constexpr (std::is_same_v<To, Half>) {
    return Half{FloatToHalf(narrow())};
  } else if constexpr (std::is_same_v<To, Bfloat>) {
    const uint32_t bits = std::bit_cast<uint32_t>(narrow());
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) {  // NaN stays NaN.
      return Bfloat{static_cast<uint16_t>(bits >> 16 | 0x40)};
    }
    return Bfloat{
        static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16)};
  } else if constexpr (std::is_integral_v<To>) {
    return ToInteger<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace

void RunCast(const ElementwiseKernels& kernels, Number from, Number to,
             size_t n, const void* x, void* y, ThreadPool& pool) {
  WithNumber(from, [&](auto from_type) {
    WithNumber(to, [&](auto to_type) {
      using From = decltype(from_type);
      using To = decltype(to_type);
      const From* source = static_cast<const From*>(x);
      To* target = static_cast<To*>(y);
      pool.Run((n + kPiece - 1) / kPiece, [&](size_t job, size_t) {
        const size_t first = job * kPiece;
        const size_t end = std::min(n, first + kPiece);
        if constexpr (std::is_same_v<From, Half> && std::is_same_v<To, float>) {
          kernels.from_half(end - first,
                            static_cast<const uint16_t*>(x) + first,
                            target + first);
        } else {
          for (size_t i = first; i < end; ++i) {
            target[i] = Convert<To>(source[i]);
          }
        }
      });
    });
  });
}

}  // namespace lathe::kernels
