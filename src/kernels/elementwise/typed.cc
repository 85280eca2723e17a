#include "src/kernels/elementwise/typed.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <type_traits>

namespace lathe::kernels {
namespace {

constexpr size_t kPiece = 8192;  // Elements of one job.

template <typename T>
constexpr bool kIsWhole = std::is_integral_v<T>;
template <typename T>
constexpr bool kIsComplex = std::is_same_v<T, std::complex<float>>;

// Through an unsigned type, where overflow is defined; of at least 32 bits, as
// narrower ones would be multiplied as int.
template <typename T, typename F>
T Wrapped(T a, T b, const F& f) {
  if constexpr (kIsWhole<T>) {
    using U = std::common_type_t<std::make_unsigned_t<T>, unsigned>;
    return static_cast<T>(f(static_cast<U>(a), static_cast<U>(b)));
  } else {
    return f(a, b);
  }
}

// The lowest / -1 does not fit its type.
template <typename T>
bool IsMinusOne(T b) {
  if constexpr (kIsWhole<T> && std::is_signed_v<T>) return b == -1;
  return false;
}

template <typename T>
T Divide(T a, T b) {
  if (IsMinusOne(b)) return Wrapped(T(0), a, std::minus<>());
  return static_cast<T>(a / b);
}

template <typename T>
T FloorDivide(T a, T b) {
  if constexpr (kIsWhole<T>) {
    if (IsMinusOne(b)) return Divide(a, b);
    return static_cast<T>(a / b - (a % b != 0 && (a < 0) != (b < 0)));
  } else {
    return std::floor(a / b);
  }
}

template <typename T>
T FloorModulo(T a, T b) {
  T rest;
  if constexpr (kIsWhole<T>) {
    rest = IsMinusOne(b) ? T(0) : static_cast<T>(a % b);
  } else {
    rest = std::fmod(a, b);
  }
  const bool other_side = rest != 0 && (rest < 0) != (b < 0);
  return other_side ? static_cast<T>(rest + b) : rest;
}

template <typename T>
T Power(T a, T b) {
  if constexpr (kIsWhole<T>) {
    T result = 1;
    for (; b > 0; b = static_cast<T>(b >> 1)) {
      if (b & 1) result = Wrapped(result, a, std::multiplies<>());
      a = Wrapped(a, a, std::multiplies<>());
    }
    return result;
  } else {
    return std::pow(a, b);
  }
}

template <TypedBinary kKind, typename T>
T Arithmetic(T a, T b) {
  if constexpr (kKind == TypedBinary::kAdd) {
    return Wrapped(a, b, std::plus<>());
  } else if constexpr (kKind == TypedBinary::kSub) {
    return Wrapped(a, b, std::minus<>());
  } else if constexpr (kKind == TypedBinary::kMul) {
    return Wrapped(a, b, std::multiplies<>());
  } else if constexpr (kKind == TypedBinary::kDiv) {
    return Divide(a, b);
  } else if constexpr (kKind == TypedBinary::kMaximum) {
    return a > b ? a : b;
  } else if constexpr (kKind == TypedBinary::kMinimum) {
    return a < b ? a : b;
  } else if constexpr (kKind == TypedBinary::kSquaredDifference) {
    const T c = Wrapped(a, b, std::minus<>());
    return Wrapped(c, c, std::multiplies<>());
  } else if constexpr (kKind == TypedBinary::kPow) {
    return Power(a, b);
  } else if constexpr (kKind == TypedBinary::kFloorDiv) {
    return FloorDivide(a, b);
  } else if constexpr (kKind == TypedBinary::kFloorMod) {
    return FloorModulo(a, b);
  } else if constexpr (kKind == TypedBinary::kAtan2) {
    return std::atan2(a, b);
  } else if constexpr (kKind == TypedBinary::kXor) {
    return static_cast<T>(a ^ b);
  } else {
    constexpr T kMost = static_cast<T>(sizeof(T) * 8 - 1);
    return static_cast<T>(a >> std::clamp<T>(b, 0, kMost));
  }
}

template <TypedBinary kKind, typename T>
bool Compare(T a, T b) {
  if constexpr (kKind == TypedBinary::kEqual) {
    return a == b;
  } else if constexpr (kKind == TypedBinary::kNotEqual) {
    return a != b;
  } else if constexpr (kKind == TypedBinary::kLess) {
    return a < b;
  } else if constexpr (kKind == TypedBinary::kLessEqual) {
    return a <= b;
  } else if constexpr (kKind == TypedBinary::kGreater) {
    return a > b;
  } else if constexpr (kKind == TypedBinary::kGreaterEqual) {
    return a >= b;
  } else if constexpr (kKind == TypedBinary::kAnd) {
    return a && b;
  } else {
    return a || b;
  }
}

constexpr bool IsLogic(TypedBinary kind) { return kind >= TypedBinary::kAnd; }

template <typename T>
constexpr bool Has(TypedBinary kind) {
  const bool equality =
      kind == TypedBinary::kEqual || kind == TypedBinary::kNotEqual;
  if (std::is_same_v<T, Truth>) return IsLogic(kind) || equality;
  if (kIsComplex<T>) return kind <= TypedBinary::kDiv || equality;
  if (!std::is_arithmetic_v<T> || IsLogic(kind)) return false;
  if (kind == TypedBinary::kAtan2) return !kIsWhole<T>;
  if (kind == TypedBinary::kXor || kind == TypedBinary::kRightShift) {
    return kIsWhole<T>;
  }
  return true;
}

// Operands without a result: a divisor of 0, a power below 0.
template <typename T>
constexpr bool CanBeBad(TypedBinary kind) {
  if (!kIsWhole<T>) return false;
  if (kind == TypedBinary::kPow) return std::is_signed_v<T>;
  return kind == TypedBinary::kDiv || kind == TypedBinary::kFloorDiv ||
         kind == TypedBinary::kFloorMod;
}

template <TypedBinary kKind, typename T>
bool IsBad(T b) {
  if constexpr (kKind == TypedBinary::kPow) return b < 0;
  return b == 0;
}

// Every bound is a small whole number or infinity, which integers lack.
template <typename T>
void ClampAll(const Clamp& clamp, size_t n, T* y) {
  const auto bound = [](float value) {
    if constexpr (kIsWhole<T>) {
      using Limits = std::numeric_limits<T>;
      if (value <= static_cast<float>(Limits::min())) return Limits::min();
      if (value >= static_cast<float>(Limits::max())) return Limits::max();
    }
    return static_cast<T>(value);
  };
  const T low = bound(clamp.low), high = bound(clamp.high);
  for (size_t i = 0; i < n; ++i) {
    y[i] = y[i] < low ? low : y[i] > high ? high : y[i];
  }
}

// Calls use with a constant of the kind, so that each has a loop of its own.
template <typename F>
void WithKind(TypedBinary kind, const F& use) {
  const auto is = [&]<TypedBinary kKind>() {
    if (kind == kKind) use(std::integral_constant<TypedBinary, kKind>());
  };
  [&]<size_t... kKinds>(std::index_sequence<kKinds...>) {
    (is.template operator()<static_cast<TypedBinary>(kKinds)>(), ...);
  }(std::make_index_sequence<static_cast<size_t>(TypedBinary::kOr) + 1>());
}

// Calls run(first output, a, b, steps, count) over pieces of the output, on
// every thread.
template <typename F>
void OverPieces(const BroadcastLoops& loops, ThreadPool& pool, const F& run) {
  if (loops.elements == 0) return;
  const size_t count = loops.rank ? loops.size[loops.rank - 1] : 1;
  const size_t runs = loops.elements / count;
  if (runs == 1) {
    const size_t a_step = loops.rank ? loops.a_stride[0] : 0;
    const size_t b_step = loops.rank ? loops.b_stride[0] : 0;
    pool.Run((count + kPiece - 1) / kPiece, [&](size_t job, size_t) {
      const size_t at = job * kPiece;
      run(at, at * a_step, at * b_step, std::min(kPiece, count - at));
    });
    return;
  }
  const size_t per_job = std::max<size_t>(1, kPiece / count);
  pool.Run((runs + per_job - 1) / per_job, [&](size_t job, size_t) {
    ForEachRun(loops, job * per_job, std::min(runs, (job + 1) * per_job), run);
  });
}

// y[i] = f(a[i], b[i], position) with steps of 0 or 1.
template <typename T, typename Y, typename F>
void ForAll(const BroadcastLoops& loops, const void* a, const void* b, void* y,
            ThreadPool& pool, const F& f) {
  const size_t a_step = loops.rank ? loops.a_stride[loops.rank - 1] : 0;
  const size_t b_step = loops.rank ? loops.b_stride[loops.rank - 1] : 0;
  OverPieces(loops, pool, [&](size_t to, size_t at_a, size_t at_b, size_t n) {
    const T* from_a = static_cast<const T*>(a) + at_a;
    const T* from_b = static_cast<const T*>(b) + at_b;
    Y* result = static_cast<Y*>(y) + to;
    if (a_step == 1 && b_step == 1) {
      for (size_t i = 0; i < n; ++i) {
        result[i] = f(from_a[i], from_b[i], to + i);
      }
      return;
    }
    for (size_t i = 0; i < n; ++i) {
      result[i] = f(from_a[i * a_step], from_b[i * b_step], to + i);
    }
  });
}

constexpr size_t kNone = std::numeric_limits<size_t>::max();

template <TypedBinary kKind, typename T>
void RunOne(const BroadcastLoops& loops, const void* a, const void* b, void* y,
            Activation activation, ThreadPool& pool, std::atomic<size_t>& bad) {
  if constexpr (std::is_same_v<T, Truth>) {
    ForAll<uint8_t, uint8_t>(
        loops, a, b, y, pool, [](uint8_t u, uint8_t v, size_t) {
          return static_cast<uint8_t>(Compare<kKind>(u != 0, v != 0));
        });
  } else if constexpr (kKind >= TypedBinary::kEqual) {
    ForAll<T, uint8_t>(loops, a, b, y, pool, [](T u, T v, size_t) {
      return static_cast<uint8_t>(Compare<kKind>(u, v));
    });
  } else if constexpr (CanBeBad<T>(kKind)) {
    ForAll<T, T>(loops, a, b, y, pool, [&](T u, T v, size_t at) {
      if (!IsBad<kKind>(v)) return Arithmetic<kKind>(u, v);
      // The least position, whoever finds it first.
      size_t seen = bad.load();
      while (at < seen && !bad.compare_exchange_weak(seen, at)) {
      }
      return T(0);
    });
  } else {
    ForAll<T, T>(loops, a, b, y, pool,
                 [](T u, T v, size_t) { return Arithmetic<kKind>(u, v); });
  }
  if constexpr (std::is_arithmetic_v<T> && kKind < TypedBinary::kEqual) {
    if (activation != Activation::kNone) {
      ClampAll(ClampOf(activation), loops.elements, static_cast<T*>(y));
    }
  }
}

template <TypedUnary kKind, typename T>
T Single(T x) {
  if constexpr (kKind == TypedUnary::kSquare) {
    return Wrapped(x, x, std::multiplies<>());
  } else if constexpr (kKind == TypedUnary::kSign) {
    if constexpr (!kIsWhole<T>) {
      if (std::isnan(x)) return x;
    }
    return static_cast<T>((x > 0) - (x < 0));
  } else {
    const bool flip = kKind == TypedUnary::kNeg || x < 0;
    if constexpr (!kIsWhole<T>) {
      return kKind == TypedUnary::kNeg ? -x : std::fabs(x);
    }
    return flip ? Wrapped(T(0), x, std::minus<>()) : x;
  }
}

// use(first, last) over pieces of [0, n).
template <typename F>
void OverFlatPieces(size_t n, ThreadPool& pool, const F& use) {
  pool.Run((n + kPiece - 1) / kPiece, [&](size_t job, size_t) {
    use(job * kPiece, std::min(n, (job + 1) * kPiece));
  });
}

}  // namespace

bool HasTypedBinary(TypedBinary kind, Number type) {
  return WithNumber(type, [&](auto zero) { return Has<decltype(zero)>(kind); });
}

std::optional<size_t> RunTypedBinary(TypedBinary kind, Number type,
                                     const BroadcastLoops& loops, const void* a,
                                     const void* b, void* y,
                                     Activation activation, ThreadPool& pool) {
  std::atomic<size_t> bad = kNone;
  WithNumber(type, [&](auto zero) {
    using T = decltype(zero);
    WithKind(kind, [&](auto constant) {
      constexpr TypedBinary kKind = decltype(constant)::value;
      if constexpr (Has<T>(kKind)) {
        RunOne<kKind, T>(loops, a, b, y, activation, pool, bad);
      }
    });
  });
  if (bad == kNone) return std::nullopt;
  return bad.load();
}

void RunTypedUnary(TypedUnary kind, Number type, size_t n, const void* x,
                   void* y, ThreadPool& pool) {
  WithNumber(type, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_arithmetic_v<T>) {
      const auto all = [&](auto one) {
        OverFlatPieces(n, pool, [&](size_t first, size_t last) {
          for (size_t i = first; i < last; ++i) {
            static_cast<T*>(y)[i] = one(static_cast<const T*>(x)[i]);
          }
        });
      };
      switch (kind) {
        case TypedUnary::kAbs:
          return all([](T v) { return Single<TypedUnary::kAbs>(v); });
        case TypedUnary::kNeg:
          return all([](T v) { return Single<TypedUnary::kNeg>(v); });
        case TypedUnary::kSign:
          return all([](T v) { return Single<TypedUnary::kSign>(v); });
        case TypedUnary::kSquare:
          return all([](T v) { return Single<TypedUnary::kSquare>(v); });
      }
    }
  });
}

