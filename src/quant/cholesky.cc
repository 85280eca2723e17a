#include "src/quant/cholesky.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "src/quant/groups.h"
#include "src/quant/rows/rows.h"

namespace lathe::quant {
namespace {

constexpr size_t kBlock = 64;

// One block of sums; a thread's scratch.
using Sums = std::array<std::array<double, kBlock>, kBlock>;

// out[i][j] += a row i times b row j, for i < m, j < n; both at most kBlock.
void AddDots(size_t m, size_t n, size_t k, const float* a, const float* b,
             size_t stride, Sums& out) {
  // 64 rows of 1024 floats are 256 KB: with as much of `a` they stay in L2.
  constexpr size_t kPiece = 1024;
  for (size_t p = 0; p < k; p += kPiece) {
    const size_t length = std::min(kPiece, k - p);
    for (size_t i = 0; i < m; i += 4) {
      for (size_t j = 0; j < n; j += 2) {
        // Rows beyond the end repeat the last; their sums are not used.
        std::array<const float*, 4> rows_a;
        std::array<const float*, 2> rows_b;
        for (size_t t = 0; t < 4; ++t) {
          rows_a[t] = a + std::min(i + t, m - 1) * stride + p;
        }
        for (size_t t = 0; t < 2; ++t) {
          rows_b[t] = b + std::min(j + t, n - 1) * stride + p;
        }
        std::array<double, 8> sums{};
        Rows().dots(length, rows_a.data(), rows_b.data(), sums.data());
        for (size_t t = 0; t < 8; ++t) {
          if (i + t / 2 < m && j + t % 2 < n) {
            out[i + t / 2][j + t % 2] += sums[t];
          }
        }
      }
    }
  }
}

void Transpose(size_t d, std::span<float> x) {
  for (size_t i = 0; i < d; i += kBlock) {
    for (size_t j = i; j < d; j += kBlock) {
      for (size_t r = i; r < std::min(d, i + kBlock); ++r) {
        for (size_t c = std::max(j, r + 1); c < std::min(d, j + kBlock); ++c) {
          std::swap(x[r * d + c], x[c * d + r]);
        }
      }
    }
  }
}

}  // namespace

// From the last column to the first:
//   R_ij = (H_ij - sum over k > j of R_ik R_jk) / R_jj, and for i = j its root.
// Rows are contiguous in k, so each block is a product of rows with rows.
bool FactorUpper(size_t d, std::span<float> matrix, ThreadPool* pool) {
  float* h = matrix.data();
  std::vector<Sums> scratch(ThreadsOf(pool));
  Sums corner, columns;  // The block on the diagonal, and its transpose.
  for (size_t j1 = d; j1 > 0;) {
    const size_t j0 = (j1 - 1) / kBlock * kBlock, n = j1 - j0;
    for (auto& row : corner) row.fill(0);
    AddDots(n, n, d - j1, h + j0 * d + j1, h + j0 * d + j1, d, corner);
    for (size_t j = n; j-- > 0;) {
      for (size_t i = j + 1; i-- > 0;) {
        double sum =
            static_cast<double>(h[(j0 + i) * d + j0 + j]) - corner[i][j];
        for (size_t k = j + 1; k < n; ++k) sum -= corner[i][k] * corner[j][k];
        if (i == j && !(sum > 0)) return false;
        corner[i][j] = i == j ? std::sqrt(sum) : sum / corner[j][j];
      }
    }
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = i; j < n; ++j) {
        h[(j0 + i) * d + j0 + j] = static_cast<float>(corner[i][j]);
        columns[j][i] = corner[i][j];
      }
    }
    RunJobs(pool, j0 / kBlock, [&](size_t job, size_t thread) {
      Sums& sums = scratch[thread];
      for (auto& row : sums) row.fill(0);
      const size_t i0 = job * kBlock;
      AddDots(kBlock, n, d - j1, h + i0 * d + j1, h + j0 * d + j1, d, sums);
      for (size_t i = 0; i < kBlock; ++i) {
        float* row = h + (i0 + i) * d + j0;
        std::array<double, kBlock>& left = sums[i];
        for (size_t j = 0; j < n; ++j) {
          left[j] = static_cast<double>(row[j]) - left[j];
        }
        // What is found is taken from all that is left at once: no sum waits
        // for the term before.
        for (size_t j = n; j-- > 0;) {
          left[j] /= corner[j][j];
          for (size_t k = 0; k < j; ++k) left[k] -= left[j] * columns[j][k];
          row[j] = static_cast<float>(left[j]);
        }
      }
    });
    j1 = j0;
  }
  return true;
}

// U = R^-1 is upper: U_ij = (I_ij - sum over i <= k < j of U_ik R_kj) / R_jj.
// Then (R R^T)^-1 = U^T U.
void InverseFromFactor(size_t d, std::span<float> factor, ThreadPool* pool) {
  float* r = factor.data();
  // So that a column of R is contiguous: row j of the transposed.
  Transpose(d, factor);
  std::vector<float> inverse(d * d);
  float* u = inverse.data();
  const size_t blocks = (d + kBlock - 1) / kBlock;
  std::vector<Sums> scratch(ThreadsOf(pool));
  RunJobs(pool, blocks, [&](size_t job, size_t thread) {
    Sums& sums = scratch[thread];
    const size_t i0 = job * kBlock, m = std::min(kBlock, d - i0);
    for (size_t j0 = i0; j0 < d; j0 += kBlock) {
      const size_t n = std::min(kBlock, d - j0);
      for (auto& row : sums) row.fill(0);
      AddDots(m, n, j0 - i0, u + i0 * d + i0, r + j0 * d + i0, d, sums);
      for (size_t i = 0; i < m; ++i) {
        for (size_t j = 0; j < n; ++j) {
          double sum = (i0 + i == j0 + j ? 1.0 : 0.0) - sums[i][j];
          const float* column = r + (j0 + j) * d + j0;
          for (size_t k = 0; k < j; ++k) {
            sum -= sums[i][k] * static_cast<double>(column[k]);
          }
          sums[i][j] =
              i0 + i > j0 + j ? 0.0 : sum / static_cast<double>(column[j]);
          u[(i0 + i) * d + j0 + j] = static_cast<float>(sums[i][j]);
        }
      }
    }
  });
  Transpose(d, inverse);
  RunJobs(pool, blocks, [&](size_t job, size_t thread) {
    Sums& sums = scratch[thread];
    const size_t i0 = job * kBlock, m = std::min(kBlock, d - i0);
    for (size_t j0 = i0; j0 < d; j0 += kBlock) {
      const size_t n = std::min(kBlock, d - j0);
      for (auto& row : sums) row.fill(0);
      AddDots(m, n, i0 + m, u + i0 * d, u + j0 * d, d, sums);
      for (size_t i = 0; i < m; ++i) {
        for (size_t j = 0; j < n; ++j) {
          const auto value = static_cast<float>(sums[i][j]);
          r[(i0 + i) * d + j0 + j] = value;
          r[(j0 + j) * d + i0 + i] = value;
        }
      }
    }
  });
}

}  // namespace lathe::quant
