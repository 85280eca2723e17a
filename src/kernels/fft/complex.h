// Element by element on complex numbers, as pairs (real, imaginary).

#ifndef LATHE_KERNELS_FFT_COMPLEX_H_
#define LATHE_KERNELS_FFT_COMPLEX_H_

#include <cstddef>
#include <cstdint>

#include "src/base/thread_pool.h"
#include "src/kernels/elementwise/broadcast.h"

namespace lathe::kernels {

enum class ComplexBinary : uint8_t { kAdd, kSub, kMul };

// y = f(a, b) over the whole output. loops count complex elements.
void RunComplexBinary(ComplexBinary kind, const BroadcastLoops& loops,
                      const float* a, const float* b, float* y,
                      ThreadPool& pool);

// y[i] = |x[i]|, without overflow in between.
void RunComplexAbs(size_t n, const float* x, float* y, ThreadPool& pool);
void RunComplexAbs(size_t n, const double* x, double* y, ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_FFT_COMPLEX_H_
