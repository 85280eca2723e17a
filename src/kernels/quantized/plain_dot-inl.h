// The definition of the tile, in plain loops.

#include "src/kernels/quantized/rows-inl.h"

namespace lathe::kernels {
namespace {

template <size_t kWidth>
void PlainDot(const DotTile& tile) {
  for (size_t i = 0; i < tile.rows; ++i) {
    const int16_t* a = tile.a + i * tile.a_stride;
    uint32_t sums[kWidth] = {};
    for (size_t p = 0; p < tile.k; p += 2) {
      const int8_t* b = tile.b + p * kWidth;
      for (size_t j = 0; j < kWidth; ++j) {
        sums[j] +=
            static_cast<uint32_t>(a[p] * b[2 * j] + a[p + 1] * b[2 * j + 1]);
      }
    }
    std::memcpy(tile.sums + i * tile.sums_stride, sums, sizeof(sums));
  }
}

}  // namespace
}  // namespace lathe::kernels
