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

void Dot(const DotTile& tile) {
  size_t row = 0;
  for (; row + 6 <= tile.rows; row += 6) Block<6>(tile, row);
  for (; row + 2 <= tile.rows; row += 2) Block<2>(tile, row);
  if (row < tile.rows) Block<1>(tile, row);
}

}  // namespace

constinit const QuantizedKernels kQuantizedAvx512 = {
    "int8_6x32_avx512", Isa::kAvx512, kWidth, 6,   Dot, Finish, Center, Range,
    QuantizeCentered,   AddTap,       Store,  Load};

}  // namespace lathe::kernels

#endif  // __x86_64__
