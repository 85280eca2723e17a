// OSCAR (quantizer reference 2.10): columns are scaled so that those with large
// inputs and those with large weights share the rounding error, then each group
// is clipped where the error weighted with the inputs is least. In double, as
// the older tool.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "src/quant/algorithms.h"

namespace lathe::quant {
namespace {

constexpr double kEpsilon = 1e-12;

std::vector<double> Floored(std::span<const double> mu2) {
  const double floor = std::ranges::max(mu2) * 1e-8 + kEpsilon;
  std::vector<double> result(mu2.begin(), mu2.end());
  for (double& m : result) m = std::max(m, floor);
  return result;
}

// v divided by its geometric mean.
void Normalize(std::vector<double>& v) {
  double log_sum = 0;
  for (const double x : v) log_sum += std::log(x);
  const double mean = std::exp(log_sum / static_cast<double>(v.size()));
  for (double& x : v) x = std::clamp(x / mean, 1e-4, 1e4);
}

// The matrix, and the columns that share a maximum in the objective.
struct Matrix {
  std::span<const float> values;
  size_t rows, columns, block;
  ThreadPool* pool;

  double at(size_t row, size_t column) const {
    return static_cast<double>(values[row * columns + column]);
  }
  size_t blocks() const { return columns / block; }

  // Adds work(row, sums) of all rows into `size` sums: pieces of rows on their
  // own, then in order.
  template <typename Work>
  std::vector<double> SumOverRows(size_t size, const Work& work) const {
    const size_t some = std::max<size_t>(1, 4 * kJobElements / columns);
    const size_t jobs = (rows + some - 1) / some;
    std::vector<std::vector<double>> parts(jobs, std::vector<double>(size));
    RunJobs(pool, jobs, [&](size_t job, size_t) {
      const size_t end = std::min(rows, (job + 1) * some);
      for (size_t r = job * some; r < end; ++r) work(r, parts[job]);
    });
    std::vector<double> sums(size);
    for (const std::vector<double>& part : parts) {
      for (size_t i = 0; i < size; ++i) sums[i] += part[i];
    }
    return sums;
  }
};

// The column of the largest |w| s in a block of a row; the first of equals.
size_t Largest(const Matrix& w, std::span<const double> s, size_t row,
               size_t block) {
  size_t best = block * w.block;
  double most = -1;
  for (size_t j = block * w.block; j < (block + 1) * w.block; ++j) {
    const double magnitude = std::abs(w.at(row, j)) * s[j];
    if (magnitude > most) {
      most = magnitude;
      best = j;
    }
  }
  return best;
}

// J(s) = sum over blocks of (sum over rows of max (|w| s)^2) (sum of mu2/s^2).
double Objective(const Matrix& w, std::span<const double> s,
                 std::span<const double> mu2) {
  const std::vector<double> maxima =
      w.SumOverRows(w.blocks(), [&](size_t row, std::vector<double>& sums) {
        for (size_t b = 0; b < w.blocks(); ++b) {
          const size_t j = Largest(w, s, row, b);
          const double most = std::abs(w.at(row, j)) * s[j];
          sums[b] += most * most;
        }
      });
  double total = 0;
  for (size_t b = 0; b < w.blocks(); ++b) {
    double mass = 0;
    for (size_t j = b * w.block; j < (b + 1) * w.block; ++j) {
      mass += mu2[j] / (s[j] * s[j]);
    }
    total += maxima[b] * mass;
  }
  return total;
}

// sqrt(sqrt(mu2) / sqrt(a)), normalized.
std::vector<double> Balance(std::span<const double> mu2,
                            std::span<const double> a) {
  std::vector<double> s(mu2.size());
  for (size_t j = 0; j < s.size(); ++j) {
    s[j] = std::sqrt(std::sqrt(mu2[j]) / std::sqrt(a[j]));
  }
  Normalize(s);
  return s;
}

// Nothing if no scaling is better than none.
std::optional<std::vector<double>> ColumnScales(
    const Matrix& w, std::span<const double> statistics) {
  const std::vector<double> mu2 = Floored(statistics);
  std::vector<double> energy =
      w.SumOverRows(w.columns, [&](size_t row, std::vector<double>& sums) {
        for (size_t j = 0; j < w.columns; ++j) {
          sums[j] += w.at(row, j) * w.at(row, j);
        }
      });
  for (double& a : energy) a += kEpsilon;

  const double unscaled =
      Objective(w, std::vector<double>(w.columns, 1.0), mu2);
  std::vector<double> s = Balance(mu2, energy);
  std::vector<double> best = s;
  double least = Objective(w, s, mu2);
  for (int round = 0; round < 3; ++round) {
    std::vector<double> effective =
        w.SumOverRows(w.columns, [&](size_t row, std::vector<double>& sums) {
          for (size_t b = 0; b < w.blocks(); ++b) {
            const size_t j = Largest(w, s, row, b);
            sums[j] += w.at(row, j) * w.at(row, j);
          }
        });
    for (size_t j = 0; j < w.columns; ++j) {
      effective[j] = std::max(effective[j], energy[j] / 4);
    }
    const std::vector<double> candidate = Balance(mu2, effective);
    for (size_t j = 0; j < w.columns; ++j) {
      s[j] = std::sqrt(s[j] * candidate[j]);
    }
    Normalize(s);
    const double objective = Objective(w, s, mu2);
    if (objective < least) {
      least = objective;
      best = s;
    }
  }
  if (least >= unscaled) return std::nullopt;
  return best;
}

struct Weighted {
  double magnitude, mass;
};

// The clip c that minimizes c^2 M / (12 qmax^2) + sum of m max(a - c, 0)^2,
// M = sum of m. Between neighbouring magnitudes that is a parabola, so each
// stretch has its minimum in closed form. Sorts `group`.
double BestClip(std::vector<Weighted>& group, double qmax) {
  std::ranges::stable_sort(group, std::ranges::greater{}, &Weighted::magnitude);
  double mass = kEpsilon;
  for (const Weighted& x : group) mass += x.mass;
  const double rounding = mass / (12 * qmax * qmax);
  double best = group[0].magnitude;
  double least = best * best * rounding;
  // Sums over the clipped: of m, of a m and of a^2 m.
  double m = 0, am = 0, aam = 0;
  for (size_t k = 0; k < group.size(); ++k) {
    const auto [a, a_mass] = group[k];
    m += a_mass;
    am += a * a_mass;
    aam += a * a * a_mass;
    const double next = k + 1 < group.size() ? group[k + 1].magnitude : 0.0;
    const double c =
        std::clamp(2 * am / (mass / (6 * qmax * qmax) + 2 * m), next, a);
    const double error = c * c * rounding + aam - 2 * c * am + c * c * m;
    if (error < least) {
      least = error;
      best = c;
    }
  }
  return best;
}

Status Check(const Problem& problem) {
  const Grouping& grouping = problem.config.grouping;
  if (!problem.config.symmetric || problem.shape.size() != 2 ||
      (grouping.kind == Grouping::Kind::kAxis && grouping.axis != 0)) {
    return Unsupported(
        "OSCAR makes symmetric matrices of fully connected layers, with scales "
        "for rows, blocks or the whole");
  }
  const std::span<const double> mu2 = problem.statistics.mu2;
  if (!mu2.empty() && mu2.size() != problem.width()) {
    return Invalid("mean squares of {} inputs for {} columns", mu2.size(),
                   problem.width());
  }
  if (!std::ranges::all_of(mu2, [](double m) { return std::isfinite(m); })) {
    return Invalid("the mean squares hold values that are not finite");
  }
  if (problem.correct() && !std::ranges::all_of(problem.values, [](float x) {
        return std::isfinite(x);
      })) {
    return NotFinite(problem);
  }
  return {};
}

}  // namespace

Result<WeightParams> FindOscar(const Problem& problem) {
  LATHE_TRY(Check(problem));
  const WeightConfig& config = problem.config;
  const std::span<const double> mu2 = problem.statistics.mu2;
  const size_t columns = problem.width();
  WeightParams params;
  if (problem.values.empty()) return params;
  const Matrix w = {.values = problem.values,
                    .rows = problem.values.size() / columns,
                    .columns = columns,
                    .block = problem.blocks()
                                 ? static_cast<size_t>(config.grouping.block)
                                 : columns,
                    .pool = problem.pool};
  if (!mu2.empty()) {
    if (auto scales = ColumnScales(w, mu2)) params.column_scale = *scales;
  }
  // The older tool multiplies by ones where it found nothing.
  if (params.column_scale.empty() && !problem.correct()) {
    params.column_scale.assign(columns, 1.0);
  }
  const auto scale_of = [&](size_t column) {
    return params.column_scale.empty() ? 1.0 : params.column_scale[column];
  };
  std::vector<double> mass(columns, 1.0);
  for (size_t j = 0; j < columns && !mu2.empty(); ++j) {
    mass[j] = mu2[j] / (scale_of(j) * scale_of(j));
  }
  mass = Floored(mass);

  const size_t count = problem.groups().count;
  params.scale.resize(count);
  params.zero_point.resize(count);
  const auto qmax = static_cast<double>(RangeOf(config.bits, true, false).high);
  const size_t inner = problem.groups().inner;
  ForEachGroup(
      problem, 1, [&](size_t g, std::span<const float> x, ThreadPool*) {
        std::vector<Weighted> group(x.size());
        for (size_t i = 0; i < x.size(); ++i) {
          const size_t column = (g * inner + i) % columns;
          group[i] = {std::abs(static_cast<double>(x[i]) * scale_of(column)),
                      mass[column]};
        }
        const double bound = BestClip(group, qmax);
        const ScaleZeroPoint grid =
            FromRange(-bound, bound, config.bits, true, false);
        params.scale[g] =
            problem.blocks()
                ? StoredScale(config, static_cast<float>(grid.scale))
                : grid.scale;
      });
  return params;
}

}  // namespace lathe::quant
