// f32 matrix multiply: one tile contract for every ISA, one driver for all.
//
// The tile has *taps*, so that a convolution is the same kernel with another
// way to find a row.
// Add a kernel: write <isa>.cc, add its row to kernels.inc. Tests, benchmarks
// and `lathe doctor` read the same table.

#ifndef LATHE_KERNELS_GEMM_GEMM_H_
#define LATHE_KERNELS_GEMM_GEMM_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "src/base/cpu.h"
#include "src/base/thread_pool.h"
#include "src/kernels/activation.h"

namespace lathe::kernels {

// Computes, for 0 <= i < rows and 0 <= j < columns, all strides in floats:
//
//   s = accumulate ? c[i, j] : (bias ? bias[j] : 0)
//   for tap in 0 .. taps-1, p in 0 .. k-1, in this order:
//     s = s + a[i * a_stride + tap * a_tap_stride + p] * b[tap, p, j]
//   c[i, j] = finish ? clamp(s) + (residual ? residual[i, j] : 0) : s
//
// `b` is a panel of `width` columns: element (tap, p, j) lies at
// (tap * b_tap_stride + p * width) + j. Because sums run in one order and may
// be parked in c, no blocking changes a bit. Reads and writes nothing else; no
// alignment is assumed.
struct Tile {
  size_t rows = 0, columns = 0, width = 0;
  size_t taps = 1, k = 0;
  const float* a = nullptr;
  size_t a_stride = 0, a_tap_stride = 0;
  const float* b = nullptr;
  size_t b_tap_stride = 0;
  float* c = nullptr;
  size_t c_stride = 0;
  const float* bias = nullptr;
  const float* residual = nullptr;
  size_t residual_stride = 0;
  Clamp clamp;
  bool accumulate = false, finish = true;
};

// Any number of rows; `columns` <= `width`, one of the kernel's widths.
using TileFn = void (*)(const Tile& tile);
// to[i] = the float16 from[i], exactly; n is a multiple of the kernel's lane.
using WidenFn = void (*)(const uint16_t* from, size_t n, float* to);

struct GemmKernel {
  std::string_view name;
  Isa isa;
  uint8_t lane;   // Panel widths are multiples of this ...
  uint8_t width;  // ... up to this, the width of all but the last panel.
  uint8_t rows;   // Rows of one register tile of full width.
  TileFn run;
  WidenFn widen;
};

// Every kernel in this build, fastest first.
std::span<const GemmKernel> GemmKernels();

// The fastest kernel not above `limit` that this CPU has.
const GemmKernel& ChooseGemm(Isa limit);

// --- Packed weights -------------------------------------------------------

// A matrix B[taps * k, n] cut into panels of kernel.width columns, the last one
// rounded up to kernel.lane. Panels stand one behind the other, each
// [taps][k][width], zeros beyond n.
struct PanelShape {
  size_t n = 0, taps = 1, k = 0;
};
size_t PackedFloats(const GemmKernel& kernel, const PanelShape& shape);
// First column, width and offset (in floats) of panel `i`.
struct Panel {
  size_t first = 0, width = 0, columns = 0, offset = 0;
};
size_t PanelCount(const GemmKernel& kernel, const PanelShape& shape);
Panel PanelAt(const GemmKernel& kernel, const PanelShape& shape, size_t i);

// Packs b(tap, p, j) = source[tap * tap_stride + p * k_stride + j * n_stride].
void PackPanels(const GemmKernel& kernel, const PanelShape& shape,
                const float* source, size_t tap_stride, size_t k_stride,
                size_t n_stride, float* packed, ThreadPool* pool = nullptr);
// Panel `i` of it alone, to its place in `packed`.
void PackPanel(const GemmKernel& kernel, const PanelShape& shape, size_t i,
               const float* source, size_t tap_stride, size_t k_stride,
               size_t n_stride, float* packed);

// One tap of one panel from columns that stand anywhere:
// to[p * width + j] = columns[j][p], 0 where j >= count or columns[j] is null.
void PackColumns(size_t width, size_t k, const float* const* columns,
                 size_t count, float* to);

// --- Driver ---------------------------------------------------------------

// C[m, n] = clamp(A[m, k] B[k, n] + bias[n]) + residual[m, n].
struct Gemm {
  size_t m = 0, n = 0, k = 0;
  const float* a = nullptr;
  size_t a_stride = 0;
  const float* packed = nullptr;     // PackPanels with taps = 1.
  const uint16_t* halves = nullptr;  // Or PackHalfPanels (half.h).
  float* c = nullptr;
  size_t c_stride = 0;
  const float* bias = nullptr;  // n floats, or null.
  const float* residual = nullptr;
  size_t residual_stride = 0;
  Activation activation = Activation::kNone;
};

// Work is split over (row block, panel). C may be the residual itself; where
// SplitsSum, the sum is then made in one pass, which is slower. With `halves` C
// is not the residual, and `scratch` has kHalfScratchFloats for each thread.
void RunGemm(const GemmKernel& kernel, const Gemm& gemm, ThreadPool& pool,
             float* scratch = nullptr);

// Whether RunPanel makes sums of this shape in several passes, parked in c.
bool SplitsSum(const GemmKernel& kernel, const PanelShape& shape);

// One panel against rows [0, rows): blocks the sum so that the part of the
// panel in use stays in L2. The building block of the drivers.
void RunPanel(const GemmKernel& kernel, const Tile& tile);

// Every panel against rows [0, tile.rows). `tile` says what concerns all
// columns (its rows, a, c, bias, residual, clamp, accumulate, finish); columns,
// width, k, taps and b are filled in from the packed weights.
void RunPanels(const GemmKernel& kernel, const PanelShape& shape,
               const float* packed, const Tile& tile);
// What it passes to RunPanel for panel `i`.
Tile PanelTile(const GemmKernel& kernel, const PanelShape& shape,
               const float* packed, const Tile& tile, size_t i);

// --- Batches of run-time matrices -------------------------------------------

// C[i] = A[i] B[i] for i < batches, with b(p, j) = b[p * b_k_stride + j *
// b_n_stride]; offsets in floats for each batch. B is packed on the fly into
// scratch, which is sized for a pool of at most `threads`.
struct BatchGemm {
  size_t batches = 0, m = 0, n = 0, k = 0;
  const float* a = nullptr;
  size_t a_stride = 0;
  // A transposed: a(i, p) = a[p * a_k_stride + i * a_stride]; 1 otherwise.
  size_t a_k_stride = 1;
  const float* b = nullptr;
  size_t b_k_stride = 0, b_n_stride = 1;
  float* c = nullptr;
  size_t c_stride = 0;
  const size_t* a_offsets = nullptr;
  const size_t* b_offsets = nullptr;
  const size_t* c_offsets = nullptr;
};
size_t BatchGemmScratchFloats(const GemmKernel& kernel, const BatchGemm& gemm,
                              size_t threads);
void RunBatchGemm(const GemmKernel& kernel, const BatchGemm& gemm,
                  ThreadPool& pool, float* scratch);

#define LATHE_GEMM(fn, widen, name, isa, lane, width, rows) \
  void fn(const Tile& tile);                                \
  void widen(const uint16_t* from, size_t n, float* to);
#include "src/kernels/gemm/kernels.inc"
#undef LATHE_GEMM

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_GEMM_GEMM_H_
