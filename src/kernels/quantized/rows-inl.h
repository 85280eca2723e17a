// The row operations of one ISA level in plain loops that the compiler turns
// into vectors: included by scalar.cc, x86_avx2.cc ... , whose flags it gets.
// Everything here is static, and nothing shared is called: a copy that the
// linker takes from a higher level would not run on a lower one.

#include <cstddef>
#include <cstring>

#include "src/kernels/quantized/quantized.h"

namespace lathe::kernels {
namespace {

#define LATHE_INLINE inline __attribute__((always_inline))

LATHE_INLINE int64_t Bounded(int64_t x, int64_t low, int64_t high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

LATHE_INLINE int32_t AddModulo(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) +
                              static_cast<uint32_t>(b));
}

// Rescale of requantize.h without branches.
LATHE_INLINE int64_t Rescaled(int32_t x, int32_t multiplier, int32_t shift) {
  const int32_t left = shift > 0 ? shift : 0;
  const int32_t right = shift > 0 ? 0 : -shift;
  const int64_t wide =
      Bounded(int64_t{x} * (int64_t{1} << left), INT32_MIN, INT32_MAX);
  const int64_t high = (wide * multiplier + (int64_t{1} << 30)) >> 31;
  const int64_t half = (int64_t{1} << right) >> 1;
  const int64_t negative = high < 0 && right > 0 ? 1 : 0;
  return (high + half - negative) >> right;
}

LATHE_INLINE int64_t Rescaled64(int64_t x, int32_t multiplier, int32_t shift) {
  int64_t value = (int64_t{multiplier} + (1 << 15)) >> 16;
  value = value > 32767 ? 32767 : value;
  const int32_t right = 15 - shift;
  const int64_t product = x * value;
  if (right > 0) {
    return Bounded((product + (int64_t{1} << (right - 1))) >> right, INT32_MIN,
                   INT32_MAX);
  }
  return Bounded(Bounded(product, -(int64_t{1} << 32), int64_t{1} << 32) *
                     (int64_t{1} << -right),
                 INT32_MIN, INT32_MAX);
}

// The outputs of row i.
template <typename T>
LATHE_INLINE T* OutputOf(const FinishRows& rows, size_t i) {
  return static_cast<T*>(rows.y) + (rows.at ? rows.at[i] : i * rows.y_stride);
}
template <typename Sum>
LATHE_INLINE const Sum* SumsOf(const FinishRows& rows, size_t i) {
  return reinterpret_cast<const Sum*>(static_cast<const std::byte*>(rows.sums) +
                                      i * rows.sums_stride);
}

// n outputs from column `first` on.
template <typename T>
void Requantize(const FinishRows& rows, const int32_t* sums, size_t first,
                size_t n, T* __restrict y) {
  const int32_t* bias = static_cast<const int32_t*>(rows.bias);
  const int32_t* multiplier = rows.multiplier + first;
  const int32_t* shift = rows.shift + first;
  const int64_t zero = rows.zero_point, low = rows.low, high = rows.high;
  sums += first;
  y += first;
  if (bias) {
    bias += first;
    for (size_t j = 0; j < n; ++j) {
      const int64_t r =
          Rescaled(AddModulo(sums[j], bias[j]), multiplier[j], shift[j]);
      y[j] = static_cast<T>(Bounded(AddModulo(r, zero), low, high));
    }
  } else {
    for (size_t j = 0; j < n; ++j) {
      const int64_t r = Rescaled(sums[j], multiplier[j], shift[j]);
      y[j] = static_cast<T>(Bounded(AddModulo(r, zero), low, high));
    }
  }
}

template <typename T>
void RequantizeRows(const FinishRows& rows) {
  for (size_t i = 0; i < rows.rows; ++i) {
    Requantize(rows, SumsOf<int32_t>(rows, i), 0, rows.n, OutputOf<T>(rows, i));
  }
}

template <typename T>
void RequantizeWide(const FinishRows& rows) {
  for (size_t i = 0; i < rows.rows; ++i) {
    const int64_t* sums = SumsOf<int64_t>(rows, i);
    T* y = OutputOf<T>(rows, i);
    for (size_t j = 0; j < rows.n; ++j) {
      // Within 2^47 the product with 15 bits fits.
      int64_t sum = Bounded(sums[j], -(int64_t{1} << 46), int64_t{1} << 46);
      if (rows.bias) {
        const int64_t bias = rows.wide_bias
                                 ? static_cast<const int64_t*>(rows.bias)[j]
                                 : static_cast<const int32_t*>(rows.bias)[j];
        sum += Bounded(bias, -(int64_t{1} << 46), int64_t{1} << 46);
      }
      const int64_t r = Rescaled64(sum, rows.multiplier[j], rows.shift[j]);
      y[j] = static_cast<T>(Bounded(r + rows.zero_point, rows.low, rows.high));
    }
  }
}

// Written as vectors: GCC 12 would make them of equal columns of many rows.
constexpr size_t kFloatLanes = 16;
typedef float Floats __attribute__((vector_size(64), aligned(4)));

template <typename Sum>
LATHE_INLINE Floats LoadFloats(const Sum* from) {
  typedef Sum Sums __attribute__((vector_size(64), aligned(4)));
  return __builtin_convertvector(*reinterpret_cast<const Sums*>(from), Floats);
}

template <bool kScales, bool kBias, bool kResidual, typename Sum>
LATHE_INLINE void FloatRow(const FinishRows& rows, const Sum* sums,
                           float row_scale, const float* residual, float* y) {
  const float low = rows.clamp.low, high = rows.clamp.high;
  const float* scales = rows.scales;
  const float* bias = static_cast<const float*>(rows.bias);
  size_t j = 0;
  for (; j + kFloatLanes <= rows.n; j += kFloatLanes) {
    Floats scale = row_scale - Floats{};
    if (kScales) scale *= LoadFloats(scales + j);
    Floats value = LoadFloats(sums + j) * scale;
    if (kBias) value += LoadFloats(bias + j);
    value = value < low ? low - Floats{} : value;
    value = value > high ? high - Floats{} : value;
    if (kResidual) value += LoadFloats(residual + j);
    *reinterpret_cast<Floats*>(y + j) = value;
  }
  for (; j < rows.n; ++j) {
    const float scale = kScales ? row_scale * scales[j] : row_scale;
    float value = static_cast<float>(sums[j]) * scale;
    if (kBias) value += bias[j];
    value = value < low ? low : value;
    value = value > high ? high : value;
    y[j] = kResidual ? value + residual[j] : value;
  }
}

template <bool kScales, bool kBias, bool kResidual, typename Sum>
void FloatRows(const FinishRows& rows) {
  for (size_t i = 0; i < rows.rows; ++i) {
    float* y = OutputOf<float>(rows, i);
    const float* residual =
        kResidual ? rows.residual + (y - static_cast<float*>(rows.y)) : nullptr;
    FloatRow<kScales, kBias, kResidual>(
        rows, SumsOf<Sum>(rows, i), rows.row_scales ? rows.row_scales[i] : 1,
        residual, y);
  }
}

template <typename Sum>
void FinishFloats(const FinishRows& rows) {
  const auto with = [&]<bool kScales, bool kBias>() {
    if (rows.residual) return FloatRows<kScales, kBias, true, Sum>(rows);
    FloatRows<kScales, kBias, false, Sum>(rows);
  };
  if (rows.scales && rows.bias) return with.template operator()<true, true>();
  if (rows.scales) return with.template operator()<true, false>();
  if (rows.bias) return with.template operator()<false, true>();
  with.template operator()<false, false>();
}

void Finish(const FinishRows& rows) {
  using Kind = FinishRows::Kind;
  switch (rows.kind) {
    case Kind::kRequantize:
      if (rows.type == Integer::kInt8) return RequantizeRows<int8_t>(rows);
      if (rows.type == Integer::kUint8) return RequantizeRows<uint8_t>(rows);
      return RequantizeRows<int16_t>(rows);
    case Kind::kWide:
      if (rows.type == Integer::kInt8) return RequantizeWide<int8_t>(rows);
      if (rows.type == Integer::kUint8) return RequantizeWide<uint8_t>(rows);
      return RequantizeWide<int16_t>(rows);
    case Kind::kRaw:
      for (size_t i = 0; i < rows.rows; ++i) {
        std::memcpy(OutputOf<int32_t>(rows, i), SumsOf<int32_t>(rows, i),
                    rows.n * sizeof(int32_t));
      }
      return;
    case Kind::kFloat:
      return FinishFloats<int32_t>(rows);
    case Kind::kFloatSum:
      return FinishFloats<float>(rows);
  }
}

// Finish of a level whose vectors requantize a row: requantize_row(rows, sums
// of the row, its int8, uint8 or int16 output).
template <typename Row>
void FinishWith(const FinishRows& rows, Row requantize_row) {
  if (rows.kind != FinishRows::Kind::kRequantize) return Finish(rows);
  const auto each = [&]<typename T>(T) {
    for (size_t i = 0; i < rows.rows; ++i) {
      requantize_row(rows, SumsOf<int32_t>(rows, i), OutputOf<T>(rows, i));
    }
  };
  if (rows.type == Integer::kInt8) return each(int8_t{});
  if (rows.type == Integer::kUint8) return each(uint8_t{});
  each(int16_t{});
}

template <typename T>
void CenterAs(const T* x, size_t n, int32_t zero, int16_t* __restrict to) {
  for (size_t i = 0; i < n; ++i) to[i] = static_cast<int16_t>(x[i] - zero);
}

void Center(Integer type, const void* x, size_t n, int32_t zero, int16_t* to) {
  if (type == Integer::kInt8) {
    return CenterAs(static_cast<const int8_t*>(x), n, zero, to);
  }
  if (type == Integer::kUint8) {
    return CenterAs(static_cast<const uint8_t*>(x), n, zero, to);
  }
  CenterAs(static_cast<const int16_t*>(x), n, zero, to);
}

// Brings 2 kHalf lanes to one.
template <size_t kHalf>
LATHE_INLINE void Fold(float* least, float* most) {
  for (size_t j = 0; j < kHalf; ++j) {
    const float a = least[j + kHalf], b = most[j + kHalf];
    least[j] = a < least[j] ? a : least[j];
    most[j] = b > most[j] ? b : most[j];
  }
  if constexpr (kHalf > 1) Fold<kHalf / 2>(least, most);
}

void Range(const float* x, size_t n, float* low, float* high) {
  // Separate lanes, so that no comparison waits for the one before.
  constexpr size_t kLanes = 64;
  float least[kLanes] = {}, most[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) {
      const float value = x[i + j];
      least[j] = value < least[j] ? value : least[j];
      most[j] = value > most[j] ? value : most[j];
    }
  }
  for (; i < n; ++i) {
    least[0] = x[i] < least[0] ? x[i] : least[0];
    most[0] = x[i] > most[0] ? x[i] : most[0];
  }
  Fold<kLanes / 2>(least, most);
  *low = least[0];
  *high = most[0];
}

