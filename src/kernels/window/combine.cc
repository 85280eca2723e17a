#include "src/kernels/window/combine.h"

#include <type_traits>

#include "src/base/half.h"

namespace lathe::kernels {
namespace {

// How a stored number is read and written.
template <typename T>
struct Stored {
  using Value = T;
  static T Read(T x) { return x; }
  static T Write(T x) { return x; }
};
template <>
struct Stored<Truth> {
  using Value = bool;
  static bool Read(Truth x) { return x.byte != 0; }
  static Truth Write(bool x) { return {static_cast<uint8_t>(x)}; }
};
template <>
struct Stored<Half> {
  using Value = float;
  static float Read(Half x) { return HalfToFloat(x.bits); }
  static Half Write(float x) { return {FloatToHalf(x)}; }
};
template <>
struct Stored<Bfloat> {
  using Value = float;
  static float Read(Bfloat x) { return Bf16ToFloat(x.bits); }
  static Bfloat Write(float x) {
    const uint32_t bits = std::bit_cast<uint32_t>(x);
    if (x != x) return {static_cast<uint16_t>(bits >> 16 | 0x40u)};
    return {static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16)};
  }
};

template <typename T>
constexpr bool kWhole = std::is_integral_v<T> && !std::is_same_v<T, bool>;

// 64 bits hold every sum and product but those of 64 bits, which wrap.
template <Combine kCombine, typename V>
V One(V a, V b) {
  if constexpr (kCombine == Combine::kAdd) {
    if constexpr (kWhole<V>) {
      return static_cast<V>(static_cast<uint64_t>(a) +
                            static_cast<uint64_t>(b));
    } else if constexpr (std::is_same_v<V, bool>) {
      return a || b;
    } else {
      return a + b;
    }
  } else if constexpr (kCombine == Combine::kMultiply) {
    if constexpr (kWhole<V>) {
      return static_cast<V>(static_cast<uint64_t>(a) *
                            static_cast<uint64_t>(b));
    } else if constexpr (std::is_same_v<V, bool>) {
      return a && b;
    } else {
      return a * b;
    }
  } else if constexpr (kCombine == Combine::kMinimum) {
    return b < a ? b : a;
  } else if constexpr (kCombine == Combine::kMaximum) {
    return a < b ? b : a;
  } else if constexpr (kCombine == Combine::kAnd) {
    return static_cast<V>(a & b);
  } else if constexpr (kCombine == Combine::kAll) {
    return static_cast<V>(a != V(0) && b != V(0));
  } else if constexpr (kCombine == Combine::kAny) {
    return static_cast<V>(a != V(0) || b != V(0));
  } else if constexpr (kCombine == Combine::kShiftLeft) {
    // A shift below 0 is above every limit as an unsigned number.
    if (static_cast<uint64_t>(b) >= 8 * sizeof(V)) return V(0);
    return static_cast<V>(static_cast<uint64_t>(a) << static_cast<uint64_t>(b));
  } else {
    return b;
  }
}

template <Combine kCombine, typename T>
void Run(size_t n, const void* a, const void* b, void* y) {
  using S = Stored<T>;
  const T* u = static_cast<const T*>(a);
  const T* v = static_cast<const T*>(b);
  T* w = static_cast<T*>(y);
  for (size_t i = 0; i < n; ++i) {
    w[i] = S::Write(
        One<kCombine, typename S::Value>(S::Read(u[i]), S::Read(v[i])));
  }
}

template <typename T>
CombineFn Choose(Combine combine) {
  using V = typename Stored<T>::Value;
  if constexpr (!std::is_arithmetic_v<V>) {
    return nullptr;
  } else {
    constexpr bool kBits = std::is_integral_v<V>;
    switch (combine) {
      case Combine::kAdd:
        return Run<Combine::kAdd, T>;
      case Combine::kMultiply:
        return Run<Combine::kMultiply, T>;
      case Combine::kMinimum:
        return Run<Combine::kMinimum, T>;
      case Combine::kMaximum:
        return Run<Combine::kMaximum, T>;
      case Combine::kAnd:
        if constexpr (kBits) return Run<Combine::kAnd, T>;
        return nullptr;
      case Combine::kAll:
        return Run<Combine::kAll, T>;
      case Combine::kAny:
        return Run<Combine::kAny, T>;
      case Combine::kShiftLeft:
        if constexpr (kWhole<V>) return Run<Combine::kShiftLeft, T>;
        return nullptr;
      case Combine::kReplace:
        return Run<Combine::kReplace, T>;
    }
    return nullptr;
  }
}

}  // namespace

CombineFn CombineOf(Combine combine, Number type) {
  return WithNumber(type, [&](auto zero) -> CombineFn {
    return Choose<decltype(zero)>(combine);
  });
}

}  // namespace lathe::kernels
