// Scales from the extremes of each group.

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "src/quant/algorithms.h"
#include "src/quant/rows/rows.h"

namespace lathe::quant {
namespace {

struct Extremes {
  std::vector<float> low, high;   // Only where signs are asked for.
  std::vector<uint32_t> largest;  // Bits of the largest |x|.

  Extremes(size_t n, bool signs)
      : low(signs ? n : 0, std::numeric_limits<float>::infinity()),
        high(signs ? n : 0, -std::numeric_limits<float>::infinity()),
        largest(n) {}
  bool signs() const { return !low.empty(); }

  // Of `runs` neighbouring runs into the slots from `slot` on.
  void Take(size_t slot, size_t runs, size_t run, const float* x) {
    if (run == 0) return;
    if (!signs()) return Rows().magnitudes(runs, run, x, &largest[slot]);
    for (size_t r = 0; r < runs; ++r) {
      Rows().extremes(run, x + r * run, &low[slot + r], &high[slot + r],
                      &largest[slot + r]);
    }
  }

  void Merge(size_t slot, const Extremes& other, size_t from) {
    largest[slot] = std::max(largest[slot], other.largest[from]);
    if (!signs()) return;
    low[slot] = std::min(low[slot], other.low[from]);
    high[slot] = std::max(high[slot], other.high[from]);
  }
};

// Elements of a group are neighbours: jobs are some groups, or a piece of one.
Extremes OfNeighbours(const Problem& problem, const Groups& groups,
                      bool signs) {
  const float* x = problem.values.data();
  Extremes result(groups.count, signs);
  if (groups.inner <= kJobElements) {
    const size_t some =
        std::max<size_t>(1, kJobElements / std::max<size_t>(1, groups.inner));
    RunJobs(problem.pool, (groups.count + some - 1) / some,
            [&](size_t job, size_t) {
              const size_t g = job * some;
              result.Take(g, std::min(some, groups.count - g), groups.inner,
                          x + g * groups.inner);
            });
    return result;
  }
  const size_t pieces = (groups.inner + kJobElements - 1) / kJobElements;
  Extremes partial(groups.count * pieces, signs);
  RunJobs(problem.pool, groups.count * pieces, [&](size_t job, size_t) {
    const size_t begin = job % pieces * kJobElements;
    partial.Take(job, 1, std::min(kJobElements, groups.inner - begin),
                 x + job / pieces * groups.inner + begin);
  });
  for (size_t i = 0; i < groups.count * pieces; ++i) {
    result.Merge(i / pieces, partial, i);
  }
  return result;
}

// Groups lie across: every thread widens extremes of its own.
Extremes OfColumns(const Problem& problem, const Groups& groups) {
  const size_t row = groups.count * groups.inner;
  const size_t some = std::max<size_t>(1, kJobElements / row);
  std::vector<Extremes> parts(ThreadsOf(problem.pool),
                              Extremes(groups.count, true));
  RunJobs(problem.pool, (groups.outer + some - 1) / some,
          [&](size_t job, size_t thread) {
            Extremes& part = parts[thread];
            const size_t end = std::min(groups.outer, (job + 1) * some);
            for (size_t o = job * some; o < end; ++o) {
              const float* x = &problem.values[o * row];
              if (groups.inner > 1) {
                part.Take(0, groups.count, groups.inner, x);
              } else {
                Rows().column_extremes(groups.count, x, part.low.data(),
                                       part.high.data(), part.largest.data());
              }
            }
          });
  for (size_t t = 1; t < parts.size(); ++t) {
    for (size_t g = 0; g < groups.count; ++g) parts[0].Merge(g, parts[t], g);
  }
  return std::move(parts[0]);
}

}  // namespace

Result<WeightParams> FindMinMax(const Problem& problem) {
  const WeightConfig& config = problem.config;
  const Groups groups = problem.groups();
  const Extremes extremes =
      groups.outer > 1 && groups.count > 0
          ? OfColumns(problem, groups)
          : OfNeighbours(problem, groups, !config.symmetric);
  const IntegerRange range = RangeOf(config.bits, config.symmetric, false);

  WeightParams params;
  params.scale.resize(groups.count);
  params.zero_point.resize(groups.count);
  const auto find = [&](size_t g) {
    const uint32_t bits = extremes.largest[g];
    if (config.symmetric) {
      params.scale[g] = SymmetricScale(config, std::bit_cast<float>(bits));
      return;
    }
    // In float32 throughout, as the older tool.
    const float high = std::max(extremes.high[g], 0.0f);
    const float low = std::min(extremes.low[g], 0.0f);
    float width = std::max(high - low, 1e-9f);
    if (bits > kInfinityBits) width = std::bit_cast<float>(bits);  // NaN.
    const float scale = width / static_cast<float>(range.high - range.low);
    const float zero = static_cast<float>(range.low) - low / scale;
    params.scale[g] = StoredScale(config, scale);
    params.zero_point[g] = Quantize(zero, {}, range);
  };
  if (problem.correct() &&
      std::ranges::any_of(extremes.largest, [](uint32_t bits) {
        return bits >= kInfinityBits;
      })) {
    return NotFinite(problem);
  }
  const size_t some = 4096;  // Blocks are many.
  RunJobs(problem.pool, (groups.count + some - 1) / some,
          [&](size_t job, size_t) {
            const size_t end = std::min(groups.count, (job + 1) * some);
            for (size_t g = job * some; g < end; ++g) find(g);
          });
  return params;
}

}  // namespace lathe::quant
