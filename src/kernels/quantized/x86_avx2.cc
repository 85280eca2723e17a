// x86 with AVX2: as x86_avx512.cc with half the lanes. 4 rows x 2 vectors keep
// 8 sums, 2 vectors of weights and a broadcast in 11 of the 16 registers.

#if defined(__x86_64__)

#include <immintrin.h>

#include "src/kernels/quantized/rows-inl.h"

namespace lathe::kernels {
namespace {

constexpr size_t kWidth = 16;

template <size_t kRows>
void Block(const DotTile& tile, size_t row) {
  __m256i sum[kRows][2];
#pragma GCC unroll 4
  for (size_t i = 0; i < kRows; ++i) {
    sum[i][0] = _mm256_setzero_si256();
    sum[i][1] = _mm256_setzero_si256();
  }
  const int16_t* a = tile.a + row * tile.a_stride;
  const int8_t* b = tile.b;
  for (size_t p = 0; p < tile.k; p += 2, b += 2 * kWidth) {
    const __m256i b0 = _mm256_cvtepi8_epi16(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(b)));
    const __m256i b1 = _mm256_cvtepi8_epi16(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + kWidth)));
#pragma GCC unroll 4
    for (size_t i = 0; i < kRows; ++i) {
      int32_t pair;
      std::memcpy(&pair, a + i * tile.a_stride + p, sizeof(pair));
      const __m256i x = _mm256_set1_epi32(pair);
      sum[i][0] = _mm256_add_epi32(sum[i][0], _mm256_madd_epi16(x, b0));
      sum[i][1] = _mm256_add_epi32(sum[i][1], _mm256_madd_epi16(x, b1));
    }
  }
#pragma GCC unroll 4
  for (size_t i = 0; i < kRows; ++i) {
    int32_t* to = tile.sums + (row + i) * tile.sums_stride;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), sum[i][0]);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 8), sum[i][1]);
  }
}

// As in x86_avx512.cc, of 8 lanes.
LATHE_INLINE __m256i Rescaled8(__m256i x, __m256i multiplier, __m256i shift) {
  const __m256i nudge = _mm256_set1_epi64x(int64_t{1} << 30);
  const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(x, multiplier), nudge);
  const __m256i odd =
      _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(x, 32),
                                        _mm256_srli_epi64(multiplier, 32)),
                       nudge);
  const __m256i high = _mm256_blend_epi32(_mm256_srli_epi64(even, 31),
                                          _mm256_slli_epi64(odd, 1), 0xAA);
  const __m256i one = _mm256_set1_epi32(1);
  const __m256i right = _mm256_sub_epi32(_mm256_setzero_si256(), shift);
  const __m256i mask = _mm256_sub_epi32(_mm256_sllv_epi32(one, right), one);
  const __m256i threshold =
      _mm256_add_epi32(_mm256_srli_epi32(mask, 1), _mm256_srli_epi32(high, 31));
  const __m256i up =
      _mm256_cmpgt_epi32(_mm256_and_si256(high, mask), threshold);
  return _mm256_sub_epi32(_mm256_srav_epi32(high, right), up);
}

template <typename T>
void RequantizeRow(const FinishRows& rows, const int32_t* sums, T* y) {
  const int32_t* bias = static_cast<const int32_t*>(rows.bias);
  const __m256i zero = _mm256_set1_epi32(rows.zero_point);
  const __m256i low = _mm256_set1_epi32(rows.low - rows.zero_point);
  const __m256i high = _mm256_set1_epi32(rows.high - rows.zero_point);
  for (size_t j = 0; j < rows.n; j += 8) {
    const size_t left = rows.n - j;
    const auto load = [&](const int32_t* from) {
      return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + j));
    };
    const __m256i shift = left < 8 ? _mm256_setzero_si256() : load(rows.shift);
    const __m256i to_left = _mm256_cmpgt_epi32(shift, _mm256_setzero_si256());
    if (left < 8 || _mm256_movemask_epi8(to_left) != 0) {
      Requantize(rows, sums, j, left < 8 ? left : 8, y);
      continue;
    }
    __m256i x = load(sums);
    if (bias) x = _mm256_add_epi32(x, load(bias));
    x = Rescaled8(x, load(rows.multiplier), shift);
    x = _mm256_min_epi32(_mm256_max_epi32(x, low), high);
    x = _mm256_add_epi32(x, zero);
    const __m128i halves = _mm_packs_epi32(_mm256_castsi256_si128(x),
                                           _mm256_extracti128_si256(x, 1));
    if constexpr (sizeof(T) == 2) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(y + j), halves);
    } else if constexpr (T(-1) < T(0)) {
      _mm_storel_epi64(reinterpret_cast<__m128i*>(y + j),
                       _mm_packs_epi16(halves, halves));
    } else {
      _mm_storel_epi64(reinterpret_cast<__m128i*>(y + j),
                       _mm_packus_epi16(halves, halves));
    }
  }
}

void FinishFast(const FinishRows& rows) {
  FinishWith(rows, [](const FinishRows& all, const int32_t* sums, auto* y) {
    RequantizeRow(all, sums, y);
  });
}

struct Words {
  using Vector = __m256i;
  static constexpr size_t kLanes = 8;
  static Vector Widen(const int16_t* from) {
    return _mm256_cvtepi16_epi32(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static Vector Broadcast(int32_t x) { return _mm256_set1_epi32(x); }
  static Vector MultiplyAdd(Vector a, Vector b, Vector sum) {
    return _mm256_add_epi32(sum, _mm256_mullo_epi32(a, b));
  }
  static void Store(int32_t* to, Vector x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x);
  }
};

// As in x86_avx512.cc.
int32_t SumBytesFast(const int8_t* x, size_t n) {
  const __m256i least = _mm256_set1_epi8(-128);
  __m256i sums = _mm256_setzero_si256();
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const __m256i bytes =
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
    sums =
        _mm256_add_epi64(sums, _mm256_sad_epu8(_mm256_xor_si256(bytes, least),
                                               _mm256_setzero_si256()));
  }
  int64_t four[4];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(four), sums);
  const int64_t sum = four[0] + four[1] + four[2] + four[3];
  int32_t rest = 0;
  for (size_t j = i; j < n; ++j) rest += x[j];
  return static_cast<int32_t>(sum - 128 * static_cast<int64_t>(i)) + rest;
}

void Dot(const DotTile& tile) {
  size_t row = 0;
  for (; row + 4 <= tile.rows; row += 4) Block<4>(tile, row);
  for (; row < tile.rows; ++row) Block<1>(tile, row);
}

}  // namespace

constinit const QuantizedKernels kQuantizedAvx2 = {"int8_4x16_avx2",
                                                   Isa::kAvx2,
                                                   kWidth,
                                                   4,
                                                   Dot,
                                                   FinishFast,
                                                   Center,
                                                   Range,
                                                   QuantizeCentered,
                                                   SumTaps<Words>,
                                                   Store,
                                                   Load,
                                                   QuantizeBytes,
                                                   SumBytesFast,
                                                   AddScaled};

}  // namespace lathe::kernels

#endif  // __x86_64__
