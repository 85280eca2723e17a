// LOCAL_RESPONSE_NORMALIZATION of float rows.

#ifndef LATHE_KERNELS_NORM_LOCAL_RESPONSE_H_
#define LATHE_KERNELS_NORM_LOCAL_RESPONSE_H_

#include <cstddef>

#include "src/base/thread_pool.h"

namespace lathe::kernels {

// y[r, c] = x[r, c] / (bias + alpha sum of x[r, k]^2 over |k - c| <= radius)^
// beta; rows of n. y must not be x.
struct LocalResponse {
  size_t radius = 0;
  float bias = 0, alpha = 0, beta = 0;
};
void RunLocalResponse(const LocalResponse& rule, size_t rows, size_t n,
                      const float* x, float* y, ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_NORM_LOCAL_RESPONSE_H_
