#include "src/kernels/elementwise/fake_quant.h"

#include <algorithm>
#include <cmath>

namespace lathe::kernels {

FakeQuant PlanFakeQuant(float min, float max, int bits, bool narrow) {
  const float lowest = narrow ? 1.0f : 0.0f;
  const float highest = static_cast<float>((1 << bits) - 1);
  FakeQuant grid;
  grid.scale = (max - min) / (highest - lowest);
  const float zero =
      std::clamp(std::round(lowest - min / grid.scale), lowest, highest);
  grid.low = (lowest - zero) * grid.scale;
  grid.high = (highest - zero) * grid.scale;
  return grid;
}

void RunFakeQuant(const FakeQuant& grid, size_t n, const float* x, float* y,
                  ThreadPool& pool) {
  constexpr size_t kPiece = 8192;
  const float inverse = 1.0f / grid.scale;
  pool.Run((n + kPiece - 1) / kPiece, [&](size_t job, size_t) {
    const size_t end = std::min(n, (job + 1) * kPiece);
    for (size_t i = job * kPiece; i < end; ++i) {
      const float inside = std::clamp(x[i], grid.low, grid.high);
      y[i] = std::round((inside - grid.low) * inverse) * grid.scale + grid.low;
    }
  });
}

}  // namespace lathe::kernels
