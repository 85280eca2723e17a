#include "src/kernels/reduce/scan.h"

#include <algorithm>
#include <limits>
#include <type_traits>

namespace lathe::kernels {
namespace {

constexpr size_t kPiece = 16384;  // Input elements of one job.

// Calls line(o, i) for every line along the axis.
template <typename F>
void ForLines(const AxisLoops& loops, ThreadPool& pool, const F& line) {
  const size_t lines = loops.outer * loops.inner;
  const size_t per_job =
      std::max<size_t>(1, kPiece / std::max<size_t>(1, loops.n));
  pool.Run((lines + per_job - 1) / per_job, [&](size_t job, size_t) {
    const size_t end = std::min(lines, (job + 1) * per_job);
    for (size_t at = job * per_job; at < end; ++at) {
      line(at / loops.inner, at % loops.inner);
    }
  });
}

template <typename T>
size_t Position(bool largest, const T* x, size_t n, size_t stride) {
  size_t best = 0;
  for (size_t k = 1; k < n; ++k) {
    const T v = x[k * stride], so_far = x[best * stride];
    if (largest ? v > so_far : v < so_far) best = k;
  }
  return best;
}

size_t OffsetOf(const std::vector<ReduceLoops::Dim>& dims, size_t index) {
  size_t offset = 0;
  for (size_t i = dims.size(); i-- > 0;) {
    offset += index % dims[i].size * dims[i].stride;
    index /= dims[i].size;
  }
  return offset;
}

// use(x[...]) for every reduced element, until it returns false.
template <typename T, typename F>
void ForReduced(const ReduceLoops& loops, const T* x, const F& use) {
  const bool scalar = loops.reduced.empty();
  const size_t count = scalar ? 1 : loops.reduced.back().size;
  const size_t stride = scalar ? 1 : loops.reduced.back().stride;
  if (count == 0) return;
  for (size_t i = 0; i < loops.inputs_per_output; i += count) {
    const T* run = x + OffsetOf(loops.reduced, i);
    for (size_t k = 0; k < count; ++k) {
      if (!use(run[k * stride])) return;
    }
  }
}

template <typename T>
T Whole(Reduction kind, const ReduceLoops& loops, const T* x) {
  const size_t n = loops.inputs_per_output;
  // Unsigned, where overflow is defined; the low bits are those of any width.
  uint64_t sum = kind == Reduction::kProd ? 1 : 0;
  T most = std::numeric_limits<T>::min();
  T least = std::numeric_limits<T>::max();
  ForReduced(loops, x, [&](T v) {
    const uint64_t wide = static_cast<uint64_t>(v);
    sum = kind == Reduction::kProd ? sum * wide : sum + wide;
    most = std::max(most, v);
    least = std::min(least, v);
    return true;
  });
  if (kind == Reduction::kMax) return most;
  if (kind == Reduction::kMin) return least;
  if (kind == Reduction::kMean) {
    if (n == 0) return 0;
    if (std::is_unsigned_v<T>) return static_cast<T>(sum / n);
    return static_cast<T>(static_cast<int64_t>(sum) / static_cast<int64_t>(n));
  }
  return static_cast<T>(sum);
}

template <typename T, typename F>
void ForOutputs(const ReduceLoops& loops, const T* x, T* y, ThreadPool& pool,
                const F& one) {
  const size_t per_job = std::max<size_t>(
      1, kPiece / std::max<size_t>(1, loops.inputs_per_output));
  pool.Run((loops.outputs + per_job - 1) / per_job, [&](size_t job, size_t) {
    const size_t end = std::min(loops.outputs, (job + 1) * per_job);
    for (size_t i = job * per_job; i < end; ++i) {
      // An empty input has no address to count from.
      y[i] =
          one(loops.inputs_per_output == 0 ? x : x + OffsetOf(loops.kept, i));
    }
  });
}

}  // namespace

AxisLoops PlanAxis(std::span<const int32_t> shape, size_t axis) {
  AxisLoops loops;
  for (size_t i = 0; i < shape.size(); ++i) {
    const size_t size = static_cast<size_t>(shape[i]);
    (i < axis ? loops.outer : i == axis ? loops.n : loops.inner) *= size;
  }
  return loops;
}

void RunArg(bool largest, Number type, const AxisLoops& loops, const void* x,
            bool wide, void* y, ThreadPool& pool) {
  WithNumber(type, [&](auto zero) {
    using Type = decltype(zero);
    using T = std::conditional_t<std::is_same_v<Type, Truth>, uint8_t, Type>;
    if constexpr (std::is_arithmetic_v<T>) {
      ForLines(loops, pool, [&](size_t o, size_t i) {
        const size_t at = Position(
            largest, static_cast<const T*>(x) + o * loops.n * loops.inner + i,
            loops.n, loops.inner);
        const size_t to = o * loops.inner + i;
        if (wide) {
          static_cast<int64_t*>(y)[to] = static_cast<int64_t>(at);
        } else {
          static_cast<int32_t*>(y)[to] = static_cast<int32_t>(at);
        }
      });
    }
  });
}

void RunCumsum(Number type, const AxisLoops& loops, bool exclusive,
               bool reverse, const void* x, void* y, ThreadPool& pool) {
  WithNumber(type, [&](auto zero) {
    using T = decltype(zero);
    constexpr bool kWhole = std::is_integral_v<T>;
    if constexpr (std::is_arithmetic_v<T>) {
      ForLines(loops, pool, [&](size_t o, size_t i) {
        using Sum = std::conditional_t<kWhole, uint64_t, double>;
        Sum sum = 0;
        for (size_t k = 0; k < loops.n; ++k) {
          const size_t index = reverse ? loops.n - 1 - k : k;
          const size_t at = (o * loops.n + index) * loops.inner + i;
          const T v = static_cast<const T*>(x)[at];
          const Sum with = sum + static_cast<Sum>(v);
          static_cast<T*>(y)[at] = static_cast<T>(exclusive ? sum : with);
          sum = with;
        }
      });
    }
  });
}

void RunReduceWhole(Number type, Reduction kind, const ReduceLoops& loops,
                    const void* x, void* y, ThreadPool& pool) {
  WithNumber(type, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_integral_v<T>) {
      ForOutputs(loops, static_cast<const T*>(x), static_cast<T*>(y), pool,
                 [&](const T* from) { return Whole(kind, loops, from); });
    } else if constexpr (std::is_same_v<T, Truth>) {
      ForOutputs(loops, static_cast<const uint8_t*>(x),
                 static_cast<uint8_t*>(y), pool, [&](const uint8_t* from) {
                   const bool all = kind == Reduction::kMin;
                   bool result = all;
                   ForReduced(loops, from, [&](uint8_t v) {
                     result = v != 0;
                     return result == all;
                   });
                   return static_cast<uint8_t>(result);
                 });
    }
  });
}

}  // namespace lathe::kernels
