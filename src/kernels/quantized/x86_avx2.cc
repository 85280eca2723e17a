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

void Dot(const DotTile& tile) {
  size_t row = 0;
  for (; row + 4 <= tile.rows; row += 4) Block<4>(tile, row);
  for (; row < tile.rows; ++row) Block<1>(tile, row);
}

}  // namespace

constinit const QuantizedKernels kQuantizedAvx2 = {
    "int8_4x16_avx2", Isa::kAvx2, kWidth,           4,      Dot,   Finish,
    Center,           Range,      QuantizeCentered, AddTap, Store, Load};

}  // namespace lathe::kernels

#endif  // __x86_64__
