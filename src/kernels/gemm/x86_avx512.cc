// f32 GEMM tile for x86 with AVX-512.
//
// An FMA takes 4 cycles and two can start in each, so at least 8 sums must be
// under way. 6 rows x 4 vectors keep 24 sums, 4 vectors of B and a broadcast of
// A in 29 of the 32 registers, with 10 loads for 24 FMAs. Narrower panels take
// more rows. Every loop over the sums must unroll, or GCC 12 keeps them in
// memory.

#include "src/kernels/gemm/gemm.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>

namespace lathe::kernels {
namespace {

// kRows x (16 * kVectors); `mask` selects the valid lanes of the last vector.
template <size_t kRows, size_t kVectors>
void Block(const Tile& t, size_t row, __mmask16 mask) {
  __m512 sum[kRows][kVectors];
  float* c = t.c + row * t.c_stride;
  if (t.accumulate) {
#pragma GCC unroll 24
    for (size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (size_t v = 0; v < kVectors; ++v) {
        sum[i][v] =
            _mm512_maskz_loadu_ps(v + 1 == kVectors ? mask : __mmask16(0xFFFF),
                                  c + i * t.c_stride + 16 * v);
      }
    }
  } else {
#pragma GCC unroll 4
    for (size_t v = 0; v < kVectors; ++v) {
      const __m512 start =
          t.bias ? _mm512_maskz_loadu_ps(
                       v + 1 == kVectors ? mask : __mmask16(0xFFFF),
                       t.bias + 16 * v)
                 : _mm512_setzero_ps();
#pragma GCC unroll 24
      for (size_t i = 0; i < kRows; ++i) sum[i][v] = start;
    }
  }

  for (size_t tap = 0; tap < t.taps; ++tap) {
    const float* a = t.a + row * t.a_stride + tap * t.a_tap_stride;
    const float* b = t.b + tap * t.b_tap_stride;
    for (size_t p = 0; p < t.k; ++p) {
      __m512 columns[kVectors];
#pragma GCC unroll 4
      for (size_t v = 0; v < kVectors; ++v) {
        columns[v] = _mm512_loadu_ps(b + 16 * v);
      }
      b += 16 * kVectors;
#pragma GCC unroll 24
      for (size_t i = 0; i < kRows; ++i) {
        const __m512 x = _mm512_set1_ps(a[i * t.a_stride + p]);
#pragma GCC unroll 4
        for (size_t v = 0; v < kVectors; ++v) {
          sum[i][v] = _mm512_fmadd_ps(x, columns[v], sum[i][v]);
        }
      }
    }
  }

  if (t.finish) {
    const __m512 low = _mm512_set1_ps(t.clamp.low);
    const __m512 high = _mm512_set1_ps(t.clamp.high);
#pragma GCC unroll 24
    for (size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (size_t v = 0; v < kVectors; ++v) {
        // The sum is the second operand, which is what NaN leaves.
        sum[i][v] = _mm512_min_ps(high, _mm512_max_ps(low, sum[i][v]));
      }
    }
    if (t.residual) {
      const float* residual = t.residual + row * t.residual_stride;
#pragma GCC unroll 24
      for (size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
        for (size_t v = 0; v < kVectors; ++v) {
          sum[i][v] = _mm512_add_ps(
              sum[i][v], _mm512_maskz_loadu_ps(
                             v + 1 == kVectors ? mask : __mmask16(0xFFFF),
                             residual + i * t.residual_stride + 16 * v));
        }
      }
    }
  }
#pragma GCC unroll 24
  for (size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (size_t v = 0; v < kVectors; ++v) {
      _mm512_mask_storeu_ps(c + i * t.c_stride + 16 * v,
                            v + 1 == kVectors ? mask : __mmask16(0xFFFF),
                            sum[i][v]);
    }
  }
}

template <size_t kRows, size_t kVectors>
void Rest(const Tile& t, size_t row, __mmask16 mask) {
  if constexpr (kRows > 0) {
    if (t.rows - row == kRows) {
      Block<kRows, kVectors>(t, row, mask);
    } else {
      Rest<kRows - 1, kVectors>(t, row, mask);
    }
  }
}

template <size_t kRows, size_t kVectors>
void AllRows(const Tile& t, __mmask16 mask) {
  size_t row = 0;
  for (; row + kRows <= t.rows; row += kRows) {
    Block<kRows, kVectors>(t, row, mask);
  }
  Rest<kRows - 1, kVectors>(t, row, mask);
}

}  // namespace

void GemmF32Avx512(const Tile& t) {
  const size_t last = t.columns - (t.width - 16);
  const __mmask16 mask =
      last >= 16 ? __mmask16(0xFFFF) : __mmask16((1u << last) - 1);
  switch (t.width / 16) {
    case 4:
      return AllRows<6, 4>(t, mask);
    case 3:
      return AllRows<8, 3>(t, mask);
    case 2:
      return AllRows<12, 2>(t, mask);
    default:
      return AllRows<16, 1>(t, mask);
  }
}

void WidenHalfAvx512(const uint16_t* from, size_t n, float* to) {
  for (size_t i = 0; i < n; i += 16) {
    _mm512_storeu_ps(to + i, _mm512_cvtph_ps(_mm256_loadu_si256(
                                 reinterpret_cast<const __m256i*>(from + i))));
  }
}

}  // namespace lathe::kernels

#endif  // __x86_64__