// round(x), halves away from zero, for |x| < 2^22: the largest number below a
// half moves every x to the integer that truncation then finds.
LATHE_INLINE int32_t Rounded(float x) {
  return static_cast<int32_t>(x + __builtin_copysignf(0x1.fffffep-2f, x));
}

void QuantizeCentered(const float* x, size_t n, float inverse, int32_t zero,
                      int32_t low, int32_t high, int16_t* __restrict to) {
  const float offset = static_cast<float>(zero);
  const float least = static_cast<float>(low);
  const float most = static_cast<float>(high);
  for (size_t i = 0; i < n; ++i) {
    float value = offset + x[i] * inverse;
    // Also catches NaN, which is not above anything.
    value = value > least ? value : least;
    value = value < most ? value : most;
    to[i] = static_cast<int16_t>(Rounded(value) - zero);
  }
}

int32_t QuantizeBytes(const float* x, size_t n, float inverse, int32_t zero,
                      int32_t low, int32_t high, int8_t* __restrict to) {
  const float offset = static_cast<float>(zero);
  const float least = static_cast<float>(low);
  const float most = static_cast<float>(high);
  int32_t sum = 0;
  for (size_t i = 0; i < n; ++i) {
    float value = offset + x[i] * inverse;
    value = value > least ? value : least;
    value = value < most ? value : most;
    const int32_t rounded = Rounded(value);
    to[i] = static_cast<int8_t>(rounded);
    sum += rounded;
  }
  return sum;
}

