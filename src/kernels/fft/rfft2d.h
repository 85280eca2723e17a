// The two-dimensional discrete Fourier transform of real images.

#ifndef LATHE_KERNELS_FFT_RFFT2D_H_
#define LATHE_KERNELS_FFT_RFFT2D_H_

#include <cstddef>
#include <memory>

#include "src/base/thread_pool.h"

namespace lathe::kernels {

// y[b, u, v] = sum over r < rows, c < columns of x[b, r, c]
//   exp(-2 pi i (u r / rows + v c / columns)),  u < rows, v <= columns / 2,
// where x is [batch, in_h, in_w], cut or filled up with zeros to rows by
// columns, each a power of two. y holds pairs (real, imaginary).
struct Rfft2dShape {
  size_t batch = 1, in_h = 1, in_w = 1, rows = 1, columns = 1;
};

struct FftTables;  // What a length needs; never written to later.
struct Rfft2dPlan {
  Rfft2dShape shape;
  std::shared_ptr<const FftTables> along_row, along_column;
  size_t scratch_floats = 0;  // For all threads.
};

// Makes tables of about 12 bytes for each row and column. `threads` is the most
// that the pool of RunRfft2d may have.
Rfft2dPlan PlanRfft2d(const Rfft2dShape& shape, size_t threads);

// Float throughout: each value errs by about 1e-7 log2(rows columns) of the
// largest.
void RunRfft2d(const Rfft2dPlan& plan, const float* x, float* y,
               ThreadPool& pool, float* scratch);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_FFT_RFFT2D_H_
