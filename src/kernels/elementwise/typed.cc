#include "src/kernels/elementwise/typed.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace lathe::kernels {
namespace {

constexpr size_t kPiece = 8192;  // Elements of one job.

// Through the unsigned type, where overflow is defined.
template <typename T, typename F>
T Wrapped(T a, T b, const F& f) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    return static_cast<T>(f(static_cast<U>(a), static_cast<U>(b)));
  } else {
    return f(a, b);
  }
}

template <typename T>
T Divide(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == -1) return Wrapped(T(0), a, std::minus<>());  // The lowest / -1.
  }
  return a / b;
}

template <typename T>
T FloorDivide(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == -1) return Divide(a, b);
    return static_cast<T>(a / b - (a % b != 0 && (a < 0) != (b < 0)));
  } else {
    return std::floor(a / b);
  }
}

template <typename T>
T FloorModulo(T a, T b) {
  T rest;
  if constexpr (std::is_integral_v<T>) {
    rest = b == -1 ? T(0) : static_cast<T>(a % b);
  } else {
    rest = std::fmod(a, b);
  }
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

template <typename T>
T Power(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    T result = 1;
    for (; b > 0; b >>= 1) {
      if (b & 1) result = Wrapped(result, a, std::multiplies<>());
      a = Wrapped(a, a, std::multiplies<>());
    }
    return result;
  } else {
    return std::pow(a, b);
  }
}

bool IsArithmetic(TypedBinary kind) { return kind <= TypedBinary::kFloorMod; }

bool IsLogic(TypedBinary kind) { return kind >= TypedBinary::kAnd; }

template <typename T>
T Arithmetic(TypedBinary kind, T a, T b) {
  switch (kind) {
    case TypedBinary::kAdd:
      return Wrapped(a, b, std::plus<>());
    case TypedBinary::kSub:
      return Wrapped(a, b, std::minus<>());
    case TypedBinary::kMul:
      return Wrapped(a, b, std::multiplies<>());
    case TypedBinary::kDiv:
      return Divide(a, b);
    case TypedBinary::kMaximum:
      return a > b ? a : b;
    case TypedBinary::kMinimum:
      return a < b ? a : b;
    case TypedBinary::kSquaredDifference: {
      const T c = Wrapped(a, b, std::minus<>());
      return Wrapped(c, c, std::multiplies<>());
    }
    case TypedBinary::kPow:
      return Power(a, b);
    case TypedBinary::kFloorDiv:
      return FloorDivide(a, b);
    default:
      return FloorModulo(a, b);
  }
}

template <typename T>
bool Compare(TypedBinary kind, T a, T b) {
  switch (kind) {
    case TypedBinary::kEqual:
      return a == b;
    case TypedBinary::kNotEqual:
      return a != b;
    case TypedBinary::kLess:
      return a < b;
    case TypedBinary::kLessEqual:
      return a <= b;
    case TypedBinary::kGreater:
      return a > b;
    case TypedBinary::kGreaterEqual:
      return a >= b;
    case TypedBinary::kAnd:
      return a != T(0) && b != T(0);
    default:
      return a != T(0) || b != T(0);
  }
}

// Integers whose result does not exist.
template <typename T>
bool IsBad(TypedBinary kind, T b) {
  if (!std::is_integral_v<T>) return false;
  if (kind == TypedBinary::kPow) return b < 0;
  return b == 0 &&
         (kind == TypedBinary::kDiv || kind == TypedBinary::kFloorDiv ||
          kind == TypedBinary::kFloorMod);
}

template <typename T>
T Clamped(T value, Activation activation) {
  if (activation == Activation::kNone) return value;
  // Every bound is a small whole number or infinity, which int lacks.
  const Clamp clamp = ClampOf(activation);
  if (static_cast<double>(value) < clamp.low) return static_cast<T>(clamp.low);
  if (static_cast<double>(value) > clamp.high) {
    return static_cast<T>(clamp.high);
  }
  return value;
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

template <typename T, typename Y, typename F>
void ForAll(const BroadcastLoops& loops, const void* a, const void* b, void* y,
            ThreadPool& pool, const F& f) {
  const size_t a_step = loops.rank ? loops.a_stride[loops.rank - 1] : 0;
  const size_t b_step = loops.rank ? loops.b_stride[loops.rank - 1] : 0;
  OverPieces(loops, pool, [&](size_t to, size_t at_a, size_t at_b, size_t n) {
    const T* from_a = static_cast<const T*>(a) + at_a;
    const T* from_b = static_cast<const T*>(b) + at_b;
    Y* result = static_cast<Y*>(y) + to;
    for (size_t i = 0; i < n; ++i) {
      result[i] = f(from_a[i * a_step], from_b[i * b_step], to + i);
    }
  });
}

template <typename T>
constexpr bool kCounts =
    std::is_same_v<T, float> || std::is_same_v<T, int32_t> ||
    std::is_same_v<T, int64_t>;

// Strides of `shape` seen from `out`: 0 where it is broadcast.
void Strides(std::span<const int32_t> shape, std::span<const int32_t> out,
             size_t* strides) {
  size_t run = 1;
  for (size_t i = out.size(); i-- > 0;) {
    const size_t from_right = out.size() - i;
    const size_t dim =
        from_right > shape.size()
            ? 1
            : static_cast<size_t>(shape[shape.size() - from_right]);
    strides[i] = dim == 1 ? 0 : run;
    run *= dim;
  }
}

template <typename T>
void Select(const SelectLoops& loops, const uint8_t* condition, const T* a,
            const T* b, T* y, ThreadPool& pool) {
  if (loops.elements == 0) return;
  const size_t last = loops.rank ? loops.rank - 1 : 0;
  const size_t count = loops.rank ? loops.size[last] : 1;
  const size_t runs = loops.elements / count;
  const size_t per_job = std::max<size_t>(1, kPiece / count);
  pool.Run((runs + per_job - 1) / per_job, [&](size_t job, size_t) {
    const size_t end = std::min(runs, (job + 1) * per_job);
    for (size_t outer = job * per_job; outer < end; ++outer) {
      size_t rest = outer, c = 0, at_a = 0, at_b = 0;
      for (size_t i = last; i-- > 0;) {
        const size_t index = rest % loops.size[i];
        rest /= loops.size[i];
        c += index * loops.condition[i];
        at_a += index * loops.a[i];
        at_b += index * loops.b[i];
      }
      for (size_t i = 0; i < count; ++i) {
        y[outer * count + i] = condition[c + i * loops.condition[last]]
                                   ? a[at_a + i * loops.a[last]]
                                   : b[at_b + i * loops.b[last]];
      }
    }
  });
}

struct Bytes16 {
  uint64_t parts[2];
};

}  // namespace