// Levels with instructions for it have their own.
[[maybe_unused]] int32_t SumBytes(const int8_t* x, size_t n) {
  int32_t sum = 0;
  for (size_t i = 0; i < n; ++i) sum += x[i];
  return sum;
}

void AddScaled(const int32_t* sums, const float* scales, size_t n,
               float* __restrict to) {
  for (size_t i = 0; i < n; ++i) {
    to[i] += static_cast<float>(sums[i]) * scales[i];
  }
}

// Eight lanes as the compiler makes them; of more, GCC 12 does not find the
// instruction that widens.
struct EightWords {
  typedef uint32_t Vector __attribute__((vector_size(32), aligned(4)));
  static constexpr size_t kLanes = 8;
  static Vector Widen(const int16_t* from) {
    typedef int16_t Halves __attribute__((vector_size(16), aligned(2)));
    typedef int32_t Signed __attribute__((vector_size(32), aligned(4)));
    return reinterpret_cast<Vector>(__builtin_convertvector(
        *reinterpret_cast<const Halves*>(from), Signed));
  }
  static Vector Broadcast(int32_t x) {
    return static_cast<uint32_t>(x) - Vector{};
  }
  static Vector MultiplyAdd(Vector a, Vector b, Vector sum) {
    return sum + a * b;
  }
  static void Store(int32_t* to, Vector x) { std::memcpy(to, &x, sizeof(x)); }
};

