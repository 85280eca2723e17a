// CAST between any two number types, and DEQUANTIZE of 16-bit floats.

#ifndef LATHE_KERNELS_ELEMENTWISE_CAST_H_
#define LATHE_KERNELS_ELEMENTWISE_CAST_H_

#include <cstddef>

#include "src/base/thread_pool.h"
#include "src/kernels/elementwise/elementwise.h"
#include "src/kernels/elementwise/number.h"

namespace lathe::kernels {

// y[i] = x[i] as another type; x and y do not overlap.
// Float to integer: towards zero, beyond the range the end of the range, NaN
// the largest value. Integer to integer: the low bits. To bool: not zero, so
// NaN is true. To a narrower float: nearest, ties to even. A complex number
// counts as its real part.
// float16 to float32 uses `kernels`' vectors and is exact, as is bfloat16.
void RunCast(const ElementwiseKernels& kernels, Number from, Number to,
             size_t n, const void* x, void* y, ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_ELEMENTWISE_CAST_H_
