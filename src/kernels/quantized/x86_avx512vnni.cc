// x86 with AVX-512 VNNI.
//
// VPDPBUSD multiplies 4 bytes of weights with 4 bytes of a row and adds them
// into an int32 lane: a vector is 16 columns of 4 numbers of k. 12 rows x 2
// vectors keep 24 sums, 2 vectors of weights and a broadcast in 27 of the 32
// registers. One row alone has 4 chains, so that the latency of 5 cycles does
// not wait on itself.

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "src/kernels/quantized/byte_dot.h"

namespace lathe::kernels {
namespace {

constexpr size_t kWidth = 32;

__m512i Four(const int8_t* a) {
  int32_t four;
  std::memcpy(&four, a, sizeof(four));
  return _mm512_set1_epi32(four);
}

template <size_t kRows>
void Block(const ByteTile& tile, size_t row) {
  __m512i sum[kRows][2];
#pragma GCC unroll 12
  for (size_t i = 0; i < kRows; ++i) {
    sum[i][0] = _mm512_set1_epi32(tile.start[row + i]);
    sum[i][1] = sum[i][0];
  }
  const int8_t* a = tile.a + row * tile.a_stride;
  const uint8_t* b = tile.b;
  for (size_t p = 0; p < tile.k; p += 4, b += 4 * kWidth) {
    const __m512i b0 = _mm512_loadu_si512(b);
    const __m512i b1 = _mm512_loadu_si512(b + 64);
#pragma GCC unroll 12
    for (size_t i = 0; i < kRows; ++i) {
      const __m512i x = Four(a + i * tile.a_stride + p);
      sum[i][0] = _mm512_dpbusd_epi32(sum[i][0], b0, x);
      sum[i][1] = _mm512_dpbusd_epi32(sum[i][1], b1, x);
    }
  }
#pragma GCC unroll 12
  for (size_t i = 0; i < kRows; ++i) {
    int32_t* to = tile.sums + (row + i) * tile.sums_stride;
    _mm512_storeu_si512(to, sum[i][0]);
    _mm512_storeu_si512(to + 16, sum[i][1]);
  }
}

void OneRow(const ByteTile& tile, size_t row) {
  __m512i sum[4][2];
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    sum[i][0] =
        i == 0 ? _mm512_set1_epi32(tile.start[row]) : _mm512_setzero_si512();
    sum[i][1] = sum[i][0];
  }
  const int8_t* a = tile.a + row * tile.a_stride;
  const uint8_t* b = tile.b;
  size_t p = 0;
  for (; p + 16 <= tile.k; p += 16, b += 16 * kWidth) {
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i) {
      const __m512i x = Four(a + p + 4 * i);
      const uint8_t* four = b + 4 * kWidth * i;
      sum[i][0] = _mm512_dpbusd_epi32(sum[i][0], _mm512_loadu_si512(four), x);
      sum[i][1] =
          _mm512_dpbusd_epi32(sum[i][1], _mm512_loadu_si512(four + 64), x);
    }
  }
  for (; p < tile.k; p += 4, b += 4 * kWidth) {
    const __m512i x = Four(a + p);
    sum[0][0] = _mm512_dpbusd_epi32(sum[0][0], _mm512_loadu_si512(b), x);
    sum[0][1] = _mm512_dpbusd_epi32(sum[0][1], _mm512_loadu_si512(b + 64), x);
  }
  int32_t* to = tile.sums + row * tile.sums_stride;
#pragma GCC unroll 2
  for (size_t v = 0; v < 2; ++v) {
    _mm512_storeu_si512(
        to + 16 * v, _mm512_add_epi32(_mm512_add_epi32(sum[0][v], sum[1][v]),
                                      _mm512_add_epi32(sum[2][v], sum[3][v])));
  }
}

void Dot(const ByteTile& tile) {
  size_t row = 0;
  for (; row + 12 <= tile.rows; row += 12) Block<12>(tile, row);
  for (; row + 6 <= tile.rows; row += 6) Block<6>(tile, row);
  for (; row + 3 <= tile.rows; row += 3) Block<3>(tile, row);
  for (; row < tile.rows; ++row) OneRow(tile, row);
}

}  // namespace

extern const ByteDot kByteDotAvx512Vnni;
constinit const ByteDot kByteDotAvx512Vnni = {"int8_12x32_avx512vnni",
                                              Isa::kAvx512Vnni, kWidth, Dot};

}  // namespace lathe::kernels

#endif  // __x86_64__
