#include "src/kernels/quantized/binary.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <limits>
#include <type_traits>

#include "src/kernels/quantized/fixed_point.h"

namespace lathe::kernels {
namespace {

// Elements of one job.
constexpr size_t kPiece = 8192;

int32_t Enter(const ScaledOperand& operand, int32_t q) {
  int32_t x = q - operand.zero_point;
  if (operand.shift != 0) x = FixedShift(x, operand.shift);
  return operand.scaled ? Rescale(x, operand.multiplier) : x;
}

// Enter() for every byte: 256 entries beat the arithmetic.
template <typename T>
struct ByteOperand {
  explicit ByteOperand(const ScaledOperand& operand) {
    for (int32_t q = std::numeric_limits<T>::min();
         q <= std::numeric_limits<T>::max(); ++q) {
      values[static_cast<uint8_t>(q)] = Enter(operand, q);
    }
  }
  int32_t operator()(T q) const { return values[static_cast<uint8_t>(q)]; }
  std::array<int32_t, 256> values;
};

struct DirectOperand {
  explicit DirectOperand(const ScaledOperand& operand) : operand(operand) {}
  int32_t operator()(int16_t q) const { return Enter(operand, q); }
  const ScaledOperand& operand;
};

// Calls each(y_first, count, a_first, a_step, b_first, b_step) for pieces of
// the innermost loop, over the threads.
template <typename F>
void ForEachPiece(const BroadcastLoops& loops, ThreadPool& pool,
                  const F& each) {
  if (loops.elements == 0) return;
  const size_t count = loops.rank ? loops.size[loops.rank - 1] : 1;
  const size_t a_step = loops.rank ? loops.a_stride[loops.rank - 1] : 0;
  const size_t b_step = loops.rank ? loops.b_stride[loops.rank - 1] : 0;
  if (loops.rank <= 1) {  // One run: cut it.
    pool.Run((count + kPiece - 1) / kPiece, [&](size_t job, size_t) {
      const size_t at = job * kPiece;
      each(at, std::min(kPiece, count - at), at * a_step, a_step, at * b_step,
           b_step);
    });
    return;
  }
  const size_t runs = loops.elements / count;
  const size_t per_job = std::max<size_t>(1, kPiece / count);
  pool.Run((runs + per_job - 1) / per_job, [&](size_t job, size_t) {
    ForEachRun(loops, job * per_job, std::min(runs, (job + 1) * per_job),
               [&](size_t y, size_t a, size_t b, size_t n) {
                 each(y, n, a, a_step, b, b_step);
               });
  });
}

// a / b as an integer with the output's multiplier; b != 0. The quotient is
// worked out with all 31 bits before it is brought to scale.
int32_t Divide(int32_t a, int32_t b, Multiplier out) {
  if (b < 0) {
    a = -a;
    b = -b;
  }
  const FixedInverse inverse = InverseOf(b);
  const int headroom =
      a >= 0 ? std::countl_zero(static_cast<uint32_t>(a)) - 1
             : std::countl_zero(2 * static_cast<uint32_t>(-a) - 1);
  const int32_t quotient = RoundingHighMultiply(
      static_cast<int32_t>(static_cast<uint32_t>(a) << headroom),
      inverse.value);
  out.shift -= inverse.shift + headroom;
  return out.shift < -31 ? 0 : Rescale(quotient, out);
}

template <typename T, typename Operand, typename F>
void RunArithmetic(const ScaledBinaryParams& params,
                   const BroadcastLoops& loops, const T* a, const T* b, T* y,
                   ThreadPool& pool, const F& f) {
  const Operand left(params.a), right(params.b);
  ForEachPiece(loops, pool,
               [&](size_t to, size_t n, size_t from_a, size_t a_step,
                   size_t from_b, size_t b_step) {
                 const Multiplier multiplier = params.multiplier;
                 const int32_t zero = params.out_zero;
                 const int32_t low = params.range.low, high = params.range.high;
                 for (size_t i = 0; i < n; ++i) {
                   int32_t value = f(left(a[from_a + i * a_step]),
                                     right(b[from_b + i * b_step]));
                   if (params.scaled) value = Rescale(value, multiplier);
                   // Rescale may use all of int32.
                   const int64_t moved = int64_t{value} + zero;
                   y[to + i] =
                       static_cast<T>(std::clamp<int64_t>(moved, low, high));
                 }
               });
}

template <typename T, typename Operand, typename F>
void RunComparison(const ScaledBinaryParams& params,
                   const BroadcastLoops& loops, const T* a, const T* b,
                   uint8_t* y, ThreadPool& pool, const F& f) {
  const Operand left(params.a), right(params.b);
  ForEachPiece(loops, pool,
               [&](size_t to, size_t n, size_t from_a, size_t a_step,
                   size_t from_b, size_t b_step) {
                 for (size_t i = 0; i < n; ++i) {
                   y[to + i] = f(left(a[from_a + i * a_step]),
                                 right(b[from_b + i * b_step]));
                 }
               });
}

template <typename T, typename F>
void RunPlain(const BroadcastLoops& loops, const T* a, const T* b, T* y,
              ThreadPool& pool, const F& f) {
  ForEachPiece(loops, pool,
               [&](size_t to, size_t n, size_t from_a, size_t a_step,
                   size_t from_b, size_t b_step) {
                 for (size_t i = 0; i < n; ++i) {
                   y[to + i] =
                       f(a[from_a + i * a_step], b[from_b + i * b_step]);
                 }
               });
}

template <typename T>
std::optional<size_t> RunDivision(const ScaledBinaryParams& params,
                                  const BroadcastLoops& loops, const T* a,
                                  const T* b, T* y, ThreadPool& pool) {
  std::atomic<size_t> first_bad = SIZE_MAX;
  ForEachPiece(
      loops, pool,
      [&](size_t to, size_t n, size_t from_a, size_t a_step, size_t from_b,
          size_t b_step) {
        for (size_t i = 0; i < n; ++i) {
          const int32_t divisor = b[from_b + i * b_step] - params.b.zero_point;
          if (divisor == 0) {
            size_t seen = first_bad;
            while (to + i < seen &&
                   !first_bad.compare_exchange_weak(seen, to + i)) {
            }
            return;
          }
          const int64_t value =
              int64_t{Divide(a[from_a + i * a_step] - params.a.zero_point,
                             divisor, params.multiplier)} +
              params.out_zero;
          y[to + i] = static_cast<T>(
              std::clamp<int64_t>(value, params.range.low, params.range.high));
        }
      });
  if (first_bad == SIZE_MAX) return std::nullopt;
  return first_bad;
}

int32_t WrapMultiply(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) *
                              static_cast<uint32_t>(b));
}

