#include "src/kernels/quantized/softmax.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "src/kernels/quantized/fixed_point.h"

namespace lathe::kernels {
namespace {

constexpr size_t kPiece = 8192;

// row(index) for each row, in pieces.
template <typename F>
void ForEachRow(size_t rows, size_t n, ThreadPool& pool, const F& row) {
  const size_t per_job = std::max<size_t>(1, kPiece / std::max<size_t>(1, n));
  pool.Run((rows + per_job - 1) / per_job, [&](size_t job, size_t) {
    const size_t end = std::min(rows, (job + 1) * per_job);
    for (size_t i = job * per_job; i < end; ++i) row(i);
  });
}

template <typename T>
T Largest(size_t n, const T* x) {
  T largest = std::numeric_limits<T>::min();
  for (size_t i = 0; i < n; ++i) largest = std::max(largest, x[i]);
  return largest;
}

int32_t ToInt(float x) {
  if (std::isnan(x)) return 0;
  return static_cast<int32_t>(std::clamp(x, -0x1p30f, 0x1p30f));
}

template <typename T, typename To>
void SoftmaxRow(const ExpTable& table, float out_scale, int32_t out_zero,
                size_t n, const T* x, To* y) {
  const int32_t largest = Largest(n, x);
  float sum = 0;
  for (size_t i = 0; i < n; ++i) sum += table[largest - x[i]];
  const float inverse = 1.0F / (sum * out_scale);
  for (size_t i = 0; i < n; ++i) {
    const float p = table[largest - x[i]] * inverse;
    const int32_t q = std::is_same_v<To, uint8_t>
                          ? ToInt(p + 0.5F)
                          : ToInt(std::round(p)) + out_zero;
    y[i] = Saturate<To>(q);
  }
}

template <typename T>
void LogSoftmaxRow(const ExpTable& table, const Requantized& s, size_t n,
                   const T* x, T* y) {
  const int32_t largest = Largest(n, x);
  float sum = 0;
  for (size_t i = 0; i < n; ++i) sum += table[largest - x[i]];
  const float log_sum = std::log(sum);
  const float scale = s.in_scale / s.out_scale;
  const float shift =
      (s.in_scale * static_cast<float>(largest) + log_sum) / s.out_scale;
  for (size_t i = 0; i < n; ++i) {
    const float p = scale * static_cast<float>(x[i]) - shift;
    y[i] = Saturate<T>(ToInt(std::rint(p) + static_cast<float>(s.out_zero)));
  }
}

template <typename T>
void L2NormRow(int32_t in_zero, size_t n, const T* x, T* y) {
  uint32_t squares = 0;
  for (size_t i = 0; i < n; ++i) {
    const int32_t d = x[i] - in_zero;
    squares += static_cast<uint32_t>(d * d);
  }
  Multiplier inverse =
      InverseSqrt(static_cast<int32_t>(std::min<uint32_t>(squares, INT32_MAX)));
  constexpr bool kSigned = std::is_signed_v<T>;
  // int8 takes the output's scale of 2^-7 into the shift, uint8 into the
  // operand; the roundings differ.
  if (kSigned) inverse.shift += 7;
  for (size_t i = 0; i < n; ++i) {
    const int32_t d = x[i] - in_zero;
    y[i] = Saturate<T>(kSigned ? Rescale(d, inverse)
                               : 128 + Rescale(128 * d, inverse));
  }
}

// f(T*, T*) with the bytes as T.
template <typename F>
void WithSign(bool is_signed, const uint8_t* x, uint8_t* y, const F& f) {
  if (is_signed) {
    f(reinterpret_cast<const int8_t*>(x), reinterpret_cast<int8_t*>(y));
  } else {
    f(x, y);
  }
}

}  // namespace

ExpTable ExpTableOf(float scale) {
  ExpTable table;
  for (int i = 0; i < 256; ++i) {
    table[i] = std::exp(-scale * static_cast<float>(i));
  }
  return table;
}

void RunByteSoftmax(bool is_signed, const ExpTable& table, float out_scale,
                    int32_t out_zero, size_t rows, size_t n, const uint8_t* x,
                    uint8_t* y, ThreadPool& pool) {
  WithSign(is_signed, x, y, [&](const auto* from, auto* to) {
    ForEachRow(rows, n, pool, [&](size_t i) {
      SoftmaxRow(table, out_scale, out_zero, n, from + i * n, to + i * n);
    });
  });
}

void RunByteToWordSoftmax(bool is_signed, const ExpTable& table,
                          float out_scale, size_t rows, size_t n,
                          const uint8_t* x, int16_t* y, ThreadPool& pool) {
  ForEachRow(rows, n, pool, [&](size_t i) {
    if (is_signed) {
      SoftmaxRow(table, out_scale, 0, n,
                 reinterpret_cast<const int8_t*>(x) + i * n, y + i * n);
    } else {
      SoftmaxRow(table, out_scale, 0, n, x + i * n, y + i * n);
    }
  });
}

void RunByteLogSoftmax(bool is_signed, const ExpTable& table,
                       const Requantized& scales, size_t rows, size_t n,
                       const uint8_t* x, uint8_t* y, ThreadPool& pool) {
  WithSign(is_signed, x, y, [&](const auto* from, auto* to) {
    ForEachRow(rows, n, pool, [&](size_t i) {
      LogSoftmaxRow(table, scales, n, from + i * n, to + i * n);
    });
  });
}

WordSoftmax::WordSoftmax(float in_scale, float beta)
    : multiplier_(MultiplierOf(static_cast<double>(in_scale * beta) /
                               (10.0 / 65535.0))),
      exp_(WordTableOf<double>(10.0 / 65535, 32767, 2.0 / 65535, 0,
                               [](double x) { return std::exp(x); })),
      reciprocal_(
          WordTableOf<double>(1.0 / 65535, -32768, 2.0 / 65535, 0,
                              [](double x) { return 1.0 / (1.0 + x); })) {}

void WordSoftmax::Run(size_t rows, size_t n, const int16_t* x, int16_t* y,
                      ThreadPool& pool) const {
  ForEachRow(rows, n, pool, [&](size_t row) {
    const int16_t* from = x + row * n;
    int16_t* to = y + row * n;
    const int32_t largest = Largest(n, from);
    uint64_t wide = 0;  // 15 bits after the point.
    for (size_t i = 0; i < n; ++i) {
      const int32_t d = Rescale(from[i] - largest, multiplier_);
      to[i] = WordTableAt(exp_, Saturate<int16_t>(int64_t{d} + 32767));
      wide += static_cast<uint64_t>(to[i]);
    }
    const uint32_t sum =
        static_cast<uint32_t>(std::min<uint64_t>(wide, INT32_MAX));
    if (sum == 0) return;  // No inputs.
    // The sum as 1 + a fraction in [0, 1), the fraction over all of int16.
    const int zeros = std::countl_zero(sum);
    const int64_t shifted =
        ((static_cast<int64_t>(sum) << (zeros - 1)) + (1 << 13)) >> 14;
    const int32_t inverse = WordTableAt(
        reciprocal_, Saturate<int16_t>(shifted - ((1 << 15) + (1 << 16))));
    const int right = 31 - zeros;
    const int64_t half = right > 0 ? int64_t{1} << (right - 1) : 0;
    for (size_t i = 0; i < n; ++i) {
      const int64_t p = (int64_t{to[i]} * inverse + half) >> right;
      to[i] = static_cast<int16_t>(std::clamp<int64_t>(p, 0, 32767));
    }
  });
}

void RunByteL2Norm(bool is_signed, int32_t in_zero, size_t rows, size_t n,
                   const uint8_t* x, uint8_t* y, ThreadPool& pool) {
  WithSign(is_signed, x, y, [&](const auto* from, auto* to) {
    ForEachRow(rows, n, pool, [&](size_t i) {
      L2NormRow(in_zero, n, from + i * n, to + i * n);
    });
  });
}

}  // namespace lathe::kernels
