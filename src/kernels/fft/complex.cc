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
