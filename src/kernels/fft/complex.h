// Lengths of complex numbers, stored as pairs (real, imaginary).

#ifndef LATHE_KERNELS_FFT_COMPLEX_H_
#define LATHE_KERNELS_FFT_COMPLEX_H_

#include <cstddef>

#include "src/base/thread_pool.h"

namespace lathe::kernels {

// y[i] = |x[i]|, without overflow in between.
void RunComplexAbs(size_t n, const float* x, float* y, ThreadPool& pool);
void RunComplexAbs(size_t n, const double* x, double* y, ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_FFT_COMPLEX_H_
