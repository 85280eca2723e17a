// f32 GEMM tile for 64-bit Arm with NEON.
//
// 6 rows x 4 vectors: 24 sums, 4 vectors of B and one of A in 29 of the 32
// registers; an FMA by lane needs no broadcast.

#include "src/kernels/gemm/gemm.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#include <cstddef>

namespace lathe::kernels {
namespace {

template <size_t kRows, size_t kVectors>
void Block(const Tile& t, size_t row) {
  float32x4_t sum[kRows][kVectors];
  // Columns beyond the valid ones are computed in registers and not stored.
  float start[4 * kVectors] = {};
#pragma GCC unroll 16
  for (size_t i = 0; i < kRows; ++i) {
    const float* from = t.accumulate ? t.c + (row + i) * t.c_stride : t.bias;
    if (from != nullptr) {
      for (size_t j = 0; j < t.columns; ++j) start[j] = from[j];
    }
#pragma GCC unroll 4
    for (size_t v = 0; v < kVectors; ++v) sum[i][v] = vld1q_f32(start + 4 * v);
  }
  for (size_t tap = 0; tap < t.taps; ++tap) {
    const float* a = t.a + row * t.a_stride + tap * t.a_tap_stride;
    const float* b = t.b + tap * t.b_tap_stride;
    for (size_t p = 0; p < t.k; ++p) {
      float32x4_t columns[kVectors];
#pragma GCC unroll 4
      for (size_t v = 0; v < kVectors; ++v) columns[v] = vld1q_f32(b + 4 * v);
      b += 4 * kVectors;
#pragma GCC unroll 16
      for (size_t i = 0; i < kRows; ++i) {
        const float x = a[i * t.a_stride + p];
#pragma GCC unroll 4
        for (size_t v = 0; v < kVectors; ++v) {
          sum[i][v] = vfmaq_n_f32(sum[i][v], columns[v], x);
        }
      }
    }
  }
#pragma GCC unroll 16
  for (size_t i = 0; i < kRows; ++i) {
    float out[4 * kVectors];
#pragma GCC unroll 4
    for (size_t v = 0; v < kVectors; ++v) {
      if (t.finish) {
        sum[i][v] = vminq_f32(vmaxq_f32(sum[i][v], vdupq_n_f32(t.clamp.low)),
                              vdupq_n_f32(t.clamp.high));
      }
      vst1q_f32(out + 4 * v, sum[i][v]);
    }
    const bool add = t.finish && t.residual != nullptr;
    for (size_t j = 0; j < t.columns; ++j) {
      if (add) out[j] += t.residual[(row + i) * t.residual_stride + j];
      t.c[(row + i) * t.c_stride + j] = out[j];
    }
  }
}

template <size_t kVectors>
void AllRows(const Tile& t) {
  size_t row = 0;
  for (; row + 6 <= t.rows; row += 6) Block<6, kVectors>(t, row);
  for (; row + 2 <= t.rows; row += 2) Block<2, kVectors>(t, row);
  for (; row < t.rows; ++row) Block<1, kVectors>(t, row);
}

}  // namespace

void GemmF32Neon(const Tile& t) {
  switch (t.width / 4) {
    case 4:
      return AllRows<4>(t);
    case 3:
      return AllRows<3>(t);
    case 2:
      return AllRows<2>(t);
    default:
      return AllRows<1>(t);
  }
}

void WidenHalfNeon(const uint16_t* from, size_t n, float* to) {
  for (size_t i = 0; i < n; i += 4) {
    vst1q_f32(to + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from + i))));
  }
}

}  // namespace lathe::kernels

#endif  // __aarch64__
