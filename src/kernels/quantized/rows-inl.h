// The row operations of one ISA level in plain loops that the compiler turns
// into vectors: included by scalar.cc, x86_avx2.cc ... , whose flags it gets.
// Everything here is static, and nothing shared is called: a copy that the
// linker takes from a higher level would not run on a lower one.

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

template <typename T>
void Requantize(const FinishRow& row) {
  const int32_t* sums = static_cast<const int32_t*>(row.sums);
  const int32_t* bias = static_cast<const int32_t*>(row.bias);
  const int32_t* multiplier = row.multiplier;
  const int32_t* shift = row.shift;
  const int64_t zero = row.zero_point, low = row.low, high = row.high;
  T* __restrict y = static_cast<T*>(row.y);
  const size_t n = row.n;
  if (bias) {
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
void RequantizeWide(const FinishRow& row) {
  const int64_t* sums = static_cast<const int64_t*>(row.sums);
  T* y = static_cast<T*>(row.y);
  for (size_t j = 0; j < row.n; ++j) {
    // Within 2^47 the product with 15 bits fits.
    int64_t sum = Bounded(sums[j], -(int64_t{1} << 46), int64_t{1} << 46);
    if (row.bias) {
      const int64_t bias = row.wide_bias
                               ? static_cast<const int64_t*>(row.bias)[j]
                               : static_cast<const int32_t*>(row.bias)[j];
      sum += Bounded(bias, -(int64_t{1} << 46), int64_t{1} << 46);
    }
    const int64_t r = Rescaled64(sum, row.multiplier[j], row.shift[j]);
    y[j] = static_cast<T>(Bounded(r + row.zero_point, row.low, row.high));
  }
}

template <typename Sum>
void FinishFloats(const FinishRow& row) {
  const Sum* sums = static_cast<const Sum*>(row.sums);
  const float* bias = static_cast<const float*>(row.bias);
  const float* scales = row.scales;
  const float low = row.clamp.low, high = row.clamp.high;
  const float row_scale = row.row_scale;
  float* y = static_cast<float*>(row.y);
  for (size_t j = 0; j < row.n; ++j) {
    const float scale = scales ? row_scale * scales[j] : row_scale;
    float value = static_cast<float>(sums[j]) * scale;
    if (bias) value += bias[j];
    value = value < low ? low : value;
    y[j] = value > high ? high : value;
  }
}

void Finish(const FinishRow& row) {
  using Kind = FinishRow::Kind;
  switch (row.kind) {
    case Kind::kRequantize:
      if (row.type == Integer::kInt8) return Requantize<int8_t>(row);
      if (row.type == Integer::kUint8) return Requantize<uint8_t>(row);
      return Requantize<int16_t>(row);
    case Kind::kWide:
      if (row.type == Integer::kInt8) return RequantizeWide<int8_t>(row);
      if (row.type == Integer::kUint8) return RequantizeWide<uint8_t>(row);
      return RequantizeWide<int16_t>(row);
    case Kind::kRaw:
      std::memcpy(row.y, row.sums, row.n * sizeof(int32_t));
      return;
    case Kind::kFloat:
      return FinishFloats<int32_t>(row);
    case Kind::kFloatSum:
      return FinishFloats<float>(row);
  }
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
  for (size_t j = 1; j < kLanes; ++j) {
    least[0] = least[j] < least[0] ? least[j] : least[0];
    most[0] = most[j] > most[0] ? most[j] : most[0];
  }
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

int32_t SumBytes(const int8_t* x, size_t n) {
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

// Channels c to c + kWide, whose sums stay in registers. kStep is 1, or 0 for
// one input channel that all of them multiply.
template <size_t kWide, size_t kStep>
LATHE_INLINE void SumBlock(const Taps& taps, const int16_t* x, const int16_t* w,
                           int32_t* __restrict sums) {
  uint32_t sum[kWide] = {};
  for (size_t t = 0; t < taps.count; ++t) {
    const int16_t* pixel = x + taps.in[t];
    const int16_t* row = w + taps.filter[t];
    for (size_t i = 0; i < kWide; ++i) {
      sum[i] += static_cast<uint32_t>(int32_t{pixel[i * kStep]} * row[i]);
    }
  }
  std::memcpy(sums, sum, sizeof(sum));
}

template <size_t kStep>
LATHE_INLINE void SumChannels(const Taps& taps, const int16_t* x,
                              const int16_t* w, size_t n, int32_t* sums) {
  size_t c = 0;
  for (; c + 32 <= n; c += 32) {
    SumBlock<32, kStep>(taps, x + c * kStep, w + c, sums + c);
  }
  for (; c + 8 <= n; c += 8) {
    SumBlock<8, kStep>(taps, x + c * kStep, w + c, sums + c);
  }
  for (; c < n; ++c) {
    SumBlock<1, kStep>(taps, x + c * kStep, w + c, sums + c);
  }
}

void SumTaps(const Taps& taps, const int16_t* x, const int16_t* w, size_t n,
             size_t multiplier, int32_t* sums) {
  if (multiplier == 1) return SumChannels<1>(taps, x, w, n, sums);
  for (size_t c = 0; c < n / multiplier; ++c) {
    const size_t first = c * multiplier;
    SumChannels<0>(taps, x + c, w + first, multiplier, sums + first);
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
