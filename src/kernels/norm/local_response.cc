#include "src/kernels/norm/local_response.h"

#include <algorithm>
#include <cmath>

namespace lathe::kernels {

void RunLocalResponse(const LocalResponse& rule, size_t rows, size_t n,
                      const float* x, float* y, ThreadPool& pool) {
  if (n == 0) return;
  const size_t per_job = std::max<size_t>(1, 4096 / n);
  const size_t radius = std::min(rule.radius, n);
  pool.Run((rows + per_job - 1) / per_job, [&](size_t job, size_t) {
    const size_t end = std::min(rows, (job + 1) * per_job);
    for (size_t r = job * per_job; r < end; ++r) {
      const float* from = x + r * n;
      for (size_t c = 0; c < n; ++c) {
        float sum = 0;
        const size_t last = std::min(n, c + radius + 1);
        for (size_t k = c < radius ? 0 : c - radius; k < last; ++k) {
          sum += from[k] * from[k];
        }
        y[r * n + c] =
            from[c] / std::pow(rule.bias + rule.alpha * sum, rule.beta);
      }
    }
  });
}

}  // namespace lathe::kernels
