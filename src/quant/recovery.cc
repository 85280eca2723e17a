// The grid of weights that were quantized once already and came back as floats
// (quantizer reference 2.8): the step is the smallest gap between magnitudes.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>

#include "src/quant/algorithms.h"
#include "src/quant/rows/rows.h"

namespace lathe::quant {
namespace {

constexpr float kSmallestStep = 1e-9f;
constexpr double kTolerance = 1e-4;

// Magnitudes and 0, sorted.
std::vector<float> SortedMagnitudes(std::span<const float> x) {
  std::vector<float> sorted(x.size() + 1);
  for (size_t i = 0; i < x.size(); ++i) sorted[i] = std::abs(x[i]);
  std::ranges::sort(sorted);
  return sorted;
}

// One scale for a tensor is the smallest gap of distinct values, at least
// 1e-9; among many a gap below 1e-9 does not count.
float Step(std::span<const float> x, bool whole_tensor) {
  const std::vector<float> sorted = SortedMagnitudes(x);
  float step = std::numeric_limits<float>::infinity();
  const float floor = whole_tensor ? 0.0f : kSmallestStep;
  for (size_t i = 1; i < sorted.size(); ++i) {
    const float gap = sorted[i] - sorted[i - 1];
    if (gap > floor) step = std::min(step, gap);
  }
  return std::isinf(step) ? kSmallestStep : std::max(step, kSmallestStep);
}

size_t DistinctValues(std::span<const float> x) {
  std::vector<float> sorted(x.begin(), x.end());
  std::ranges::sort(sorted);
  return static_cast<size_t>(std::ranges::distance(
      sorted.begin(), std::ranges::unique(sorted).begin()));
}

}  // namespace

Result<WeightParams> FindRecovery(const Problem& problem) {
  const WeightConfig& config = problem.config;
  if (!config.symmetric) {
    return Unsupported("dequantized weight recovery is symmetric only");
  }
  const size_t count = problem.groups().count;
  const IntegerRange range = EncodedRange(config);
  const size_t levels = size_t{1} << config.bits;
  const bool whole = config.grouping.kind == Grouping::Kind::kTensor;
  WeightParams params;
  params.scale.resize(count);
  params.zero_point.resize(count);

  std::atomic<bool> finite{true};
  std::mutex mutex;
  double worst = 0;
  size_t most_distinct = 0;
  ForEachGroup(
      problem, 1, [&](size_t g, std::span<const float> x, ThreadPool* pool) {
        if (LargestBits(x, pool) >= kInfinityBits) {  // NaN cannot be sorted.
          finite = false;
          return;
        }
        const float step = Step(x, whole);
        // The older tool divides by the step before it is rounded.
        const double scale =
            problem.correct() ? StoredScale(config, step) : step;
        params.scale[g] = scale;
        double error = 0;
        for (const float value : x) {
          const int64_t q = Quantize(value, {.scale = scale}, range);
          error = std::max(error, std::abs(static_cast<double>(q) * scale -
                                           static_cast<double>(value)));
        }
        if (error <= kTolerance) return;
        const size_t distinct = DistinctValues(x);
        const std::scoped_lock lock(mutex);
        worst = std::max(worst, error);
        most_distinct = std::max(most_distinct, distinct);
      });
  if (!finite) return NotFinite(problem);
  if (worst <= kTolerance || config.skip_checks) return params;
  if (most_distinct > levels) {
    return Invalid(
        "the values are {:.3g} from any grid, limit {:.0e}; {} distinct values "
        "share a scale, {} bits have {}: these are not fake-quantized weights",
        worst, kTolerance, most_distinct, config.bits, levels);
  }
  return Invalid("the values are {:.3g} from any grid, limit {:.0e}", worst,
                 kTolerance);
}

}  // namespace lathe::quant
