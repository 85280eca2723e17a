// The definition of the tile, in plain loops.

#include <algorithm>

#include "src/base/half.h"
#include "src/kernels/gemm/gemm.h"

namespace lathe::kernels {

void GemmF32Scalar(const Tile& tile) {
  for (size_t i = 0; i < tile.rows; ++i) {
    float* c = tile.c + i * tile.c_stride;
    for (size_t j = 0; j < tile.columns; ++j) {
      float sum = tile.accumulate ? c[j] : (tile.bias ? tile.bias[j] : 0.0f);
      for (size_t tap = 0; tap < tile.taps; ++tap) {
        const float* a = tile.a + i * tile.a_stride + tap * tile.a_tap_stride;
        const float* b = tile.b + tap * tile.b_tap_stride;
        for (size_t p = 0; p < tile.k; ++p) sum += a[p] * b[p * tile.width + j];
      }
      if (tile.finish) {
        sum = std::min(std::max(sum, tile.clamp.low), tile.clamp.high);
        if (tile.residual) sum += tile.residual[i * tile.residual_stride + j];
      }
      c[j] = sum;
    }
  }
}

void WidenHalfScalar(const uint16_t* from, size_t n, float* to) {
  for (size_t i = 0; i < n; ++i) to[i] = HalfToFloat(from[i]);
}

}  // namespace lathe::kernels
