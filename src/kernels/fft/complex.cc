#include "src/kernels/fft/complex.h"

#include <algorithm>
#include <cmath>

namespace lathe::kernels {
namespace {

constexpr size_t kPiece = 4096;  // Elements of one job.

template <typename T, typename F>
void Absolute(size_t n, const T* x, T* y, ThreadPool& pool, const F& length) {
  pool.Run((n + kPiece - 1) / kPiece, [&](size_t job, size_t) {
    const size_t end = std::min(n, (job + 1) * kPiece);
    for (size_t i = job * kPiece; i < end; ++i) {
      y[i] = length(x[2 * i], x[2 * i + 1]);
    }
  });
}

}  // namespace

void RunComplexBinary(ComplexBinary kind, const BroadcastLoops& loops,
                      const float* a, const float* b, float* y,
                      ThreadPool& pool) {
  if (loops.elements == 0) return;
  const size_t last = loops.rank ? loops.rank - 1 : 0;
  const size_t count = loops.rank ? loops.size[last] : 1;
  const size_t a_step = loops.rank ? 2 * loops.a_stride[last] : 0;
  const size_t b_step = loops.rank ? 2 * loops.b_stride[last] : 0;
  const size_t runs = loops.elements / count;
  const size_t per_job = std::max<size_t>(1, kPiece / count);
  const auto run = [&](size_t to, size_t at_a, size_t at_b, size_t n) {
    const float* u = a + 2 * at_a;
    const float* v = b + 2 * at_b;
    float* w = y + 2 * to;
    for (size_t i = 0; i < n; ++i, u += a_step, v += b_step, w += 2) {
      const float ur = u[0], ui = u[1], vr = v[0], vi = v[1];
      switch (kind) {
        case ComplexBinary::kAdd:
          w[0] = ur + vr;
          w[1] = ui + vi;
          break;
        case ComplexBinary::kSub:
          w[0] = ur - vr;
          w[1] = ui - vi;
          break;
        case ComplexBinary::kMul:
          w[0] = ur * vr - ui * vi;
          w[1] = ur * vi + ui * vr;
          break;
      }
    }
  };
  pool.Run((runs + per_job - 1) / per_job, [&](size_t job, size_t) {
    ForEachRun(loops, job * per_job, std::min(runs, (job + 1) * per_job), run);
  });
}

void RunComplexAbs(size_t n, const float* x, float* y, ThreadPool& pool) {
  // A square of a float fits into a double.
  Absolute(n, x, y, pool, [](float r, float i) {
    const double a = r, b = i;
    return static_cast<float>(std::sqrt(a * a + b * b));
  });
}

void RunComplexAbs(size_t n, const double* x, double* y, ThreadPool& pool) {
  Absolute(n, x, y, pool, [](double r, double i) { return std::hypot(r, i); });
}

}  // namespace lathe::kernels
