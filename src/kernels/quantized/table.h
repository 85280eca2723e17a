// Functions of quantized numbers as tables: 256 entries for bytes, 513 with
// interpolation for 16 bits.

#ifndef LATHE_KERNELS_QUANTIZED_TABLE_H_
#define LATHE_KERNELS_QUANTIZED_TABLE_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "src/base/thread_pool.h"

namespace lathe::kernels {

// By the byte's bits, read as unsigned.
using ByteTable = std::array<uint8_t, 256>;

// table[q] = clamp(f(q)) for each q of T.
template <typename T, typename F>
ByteTable ByteTableOf(const F& f) {
  constexpr int32_t kLow = std::numeric_limits<T>::min();
  constexpr int32_t kHigh = std::numeric_limits<T>::max();
  ByteTable table;
  for (int32_t q = kLow; q <= kHigh; ++q) {
    table[static_cast<uint8_t>(q)] =
        static_cast<uint8_t>(std::clamp<int32_t>(f(q), kLow, kHigh));
  }
  return table;
}

// Scales and zero points in front of and behind a function.
struct Requantized {
  float in_scale = 1;
  int32_t in_zero = 0;
  float out_scale = 1;
  int32_t out_zero = 0;
};

// table[q] = round(f(in_scale * (q - in_zero)) / out_scale) + out_zero, worked
// out in float32 with the inverse of out_scale.
template <typename T, typename F>
ByteTable RealByteTable(const Requantized& scales, const F& f) {
  const float inverse = 1 / scales.out_scale;
  return ByteTableOf<T>([&](int32_t q) {
    const float x = scales.in_scale * static_cast<float>(q - scales.in_zero);
    const float y = std::round(static_cast<float>(f(x)) * inverse) +
                    static_cast<float>(scales.out_zero);
    // Infinities and what no int32 holds; far outside the type anyway.
    if (std::isnan(y)) return int32_t{std::numeric_limits<T>::min()};
    return static_cast<int32_t>(std::clamp(y, -0x1p30f, 0x1p30f));
  });
}

// y[i] = table[x[i]]; y may be x.
void RunByteTable(const ByteTable& table, size_t n, const uint8_t* x,
                  uint8_t* y, ThreadPool& pool);

// Samples at every 128th input and at the end; between them straight lines.
using WordTable = std::array<int16_t, 513>;

inline int16_t WordTableAt(const WordTable& table, int16_t q) {
  const int32_t index = 256 + (q >> 7);
  const int32_t slope = static_cast<int16_t>(table[index + 1] - table[index]);
  return static_cast<int16_t>(table[index] + ((slope * (q & 127) + 64) >> 7));
}

// The table of f over the whole range of int16: each sample is moved by half
// the error that the line makes in the middle of its piece. Real is the type of
// the arithmetic.
template <typename Real, typename F>
WordTable WordTableOf(Real in_scale, int32_t in_zero, Real out_scale,
                      int32_t out_zero, const F& f) {
  constexpr int32_t kLow = std::numeric_limits<int16_t>::min();
  constexpr int32_t kHigh = std::numeric_limits<int16_t>::max();
  constexpr int kPieces = 512;
  const Real in_low = in_scale * static_cast<Real>(kLow - in_zero);
  const Real in_high = in_scale * static_cast<Real>(kHigh - in_zero);
  const Real out_low = out_scale * static_cast<Real>(kLow - out_zero);
  const Real out_high = out_scale * static_cast<Real>(kHigh - out_zero);
  const Real step = (in_high - in_low) / kPieces;
  const Real half_step = step / 2;
  const Real inverse =
      static_cast<Real>(kHigh - kLow + 1) / (out_high - out_low);
  const auto fit = [](Real x) {
    if (std::isnan(x)) return static_cast<int16_t>(kLow);
    return static_cast<int16_t>(
        std::clamp<Real>(x, static_cast<Real>(kLow), static_cast<Real>(kHigh)));
  };
  WordTable table;
  for (int i = 0; i < kPieces; ++i) {
    const Real at = in_low + static_cast<Real>(i) * step;
    const Real here = f(at);
    const Real middle = f(at + half_step);
    const Real next = f(in_low + static_cast<Real>(i + 1) * step);
    const Real sample = std::round(here * inverse);
    const Real line =
        std::round((next * inverse + std::round(here * inverse)) / 2);
    const Real error = line - std::round(middle * inverse);
    table[i] = fit(sample - std::round(error / 2));
  }
  table[kPieces] = fit(std::round(f(in_high) * inverse));
  return table;
}

// y[i] = WordTableAt(table, x[i]); y may be x.
void RunWordTable(const WordTable& table, size_t n, const int16_t* x,
                  int16_t* y, ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_TABLE_H_