bool HasTypedBinary(TypedBinary kind, Number type) {
  if (IsLogic(kind)) return type == Number::kBool;
  if (type == Number::kFloat32 || type == Number::kInt32 ||
      type == Number::kInt64) {
    return true;
  }
  if (IsArithmetic(kind)) return false;
  if (type == Number::kBool) {
    return kind == TypedBinary::kEqual || kind == TypedBinary::kNotEqual;
  }
  return type != Number::kFloat16 && type != Number::kBfloat16;
}

std::optional<size_t> RunTypedBinary(TypedBinary kind, Number type,
                                     const BroadcastLoops& loops, const void* a,
                                     const void* b, void* y,
                                     Activation activation, ThreadPool& pool) {
  constexpr size_t kNone = std::numeric_limits<size_t>::max();
  std::atomic<size_t> bad = kNone;
  WithNumber(type, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (kCounts<T>) {
      if (IsArithmetic(kind)) {
        ForAll<T, T>(loops, a, b, y, pool, [&](T u, T v, size_t at) {
          if (IsBad(kind, v)) {
            // The least position, whoever finds it first.
            size_t seen = bad.load();
            while (at < seen && !bad.compare_exchange_weak(seen, at)) {
            }
            return T(0);
          }
          return Clamped(Arithmetic(kind, u, v), activation);
        });
        return;
      }
    }
    if constexpr (std::is_same_v<T, Truth>) {
      ForAll<uint8_t, uint8_t>(loops, a, b, y, pool,
                               [&](uint8_t u, uint8_t v, size_t) {
                                 return Compare<bool>(kind, u != 0, v != 0);
                               });
    } else if constexpr (std::is_arithmetic_v<T>) {
      ForAll<T, uint8_t>(loops, a, b, y, pool, [&](T u, T v, size_t) {
        return Compare<T>(kind, u, v);
      });
    }
  });
  if (bad == kNone) return std::nullopt;
  return bad.load();
}

void RunNot(size_t n, const uint8_t* x, uint8_t* y) {
  for (size_t i = 0; i < n; ++i) y[i] = x[i] == 0;
}

void RunRange(Number type, const void* start, const void* delta, size_t n,
              void* y) {
  WithNumber(type, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (kCounts<T>) {
      const T first = *static_cast<const T*>(start);
      const T step = *static_cast<const T*>(delta);
      T* to = static_cast<T*>(y);
      for (size_t i = 0; i < n; ++i) {
        if constexpr (std::is_integral_v<T>) {
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

SelectLoops PlanSelect(std::span<const int32_t> condition,
                       std::span<const int32_t> a, std::span<const int32_t> b,
                       std::span<const int32_t> out) {
  SelectLoops loops;
  loops.rank = out.size();
  for (size_t i = 0; i < out.size(); ++i) {
    loops.size[i] = static_cast<size_t>(out[i]);
    loops.elements *= loops.size[i];
  }
  Strides(condition, out, loops.condition.data());
  Strides(a, out, loops.a.data());
  Strides(b, out, loops.b.data());
  return loops;
}

void RunSelect(const SelectLoops& loops, size_t element_bytes,
               const uint8_t* condition, const std::byte* a, const std::byte* b,
               std::byte* y, ThreadPool& pool) {
  const auto as = [&]<typename T>(T) {
    Select(loops, condition, reinterpret_cast<const T*>(a),
           reinterpret_cast<const T*>(b), reinterpret_cast<T*>(y), pool);
  };
  switch (element_bytes) {
    case 1:
      return as(uint8_t{});
    case 2:
      return as(uint16_t{});
    case 4:
      return as(uint32_t{});
    case 8:
      return as(uint64_t{});
    default:
      return as(Bytes16{});
  }
}

}  // namespace lathe::kernels