void RunClamp(Number type, Activation activation, size_t n, void* y,
              ThreadPool& pool) {
  if (activation == Activation::kNone) return;
  WithNumber(type, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_arithmetic_v<T>) {
      OverFlatPieces(n, pool, [&](size_t first, size_t last) {
        ClampAll(ClampOf(activation), last - first, static_cast<T*>(y) + first);
      });
    }
  });
}

void RunBucketize(Number type, std::span<const float> bounds, size_t n,
                  const void* x, int32_t* y, ThreadPool& pool) {
  WithNumber(type, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_arithmetic_v<T>) {
      OverFlatPieces(n, pool, [&](size_t first, size_t last) {
        for (size_t i = first; i < last; ++i) {
          const auto value = static_cast<double>(static_cast<const T*>(x)[i]);
          y[i] = static_cast<int32_t>(std::ranges::upper_bound(bounds, value) -
                                      bounds.begin());
        }
      });
    }
  });
}

void RunNot(size_t n, const uint8_t* x, uint8_t* y) {
  for (size_t i = 0; i < n; ++i) y[i] = x[i] == 0;
}

void RunRange(Number type, const void* start, const void* delta, size_t n,
              void* y) {
  WithNumber(type, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_arithmetic_v<T>) {
      const T first = *static_cast<const T*>(start);
      const T step = *static_cast<const T*>(delta);
      T* to = static_cast<T*>(y);
      for (size_t i = 0; i < n; ++i) {
        if constexpr (kIsWhole<T>) {
          to[i] = Wrapped(first,
                          Wrapped(static_cast<T>(i), step, std::multiplies<>()),
                          std::plus<>());
        } else {
          to[i] = static_cast<T>(first + static_cast<double>(i) * step);
        }
      }
    }
  });
}

}  // namespace lathe::kernels