template <typename T>
std::optional<size_t> RunTyped(ScaledBinary kind,
                               const ScaledBinaryParams& params,
                               const BroadcastLoops& loops, const void* va,
                               const void* vb, void* vy, ThreadPool& pool) {
  using Operand =
      std::conditional_t<sizeof(T) == 1, ByteOperand<T>, DirectOperand>;
  const T* a = static_cast<const T*>(va);
  const T* b = static_cast<const T*>(vb);
  const auto arithmetic = [&](const auto& f) -> std::optional<size_t> {
    RunArithmetic<T, Operand>(params, loops, a, b, static_cast<T*>(vy), pool,
                              f);
    return std::nullopt;
  };
  const auto comparison = [&](const auto& f) -> std::optional<size_t> {
    RunComparison<T, Operand>(params, loops, a, b, static_cast<uint8_t*>(vy),
                              pool, f);
    return std::nullopt;
  };
  switch (kind) {
    case ScaledBinary::kAdd:
      return arithmetic([](int32_t p, int32_t q) { return WrapAdd(p, q); });
    case ScaledBinary::kSub:
      return arithmetic([](int32_t p, int32_t q) { return WrapSub(p, q); });
    case ScaledBinary::kMul:
      return arithmetic(
          [](int32_t p, int32_t q) { return WrapMultiply(p, q); });
    case ScaledBinary::kSquaredDifference:
      return arithmetic([](int32_t p, int32_t q) {
        const int32_t d = WrapSub(p, q);
        return WrapMultiply(d, d);
      });
    case ScaledBinary::kDiv:
      return RunDivision<T>(params, loops, a, b, static_cast<T*>(vy), pool);
    case ScaledBinary::kMaximum:
      RunPlain<T>(loops, a, b, static_cast<T*>(vy), pool,
                  [](T p, T q) { return std::max(p, q); });
      return std::nullopt;
    case ScaledBinary::kMinimum:
      RunPlain<T>(loops, a, b, static_cast<T*>(vy), pool,
                  [](T p, T q) { return std::min(p, q); });
      return std::nullopt;
    case ScaledBinary::kEqual:
      return comparison([](int32_t p, int32_t q) { return p == q; });
    case ScaledBinary::kNotEqual:
      return comparison([](int32_t p, int32_t q) { return p != q; });
    case ScaledBinary::kLess:
      return comparison([](int32_t p, int32_t q) { return p < q; });
    case ScaledBinary::kLessEqual:
      return comparison([](int32_t p, int32_t q) { return p <= q; });
    case ScaledBinary::kGreater:
      return comparison([](int32_t p, int32_t q) { return p > q; });
    case ScaledBinary::kGreaterEqual:
      return comparison([](int32_t p, int32_t q) { return p >= q; });
  }
  return std::nullopt;
}

