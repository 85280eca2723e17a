// x86 with AVX-512.
//
// VPMADDWD multiplies pairs of int16 and adds them into int32 lanes, so a
// vector holds 16 columns of one pair of k. 6 rows x 2 vectors keep 12 sums,
// the widened weights of 2 vectors and a broadcast in 15 of the 32 registers;
// weights are widened once for 6 rows.

#if defined(__x86_64__)

#include <immintrin.h>

#include "src/kernels/quantized/rows-inl.h"

namespace lathe::kernels {
namespace {

constexpr size_t kWidth = 32;

template <size_t kRows>
void Block(const DotTile& tile, size_t row) {
  __m512i sum[kRows][2];
#pragma GCC unroll 6
  for (size_t i = 0; i < kRows; ++i) {
    sum[i][0] = _mm512_setzero_si512();
    sum[i][1] = _mm512_setzero_si512();
  }
  const int16_t* a = tile.a + row * tile.a_stride;
  const int8_t* b = tile.b;
  for (size_t p = 0; p < tile.k; p += 2, b += 2 * kWidth) {
    const __m512i b0 = _mm512_cvtepi8_epi16(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b)));
    const __m512i b1 = _mm512_cvtepi8_epi16(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + kWidth)));
#pragma GCC unroll 6
    for (size_t i = 0; i < kRows; ++i) {
      int32_t pair;
      std::memcpy(&pair, a + i * tile.a_stride + p, sizeof(pair));
      const __m512i x = _mm512_set1_epi32(pair);
      sum[i][0] = _mm512_add_epi32(sum[i][0], _mm512_madd_epi16(x, b0));
      sum[i][1] = _mm512_add_epi32(sum[i][1], _mm512_madd_epi16(x, b1));
    }
  }
#pragma GCC unroll 6
  for (size_t i = 0; i < kRows; ++i) {
    int32_t* to = tile.sums + (row + i) * tile.sums_stride;
    _mm512_storeu_si512(to, sum[i][0]);
    _mm512_storeu_si512(to + 16, sum[i][1]);
  }
}

// Rescaled() of 16 lanes whose shifts are not to the left: even and odd lanes
// are multiplied apart, bits 31 to 62 are the high half, and the shift to the
// right rounds by its remainder, which cannot overflow.
LATHE_INLINE __m512i Rescaled16(__m512i x, __m512i multiplier, __m512i shift) {
  const __m512i nudge = _mm512_set1_epi64(int64_t{1} << 30);
  const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(x, multiplier), nudge);
  const __m512i odd =
      _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(x, 32),
                                        _mm512_srli_epi64(multiplier, 32)),
                       nudge);
  const __m512i high =
      _mm512_mask_blend_epi32(__mmask16{0xAAAA}, _mm512_srli_epi64(even, 31),
                              _mm512_slli_epi64(odd, 1));
  const __m512i one = _mm512_set1_epi32(1);
  const __m512i right = _mm512_sub_epi32(_mm512_setzero_si512(), shift);
  const __m512i mask = _mm512_sub_epi32(_mm512_sllv_epi32(one, right), one);
  const __m512i threshold =
      _mm512_add_epi32(_mm512_srli_epi32(mask, 1), _mm512_srli_epi32(high, 31));
  const __mmask16 up =
      _mm512_cmpgt_epi32_mask(_mm512_and_si512(high, mask), threshold);
  const __m512i cut = _mm512_srav_epi32(high, right);
  return _mm512_mask_add_epi32(cut, up, cut, one);
}

template <typename T>
void RequantizeRow(const FinishRows& rows, const int32_t* sums, T* y) {
  const int32_t* bias = static_cast<const int32_t*>(rows.bias);
  const __m512i zero = _mm512_set1_epi32(rows.zero_point);
  const __m512i low = _mm512_set1_epi32(rows.low - rows.zero_point);
  const __m512i high = _mm512_set1_epi32(rows.high - rows.zero_point);
  for (size_t j = 0; j < rows.n; j += 16) {
    const size_t left = rows.n - j;
    const __mmask16 lanes = left >= 16
                                ? __mmask16{0xFFFF}
                                : static_cast<__mmask16>((1u << left) - 1);
    const __m512i shift = _mm512_maskz_loadu_epi32(lanes, rows.shift + j);
    if (_mm512_cmpgt_epi32_mask(shift, _mm512_setzero_si512()) != 0) {
      Requantize(rows, sums, j, left < 16 ? left : 16, y);
      continue;
    }
    __m512i x = _mm512_maskz_loadu_epi32(lanes, sums + j);
    if (bias) {
      x = _mm512_add_epi32(x, _mm512_maskz_loadu_epi32(lanes, bias + j));
    }
    x = Rescaled16(x, _mm512_maskz_loadu_epi32(lanes, rows.multiplier + j),
                   shift);
    x = _mm512_min_epi32(_mm512_max_epi32(x, low), high);
    x = _mm512_add_epi32(x, zero);
    if constexpr (sizeof(T) == 1) {
      _mm512_mask_cvtepi32_storeu_epi8(y + j, lanes, x);
    } else {
      _mm512_mask_cvtepi32_storeu_epi16(y + j, lanes, x);
    }
  }
}

void FinishFast(const FinishRows& rows) {
  FinishWith(rows, [](const FinishRows& all, const int32_t* sums, auto* y) {
    RequantizeRow(all, sums, y);
  });
}

struct Words {
  using Vector = __m512i;
  static constexpr size_t kLanes = 16;
  static Vector Widen(const int16_t* from) {
    return _mm512_cvtepi16_epi32(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static Vector Broadcast(int32_t x) { return _mm512_set1_epi32(x); }
  static Vector MultiplyAdd(Vector a, Vector b, Vector sum) {
    return _mm512_add_epi32(sum, _mm512_mullo_epi32(a, b));
  }
  static void Store(int32_t* to, Vector x) { _mm512_storeu_si512(to, x); }
};

// Differences from the least byte are not negative, and summed by eights.
int32_t SumBytesFast(const int8_t* x, size_t n) {
  const __m512i least = _mm512_set1_epi8(-128);
  __m512i sums = _mm512_setzero_si512();
  for (size_t i = 0; i < n; i += 64) {
    const size_t left = n - i;
    const __mmask64 lanes =
        left >= 64 ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
    const __m512i bytes = _mm512_mask_loadu_epi8(least, lanes, x + i);
    sums =
        _mm512_add_epi64(sums, _mm512_sad_epu8(_mm512_xor_si512(bytes, least),
                                               _mm512_setzero_si512()));
  }
  return static_cast<int32_t>(_mm512_reduce_add_epi64(sums) -
                              128 * static_cast<int64_t>(n));
}

void Dot(const DotTile& tile) {
  size_t row = 0;
  for (; row + 6 <= tile.rows; row += 6) Block<6>(tile, row);
  for (; row + 2 <= tile.rows; row += 2) Block<2>(tile, row);
  if (row < tile.rows) Block<1>(tile, row);
}

}  // namespace

constinit const QuantizedKernels kQuantizedAvx512 = {"int8_6x32_avx512",
                                                     Isa::kAvx512,
                                                     kWidth,
                                                     6,
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
