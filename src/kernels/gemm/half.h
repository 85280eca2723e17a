// Weights that stay float16 in memory: widened piece by piece into a buffer
// that stays in cache, so that products are those of the same numbers in
// float32.
//
// Comes after: gemm.h

#ifndef LATHE_KERNELS_GEMM_HALF_H_
#define LATHE_KERNELS_GEMM_HALF_H_

#include "src/kernels/gemm/gemm.h"

namespace lathe::kernels {

// A piece of a panel, of one thread.
inline constexpr size_t kHalfScratchFloats = size_t{1} << 16;

// PackPanels with taps = 1, as halves; `source` holds nothing that is none.
// There are PackedFloats of them.
void PackHalfPanels(const GemmKernel& kernel, const PanelShape& shape,
                    const float* source, size_t k_stride, size_t n_stride,
                    uint16_t* packed);

// RunPanel with the panel `halves` for tile.b; one tap, and c is not the
// residual.
void RunHalfPanel(const GemmKernel& kernel, const Tile& tile,
                  const uint16_t* halves, float* scratch);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_GEMM_HALF_H_