template <typename T, typename Alpha>
void RunPrelu(const PreluParams& params, const BroadcastLoops& loops,
              const void* vx, const void* va, void* vy, ThreadPool& pool) {
  const T* x = static_cast<const T*>(vx);
  const Alpha* alpha = static_cast<const Alpha*>(va);
  T* y = static_cast<T*>(vy);
  ForEachPiece(loops, pool,
               [&](size_t to, size_t n, size_t from_x, size_t x_step,
                   size_t from_a, size_t a_step) {
                 for (size_t i = 0; i < n; ++i) {
                   const int32_t value = x[from_x + i * x_step] - params.x_zero;
                   const int32_t out =
                       value >= 0
                           ? Rescale(value, params.positive)
                           : Rescale(value * (alpha[from_a + i * a_step] -
                                              params.alpha_zero),
                                     params.negative);
                   y[to + i] = Saturate<T>(int64_t{out} + params.out_zero);
                 }
               });
}

}  // namespace

std::optional<size_t> RunScaledBinary(ScaledBinary kind, QuantizedType type,
                                      const ScaledBinaryParams& params,
                                      const BroadcastLoops& loops,
                                      const void* a, const void* b, void* y,
                                      ThreadPool& pool) {
  switch (type) {
    case QuantizedType::kInt8:
      return RunTyped<int8_t>(kind, params, loops, a, b, y, pool);
    case QuantizedType::kUint8:
      return RunTyped<uint8_t>(kind, params, loops, a, b, y, pool);
    case QuantizedType::kInt16:
      return RunTyped<int16_t>(kind, params, loops, a, b, y, pool);
  }
  return std::nullopt;
}

void RunQuantizedPrelu(QuantizedType type, const PreluParams& params,
                       const BroadcastLoops& loops, const void* x,
                       const void* alpha, void* y, ThreadPool& pool) {
  switch (type) {
    case QuantizedType::kInt8:
      return RunPrelu<int8_t, int8_t>(params, loops, x, alpha, y, pool);
    case QuantizedType::kUint8:
      return RunPrelu<uint8_t, uint8_t>(params, loops, x, alpha, y, pool);
    case QuantizedType::kInt16:
      return RunPrelu<int16_t, int8_t>(params, loops, x, alpha, y, pool);
  }
}

}  // namespace lathe::kernels
