#include "src/kernels/fft/rfft2d.h"

#include <kiss_fft.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace lathe::kernels {

using Complex = kiss_fft_cpx;

struct FftTables {
  size_t n = 1;
  // KissFFT only reads it when input and output differ. Null below 2.
  std::unique_ptr<kiss_fft_state, void (*)(kiss_fft_state*)> state{
      nullptr, [](kiss_fft_state* s) { kiss_fft_free(s); }};
  std::vector<Complex> turns;  // exp(-pi i k / n), k <= n; for rows.
};

namespace {

constexpr size_t kColumns = 8;  // Of one job: a line of memory.

std::shared_ptr<const FftTables> MakeTables(size_t n, bool with_turns) {
  auto tables = std::make_shared<FftTables>();
  tables->n = n;
  if (n > 1) {
    tables->state.reset(
        kiss_fft_alloc(static_cast<int>(n), 0, nullptr, nullptr));
  }
  if (with_turns) {
    for (size_t k = 0; k <= n; ++k) {
      const double angle =
          -std::numbers::pi * static_cast<double>(k) / static_cast<double>(n);
      tables->turns.push_back({static_cast<float>(std::cos(angle)),
                               static_cast<float>(std::sin(angle))});
    }
  }
  return tables;
}

// `from` and `to` differ.
void Transform(const FftTables& tables, const Complex* from, Complex* to) {
  if (tables.state) {
    kiss_fft(tables.state.get(), from, to);
  } else {
    to[0] = from[0];
  }
}

// One row of 2 n real values, seen as n complex ones: with Z its transform,
// X[k] = (Z[k] + Z*[n - k]) / 2 + turn[k] (Z[k] - Z*[n - k]) / 2i.
void RealRow(const FftTables& tables, const Complex* pairs, Complex* z,
             Complex* y) {
  const size_t n = tables.n;
  Transform(tables, pairs, z);
  for (size_t k = 0; k <= n; ++k) {
    const Complex a = z[k % n], b = z[(n - k) % n];
    const float even_r = 0.5f * (a.r + b.r), even_i = 0.5f * (a.i - b.i);
    const float odd_r = 0.5f * (a.i + b.i), odd_i = 0.5f * (b.r - a.r);
    const Complex turn = tables.turns[k];
    y[k].r = even_r + turn.r * odd_r - turn.i * odd_i;
    y[k].i = even_i + turn.r * odd_i + turn.i * odd_r;
  }
}

size_t FloatsPerThread(const Rfft2dShape& shape) {
  // Pairs and their transform, or a column and its own.
  return std::max(2 * shape.columns, 4 * shape.rows);
}

}  // namespace

Rfft2dPlan PlanRfft2d(const Rfft2dShape& shape, size_t threads) {
  Rfft2dPlan plan;
  plan.shape = shape;
  plan.along_row = MakeTables(std::max<size_t>(1, shape.columns / 2), true);
  plan.along_column = MakeTables(shape.rows, false);
  plan.scratch_floats = threads * FloatsPerThread(shape);
  return plan;
}

void RunRfft2d(const Rfft2dPlan& plan, const float* x, float* y,
               ThreadPool& pool, float* scratch) {
  const Rfft2dShape& shape = plan.shape;
  const size_t width = shape.columns / 2 + 1;
  const size_t per_thread = FloatsPerThread(shape);
  const size_t used = std::min(shape.in_w, shape.columns);
  pool.Run(shape.batch * shape.rows, [&](size_t job, size_t thread) {
    const size_t row = job % shape.rows, b = job / shape.rows;
    Complex* to = reinterpret_cast<Complex*>(y) + job * width;
    if (row >= shape.in_h) {
      std::fill_n(to, width, Complex{0, 0});
      return;
    }
    const float* from = x + (b * shape.in_h + row) * shape.in_w;
    if (shape.columns == 1) {
      to[0] = {used > 0 ? from[0] : 0.0f, 0};
      return;
    }
    float* pairs = scratch + thread * per_thread;
    std::copy_n(from, used, pairs);
    std::fill(pairs + used, pairs + shape.columns, 0.0f);
    RealRow(*plan.along_row, reinterpret_cast<Complex*>(pairs),
            reinterpret_cast<Complex*>(pairs + shape.columns), to);
  });
  if (shape.rows == 1) return;
  const size_t parts = (width + kColumns - 1) / kColumns;
  pool.Run(shape.batch * parts, [&](size_t job, size_t thread) {
    Complex* image =
        reinterpret_cast<Complex*>(y) + job / parts * shape.rows * width;
    Complex* column = reinterpret_cast<Complex*>(scratch + thread * per_thread);
    const size_t end = std::min(width, (job % parts + 1) * kColumns);
    for (size_t v = job % parts * kColumns; v < end; ++v) {
      for (size_t u = 0; u < shape.rows; ++u) column[u] = image[u * width + v];
      Transform(*plan.along_column, column, column + shape.rows);
      for (size_t u = 0; u < shape.rows; ++u) {
        image[u * width + v] = column[shape.rows + u];
      }
    }
  });
}

}  // namespace lathe::kernels
