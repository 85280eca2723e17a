// The scale of least squared error, symmetric.
//
// Correct: the best clip of a grid, for any width and grouping. Compat: the
// older tool's multiple of the root mean square (quantizer reference 2.6).

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "src/quant/algorithms.h"
#include "src/quant/rows/rows.h"

namespace lathe::quant {
namespace {

Result<float> MultipleOfRms(int bits) {
  if (bits == 8) return 0.05408f;
  if (bits == 4) return 0.37755f;
  return Unsupported("MSE knows 4 and 8 bits, not {}", bits);
}

float RootMeanSquare(std::span<const float> x, ThreadPool* pool) {
  const double sum = SumOverPieces(x, pool, [](std::span<const float> piece) {
    return Rows().sum_of_squares(piece.size(), piece.data());
  });
  return std::sqrt(static_cast<float>(sum / static_cast<double>(x.size())));
}

// Clips are multiples of 1/256 of the largest magnitude: first every eighth,
// then all between the neighbours of the best. Whole groups of one magnitude
// and groups with one far outlier are both found.
float Search(const WeightConfig& config, std::span<const float> x,
             float largest, ThreadPool* pool) {
  constexpr int kSteps = 256, kCoarse = 8;
  const IntegerRange range = EncodedRange(config);
  const auto low = static_cast<float>(range.low);
  const auto high = static_cast<float>(range.high);
  float best_scale = SymmetricScale(config, largest);
  double best_error = std::numeric_limits<double>::infinity();
  int best_step = kSteps;
  const auto attempt = [&](int step) {
    const float clip = largest * (static_cast<float>(step) / kSteps);
    const float scale = SymmetricScale(config, clip);
    const double error =
        SumOverPieces(x, pool, [&](std::span<const float> piece) {
          return Rows().squared_error(piece.size(), piece.data(), scale, low,
                                      high);
        });
    if (!(error < best_error)) return;
    best_error = error;
    best_scale = scale;
    best_step = step;
  };
  // From the widest down: a tie keeps the wider clip.
  for (int step = kSteps; step >= kCoarse; step -= kCoarse) attempt(step);
  const int middle = best_step;
  for (int step = std::min(kSteps, middle + kCoarse - 1);
       step > std::max(0, middle - kCoarse); --step) {
    if (step != middle) attempt(step);
  }
  return best_scale;
}

}  // namespace

Result<WeightParams> FindMse(const Problem& problem) {
  const WeightConfig& config = problem.config;
  if (!config.symmetric) {
    return Unsupported("MSE makes symmetric weights only");
  }
  float multiple = 0;
  if (!problem.correct()) {
    if (problem.blocks()) return Unsupported("MSE has no blocks");
    LATHE_ASSIGN(multiple, MultipleOfRms(config.bits));
  }
  const size_t count = problem.groups().count;
  WeightParams params;
  params.scale.resize(count);
  params.zero_point.resize(count);
  // NaN marks a group that is not finite.
  ForEachGroup(problem, 1,
               [&](size_t g, std::span<const float> x, ThreadPool* pool) {
                 if (!problem.correct()) {
                   params.scale[g] = multiple * RootMeanSquare(x, pool);
                   return;
                 }
                 const uint32_t bits = LargestBits(x, pool);
                 params.scale[g] =
                     bits >= kInfinityBits
                         ? std::numeric_limits<double>::quiet_NaN()
                         : Search(config, x, std::bit_cast<float>(bits), pool);
               });
  if (problem.correct() && std::ranges::any_of(params.scale, [](double s) {
        return std::isnan(s);
      })) {
    return NotFinite(problem);
  }
  return params;
}

}  // namespace lathe::quant
