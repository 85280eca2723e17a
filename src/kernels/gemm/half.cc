#include "src/kernels/gemm/half.h"

#include <algorithm>
#include <vector>

#include "src/base/half.h"

namespace lathe::kernels {
namespace {

// Few rows use a piece once: 16 KiB leave it in the smallest L1.
constexpr size_t kFewRows = 16;
constexpr size_t kFewRowsFloats = size_t{4} << 10;

}  // namespace

void PackHalfPanels(const GemmKernel& kernel, const PanelShape& shape,
                    const float* source, size_t k_stride, size_t n_stride,
                    uint16_t* packed) {
  std::vector<float> floats(shape.k * kernel.width);
  for (size_t i = 0; i < PanelCount(kernel, shape); ++i) {
    const Panel panel = PanelAt(kernel, shape, i);
    // The panel alone, as if it were the first.
    PackPanel(kernel, {panel.columns, 1, shape.k}, 0,
              source + panel.first * n_stride, 0, k_stride, n_stride,
              floats.data());
    std::transform(floats.begin(), floats.begin() + shape.k * panel.width,
                   packed + panel.offset, FloatToHalf);
  }
}

void RunHalfPanel(const GemmKernel& kernel, const Tile& tile,
                  const uint16_t* halves, float* scratch) {
  const size_t most =
      (tile.rows <= kFewRows ? kFewRowsFloats : kHalfScratchFloats) /
      tile.width;
  for (size_t p = 0; p < tile.k || p == 0; p += most) {
    Tile part = tile;
    part.k = std::min(most, tile.k - p);
    part.a += p;
    part.b = scratch;
    part.accumulate = tile.accumulate || p > 0;
    part.finish = tile.finish && p + part.k == tile.k;
    kernel.widen(halves + p * tile.width, part.k * tile.width, scratch);
    kernel.run(part);
  }
}

}  // namespace lathe::kernels
