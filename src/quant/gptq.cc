// GPTQ (Frantar et al., arXiv 2210.17323): columns are quantized one after the
// other, and each error is made up for by the columns that come later, as the
// Hessian H of the layer's squared output error says.
//
// Correct: with H = R R^T, R upper triangular, the error of a row w is
// |(w - q) R|^2, whose j-th term holds the first j columns only. It is least
// for
//   q_j = quantize(w_j + sum over i < j of (w_i - q_i) R_ij / R_jj).
// That is the published update, which takes the upper Cholesky factor U = R^-1
// of H^-1, without an inverse.
//
// Compat: the older tool's update with rows of P = H^-1 (quantizer reference
// 2.9): e_i = (w_i - q_i) / P_ii, w_j -= e_i P_ij.

#include <algorithm>
#include <cmath>

#include "src/base/aligned_buffer.h"
#include "src/quant/algorithms.h"
#include "src/quant/cholesky.h"
#include "src/quant/rows/rows.h"

namespace lathe::quant {
namespace {

// What the published algorithm adds, in means of the Hessian's diagonal.
constexpr double kLeastDamping = 0.01;
constexpr double kMostDamping = 10;  // As good as the identity.
constexpr size_t kColumns = 64;  // Updates of later columns wait for so many.
constexpr size_t kRows = 32;     // Of one job: they share each read of the
                                 // update matrix.

// A Hessian of few rows holds directions that chance made, and GPTQ would trade
// errors along them. Correct: the share rho of the identity that a covariance
// of n rows lacks at least squares (OAS: Chen et al., arXiv 0907.4698, equation
// 23), so (1 - rho) H + rho mean I. It is small where the inputs are alike, as
// in real layers, and 1 where they are noise.
double DampingOf(const Problem& problem) {
  const size_t d = problem.width();
  const uint64_t rows = problem.statistics.rows;
  if (!problem.correct() || rows == 0) return kLeastDamping;
  double trace = 0, squares = 0;
  for (size_t i = 0; i < d; ++i) {
    trace += static_cast<double>(problem.statistics.hessian[i * d + i]);
  }
  for (const float h : problem.statistics.hessian) {
    squares += static_cast<double>(h) * static_cast<double>(h);
  }
  const double p = static_cast<double>(d), n = static_cast<double>(rows);
  const double even = 1 - 2 / p;
  const double above = even * squares + trace * trace;
  const double below = (n + 1 - 2 / p) * (squares - trace * trace / p);
  // Also where all directions are alike and `below` is 0.
  const double most = kMostDamping / (1 + kMostDamping);
  const double rho = above < most * below ? above / below : most;
  return std::max(kLeastDamping, rho / (1 - rho));
}

// Writes H with `damping` times the mean of its diagonal added to the diagonal,
// zeros there being ones first. The upper triangle only.
void Damp(std::span<const float> hessian, size_t d, double damping,
          std::span<float> h) {
  double mean = 0;
  for (size_t i = 0; i < d; ++i) {
    std::copy_n(&hessian[i * d + i], d - i, &h[i * d + i]);
    float& diagonal = h[i * d + i];
    if (diagonal == 0) diagonal = 1;
    mean += static_cast<double>(diagonal) / static_cast<double>(d);
  }
  const auto more = static_cast<float>(damping * mean);
  for (size_t i = 0; i < d; ++i) h[i * d + i] += more;
}

// The matrix whose row i says how an error of column i moves later columns.
Result<AlignedBuffer> Updates(const Problem& problem) {
  const size_t d = problem.width();
  const std::span<const float> hessian = problem.statistics.hessian;
  if (LargestBits(hessian, problem.pool) >= kInfinityBits) {
    return Invalid("the Hessian holds values that are not finite");
  }
  // Aligned rows make the factor half as fast again.
  LATHE_ASSIGN(AlignedBuffer buffer,
               AlignedBuffer::Create(d * d * sizeof(float)));
  const std::span<float> h(buffer.as<float>(), d * d);
  double damping = DampingOf(problem);
  Damp(hessian, d, damping, h);
  if (!problem.correct()) {
    if (!FactorUpper(d, h, problem.pool)) {
      return Invalid("the Hessian is not positive definite");
    }
    InverseFromFactor(d, h, problem.pool);
    return buffer;
  }
  // A sum of squares is positive definite but for rounding, which more damping
  // hides; what is not after this is no Hessian.
  while (!FactorUpper(d, h, problem.pool)) {
    damping *= 10;
    if (damping > kMostDamping)
      return Invalid("the Hessian is not positive definite");
    Damp(hessian, d, damping, h);
  }
  for (size_t i = 0; i < d; ++i) {
    for (size_t j = i + 1; j < d; ++j) h[i * d + j] /= h[j * d + j];
  }
  return buffer;
}

Status Check(const Problem& problem) {
  const size_t d = problem.width();
  const Grouping& grouping = problem.config.grouping;
  if (problem.shape.size() != 2 ||
      (grouping.kind == Grouping::Kind::kAxis && grouping.axis != 0)) {
    return Unsupported(
        "GPTQ quantizes matrices of fully connected layers, with scales for "
        "rows, blocks or the whole");
  }
  if (problem.statistics.hessian.empty()) {
    return Invalid("GPTQ needs the Hessian of the layer's input; calibrate");
  }
  if (problem.statistics.hessian.size() != d * d) {
    return Invalid("a Hessian of {} values for {} columns, which have {}",
                   problem.statistics.hessian.size(), d, d * d);
  }
  return {};
}

}  // namespace

Result<WeightParams> FindGptq(const Problem& problem) {
  LATHE_TRY(Check(problem));
  return FindMinMax(problem);
}

Status EncodeGptq(const Problem& problem, const WeightParams& params,
                  std::span<int8_t> q) {
  LATHE_TRY(Check(problem));
  LATHE_ASSIGN(const AlignedBuffer buffer, Updates(problem));
  const float* updates = buffer.as<float>();
  const size_t d = problem.width();
  const size_t rows = problem.values.size() / d;
  const Groups groups = problem.groups();
  const IntegerRange range = EncodedRange(problem.config);
  const auto low = static_cast<float>(range.low);
  const auto high = static_cast<float>(range.high);
  const bool correct = problem.correct();

  struct Scratch {
    std::vector<float> weights, errors;
  };
  std::vector<Scratch> scratch(ThreadsOf(problem.pool));
  RunJobs(
      problem.pool, (rows + kRows - 1) / kRows, [&](size_t job, size_t thread) {
        const size_t first = job * kRows, m = std::min(kRows, rows - first);
        const float* original = &problem.values[first * d];
        std::vector<float>& weights = scratch[thread].weights;
        std::vector<float>& errors = scratch[thread].errors;
        weights.assign(original, original + m * d);
        errors.resize(m * kColumns);
        for (size_t begin = 0; begin < d; begin += kColumns) {
          const size_t end = std::min(d, begin + kColumns);
          for (size_t j = begin; j < end; ++j) {
            for (size_t i = 0; i < m; ++i) {
              const size_t at = (first + i) * d + j;
              const size_t group = groups.count == 1 ? 0 : at / groups.inner;
              const auto scale = static_cast<float>(params.scale[group]);
              const auto zero = static_cast<float>(params.zero_point[group]);
              const float weight = weights[i * d + j];
              float integer = std::nearbyint(weight / scale + zero);
              integer =
                  std::isnan(integer) ? 0.0f : std::clamp(integer, low, high);
              q[at] = static_cast<int8_t>(integer);
              const float back = (integer - zero) * scale;
              errors[i * kColumns + j - begin] =
                  correct ? back - original[i * d + j]
                          : (weight - back) / updates[j * d + j];
            }
            Rows().subtract_product(m, end - j - 1, 1, &errors[j - begin],
                                    kColumns, &updates[j * d + j + 1], d,
                                    &weights[j + 1], d);
          }
          if (end == d) break;
          Rows().subtract_product(m, d - end, end - begin, errors.data(),
                                  kColumns, &updates[begin * d + end], d,
                                  &weights[end], d);
        }
      });
  return {};
}

}  // namespace lathe::quant
