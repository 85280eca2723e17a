// x86 with AVX-512 VNNI.
//
// VPDPBUSD multiplies 4 bytes of weights with 4 bytes of a row and adds them
// into an int32 lane: a vector is 16 columns of 4 numbers of k. 12 rows x 2
// vectors keep 24 sums, 2 vectors of weights and a broadcast in 27 of the 32
// registers.

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "src/kernels/quantized/byte_dot.h"

namespace lathe::kernels {
namespace {

constexpr size_t kWidth = 32;
constexpr size_t kMostRows = 12;

__m512i Four(const int8_t* a) {
  int32_t four;
  std::memcpy(&four, a, sizeof(four));
  return _mm512_set1_epi32(four);
}

// Adds in kChains sums one behind the other, so that few rows do not wait for
// the latency of 5 cycles.
template <size_t kRows, size_t kChains>
void Block(const ByteTile& tile, size_t row) {
  constexpr size_t kSums = kRows * kChains;
  __m512i sum[kSums][2];
#pragma GCC unroll 12
  for (size_t i = 0; i < kRows; ++i) {
    sum[i][0] = _mm512_set1_epi32(tile.start[row + i]);
    sum[i][1] = sum[i][0];
  }
  if (tile.zeros) {
    const __m512i c0 = _mm512_loadu_si512(tile.column_sums);
    const __m512i c1 = _mm512_loadu_si512(tile.column_sums + 16);
#pragma GCC unroll 12
    for (size_t i = 0; i < kRows; ++i) {
      const __m512i zero = _mm512_set1_epi32(tile.zeros[row + i]);
      sum[i][0] = _mm512_sub_epi32(sum[i][0], _mm512_mullo_epi32(zero, c0));
      sum[i][1] = _mm512_sub_epi32(sum[i][1], _mm512_mullo_epi32(zero, c1));
    }
  }
#pragma GCC unroll 12
  for (size_t i = kRows; i < kSums; ++i) {
    sum[i][0] = _mm512_setzero_si512();
    sum[i][1] = _mm512_setzero_si512();
  }
  const int8_t* a = tile.a + row * tile.a_stride;
  const uint8_t* b = tile.b;
  size_t p = 0;
  for (; p + 4 * kChains <= tile.k; p += 4 * kChains) {
#pragma GCC unroll 4
    for (size_t chain = 0; chain < kChains; ++chain, b += 4 * kWidth) {
      const __m512i b0 = _mm512_loadu_si512(b);
      const __m512i b1 = _mm512_loadu_si512(b + 64);
#pragma GCC unroll 12
      for (size_t i = 0; i < kRows; ++i) {
        const __m512i x = Four(a + i * tile.a_stride + p + 4 * chain);
        __m512i* to = sum[chain * kRows + i];
        to[0] = _mm512_dpbusd_epi32(to[0], b0, x);
        to[1] = _mm512_dpbusd_epi32(to[1], b1, x);
      }
    }
  }
  for (; kChains > 1 && p < tile.k; p += 4, b += 4 * kWidth) {
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
  for (size_t i = kRows; i < kSums; ++i) {
    __m512i* to = sum[i % kRows];
    to[0] = _mm512_add_epi32(to[0], sum[i][0]);
    to[1] = _mm512_add_epi32(to[1], sum[i][1]);
  }
#pragma GCC unroll 12
  for (size_t i = 0; i < kRows; ++i) {
    int32_t* to = tile.sums + (row + i) * tile.sums_stride;
    _mm512_storeu_si512(to, sum[i][0]);
    _mm512_storeu_si512(to + 16, sum[i][1]);
  }
}

template <size_t kRows>
void Blocks(const ByteTile& tile, size_t row, size_t rows) {
  if constexpr (kRows > 0) {
    constexpr size_t kChains = kRows >= 5 ? 1 : kRows >= 3 ? 2 : 4;
    if (rows == kRows) return Block<kRows, kChains>(tile, row);
    Blocks<kRows - 1>(tile, row, rows);
  }
}

// Cut evenly: 12 rows and 1 take longer than 7 and 6.
void Dot(const ByteTile& tile) {
  size_t blocks = (tile.rows + kMostRows - 1) / kMostRows;
  for (size_t row = 0; row < tile.rows; --blocks) {
    const size_t rows = (tile.rows - row + blocks - 1) / blocks;
    Blocks<kMostRows>(tile, row, rows);
    row += rows;
  }
}

}  // namespace

extern const ByteDot kByteDotAvx512Vnni;
constinit const ByteDot kByteDotAvx512Vnni = {"int8_12x32_avx512vnni",
                                              Isa::kAvx512Vnni, kWidth, Dot};

}  // namespace lathe::kernels

#endif  // __x86_64__