// kVectors vectors of channels, whose sums stay in registers. kStep is 1, or 0
// for one input channel that all of them multiply.
template <typename V, size_t kVectors, size_t kStep>
LATHE_INLINE void SumBlock(const Taps& taps, const int16_t* x, const int16_t* w,
                           int32_t* sums) {
  typename V::Vector sum[kVectors];
  for (auto& one : sum) one = V::Broadcast(0);
  for (size_t t = 0; t < taps.count; ++t) {
    const int16_t* pixel = x + taps.in[t];
    const int16_t* row = w + taps.filter[t];
#pragma GCC unroll 4
    for (size_t v = 0; v < kVectors; ++v) {
      const typename V::Vector factor =
          kStep == 1 ? V::Widen(pixel + V::kLanes * v) : V::Broadcast(*pixel);
      sum[v] = V::MultiplyAdd(factor, V::Widen(row + V::kLanes * v), sum[v]);
    }
  }
#pragma GCC unroll 4
  for (size_t v = 0; v < kVectors; ++v) {
    V::Store(sums + V::kLanes * v, sum[v]);
  }
}

template <typename V, size_t kStep>
LATHE_INLINE void SumChannels(const Taps& taps, const int16_t* x,
                              const int16_t* w, size_t n, int32_t* sums) {
  size_t c = 0;
  for (; c + 2 * V::kLanes <= n; c += 2 * V::kLanes) {
    SumBlock<V, 2, kStep>(taps, x + c * kStep, w + c, sums + c);
  }
  for (; c + V::kLanes <= n; c += V::kLanes) {
    SumBlock<V, 1, kStep>(taps, x + c * kStep, w + c, sums + c);
  }
  for (; c + 8 <= n; c += 8) {
    SumBlock<EightWords, 1, kStep>(taps, x + c * kStep, w + c, sums + c);
  }
  for (; c < n; ++c) {
    uint32_t sum = 0;
    for (size_t t = 0; t < taps.count; ++t) {
      sum += static_cast<uint32_t>(int32_t{x[taps.in[t] + c * kStep]} *
                                   w[taps.filter[t] + c]);
    }
    sums[c] = static_cast<int32_t>(sum);
  }
}

template <typename V>
void SumTaps(const Taps& taps, const int16_t* x, const int16_t* w, size_t n,
             size_t multiplier, int32_t* sums) {
  if (multiplier == 1) return SumChannels<V, 1>(taps, x, w, n, sums);
  for (size_t c = 0; c < n / multiplier; ++c) {
    const size_t first = c * multiplier;
    SumChannels<V, 0>(taps, x + c, w + first, multiplier, sums + first);
  }
}

template <typename T>
void StoreAs(const float* x, size_t n, float scale, int32_t zero, int32_t low,
             int32_t high, T* __restrict y) {
  const float least = static_cast<float>(low - zero);
  const float most = static_cast<float>(high - zero);
  for (size_t i = 0; i < n; ++i) {
    float value = x[i] / scale;
    value = value != value ? 0.0f : value;
    value = value < least ? least : value;
    value = value > most ? most : value;
    const int32_t sum = Rounded(value) + zero;
    // NaN is the zero point even if that lies outside.
    y[i] = static_cast<T>(sum < low ? low : sum > high ? high : sum);
  }
}

void Store(const float* x, size_t n, float scale, int32_t zero, int32_t low,
           int32_t high, Integer type, void* y) {
  if (type == Integer::kInt8) {
    return StoreAs(x, n, scale, zero, low, high, static_cast<int8_t*>(y));
  }
  if (type == Integer::kUint8) {
    return StoreAs(x, n, scale, zero, low, high, static_cast<uint8_t*>(y));
  }
  StoreAs(x, n, scale, zero, low, high, static_cast<int16_t*>(y));
}

template <typename T>
void LoadAs(const T* x, size_t n, float scale, int32_t zero,
            float* __restrict y) {
  for (size_t i = 0; i < n; ++i) {
    y[i] = scale * static_cast<float>(int32_t{x[i]} - zero);
  }
}

void Load(Integer type, const void* x, size_t n, float scale, int32_t zero,
          float* y) {
  if (type == Integer::kInt8) {
    return LoadAs(static_cast<const int8_t*>(x), n, scale, zero, y);
  }
  if (type == Integer::kUint8) {
    return LoadAs(static_cast<const uint8_t*>(x), n, scale, zero, y);
  }
  LoadAs(static_cast<const int16_t*>(x), n, scale, zero, y);
}

}  // namespace
}  // namespace lathe::kernels
