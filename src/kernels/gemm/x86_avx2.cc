// f32 GEMM tile for x86 with AVX2 and FMA.
//
// 6 rows x 2 vectors: 12 sums, 2 vectors of B and a broadcast of A in 15 of the
// 16 registers. The last vector of a row may be cut by a mask.

#include "src/kernels/gemm/gemm.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace lathe::kernels {
namespace {

__m256i LaneMask(size_t lanes) {
  alignas(32) static constexpr int32_t kOnes[16] = {-1, -1, -1, -1,
                                                    -1, -1, -1, -1};
  return _mm256_loadu_si256(
      reinterpret_cast<const __m256i*>(kOnes + 8 - lanes));
}

template <size_t kRows, size_t kVectors>
void Block(const Tile& t, size_t row, __m256i mask) {
  const __m256i all = _mm256_set1_epi32(-1);
  __m256 sum[kRows][kVectors];
  float* c = t.c + row * t.c_stride;
  if (t.accumulate) {
#pragma GCC unroll 12
    for (size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (size_t v = 0; v < kVectors; ++v) {
        sum[i][v] = _mm256_maskload_ps(c + i * t.c_stride + 8 * v,
                                       v + 1 == kVectors ? mask : all);
      }
    }
  } else {
#pragma GCC unroll 2
    for (size_t v = 0; v < kVectors; ++v) {
      const __m256 start =
          t.bias ? _mm256_maskload_ps(t.bias + 8 * v,
                                      v + 1 == kVectors ? mask : all)
                 : _mm256_setzero_ps();
#pragma GCC unroll 12
      for (size_t i = 0; i < kRows; ++i) sum[i][v] = start;
    }
  }

  for (size_t tap = 0; tap < t.taps; ++tap) {
    const float* a = t.a + row * t.a_stride + tap * t.a_tap_stride;
    const float* b = t.b + tap * t.b_tap_stride;
    for (size_t p = 0; p < t.k; ++p) {
      __m256 columns[kVectors];
#pragma GCC unroll 2
      for (size_t v = 0; v < kVectors; ++v) {
        columns[v] = _mm256_loadu_ps(b + 8 * v);
      }
      b += 8 * kVectors;
#pragma GCC unroll 12
      for (size_t i = 0; i < kRows; ++i) {
        const __m256 x = _mm256_broadcast_ss(a + i * t.a_stride + p);
#pragma GCC unroll 2
        for (size_t v = 0; v < kVectors; ++v) {
          sum[i][v] = _mm256_fmadd_ps(x, columns[v], sum[i][v]);
        }
      }
    }
  }

  if (t.finish) {
    const __m256 low = _mm256_set1_ps(t.clamp.low);
    const __m256 high = _mm256_set1_ps(t.clamp.high);
#pragma GCC unroll 12
    for (size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (size_t v = 0; v < kVectors; ++v) {
        sum[i][v] = _mm256_min_ps(high, _mm256_max_ps(low, sum[i][v]));
        if (t.residual) {
          sum[i][v] = _mm256_add_ps(
              sum[i][v], _mm256_maskload_ps(
                             t.residual + (row + i) * t.residual_stride + 8 * v,
                             v + 1 == kVectors ? mask : all));
        }
      }
    }
  }
#pragma GCC unroll 12
  for (size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (size_t v = 0; v < kVectors; ++v) {
      _mm256_maskstore_ps(c + i * t.c_stride + 8 * v,
                          v + 1 == kVectors ? mask : all, sum[i][v]);
    }
  }
}

template <size_t kRows, size_t kVectors>
void Rest(const Tile& t, size_t row, __m256i mask) {
  if constexpr (kRows > 0) {
    if (t.rows - row == kRows) {
      Block<kRows, kVectors>(t, row, mask);
    } else {
      Rest<kRows - 1, kVectors>(t, row, mask);
    }
  }
}

template <size_t kRows, size_t kVectors>
void AllRows(const Tile& t, __m256i mask) {
  size_t row = 0;
  for (; row + kRows <= t.rows; row += kRows) {
    Block<kRows, kVectors>(t, row, mask);
  }
  Rest<kRows - 1, kVectors>(t, row, mask);
}

}  // namespace

void GemmF32Avx2(const Tile& t) {
  const __m256i mask = LaneMask(t.columns - (t.width - 8));
  if (t.width == 16) return AllRows<6, 2>(t, mask);
  AllRows<12, 1>(t, mask);
}

void WidenHalfAvx2(const uint16_t* from, size_t n, float* to) {
  for (size_t i = 0; i < n; i += 8) {
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128(
                                 reinterpret_cast<const __m128i*>(from + i))));
  }
}

}  // namespace lathe::kernels

#endif  // __x86_64__
