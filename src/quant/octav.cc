// OCTAV: the clip that minimizes the squared error of a symmetric quantizer,
// by Newton's method (Sakr et al., arXiv 2206.06501, equation 6; quantizer
// reference 2.5).

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>

#include "src/quant/algorithms.h"
#include "src/quant/rows/rows.h"

namespace lathe::quant {
namespace {

constexpr int kRounds = 10;

// s' = sum(|x| where |x| >= s) / (k N + (1 - k) n), n = how many these are.
float Step(std::span<const float> x, float k, float s, ThreadPool* pool) {
  Selection selected;
  if (x.size() <= kJobElements) {
    selected = Rows().select(x.size(), x.data(), s);
  } else {
    std::vector<Selection> parts((x.size() + kJobElements - 1) / kJobElements);
    RunJobs(pool, parts.size(), [&](size_t job, size_t) {
      const size_t begin = job * kJobElements;
      parts[job] =
          Rows().select(std::min(kJobElements, x.size() - begin), &x[begin], s);
    });
    for (const Selection& part : parts) {
      selected.sum += part.sum;
      selected.count += part.count;
    }
  }
  // Rounded to float32 where the older tool rounds.
  const float outside = static_cast<float>(selected.count) * (1.0f - k);
  const auto denominator = static_cast<float>(
      static_cast<double>(outside) +
      static_cast<double>(k) * static_cast<double>(x.size()));
  return static_cast<float>(selected.sum) / denominator;
}

bool Close(float old, float s) {
  return std::abs(old - s) <= 1e-8f + 1e-5f * std::abs(s);
}

// What Newton's method came to in one group.
struct Clip {
  float s = 1;
  uint32_t largest = 0;  // Bits of the largest |x|.
  uint8_t rounds = 0;    // After this many the value no longer changed.
};

}  // namespace

Result<WeightParams> FindOctav(const Problem& problem, size_t rotation) {
  const WeightConfig& config = problem.config;
  if (!config.symmetric) {
    return Unsupported("OCTAV and Hadamard make symmetric weights only");
  }
  const float k = static_cast<float>(std::pow(4.0, -config.bits) / 3);
  const size_t count = problem.groups().count;
  std::vector<Clip> clips(count);

  // The older tool stops all groups in the first round in which each is close:
  // bit t of `close` says that all were in round t. Each group runs on until
  // it stands still; one that moved after the common end is done again.
  std::atomic<uint32_t> close{~uint32_t{0}};
  ForEachGroup(problem, rotation,
               [&](size_t g, std::span<const float> x, ThreadPool* pool) {
                 Clip& clip = clips[g];
                 clip.largest = LargestBits(x, pool);
                 uint32_t mine = ~uint32_t{0};
                 while (clip.rounds < kRounds) {
                   const float old = clip.s;
                   clip.s = Step(x, k, old, pool);
                   if (!Close(old, clip.s)) mine &= ~(1u << clip.rounds);
                   if (clip.s == old) break;
                   ++clip.rounds;
                 }
                 close.fetch_and(mine, std::memory_order_relaxed);
               });
  const int rounds = std::min(std::countr_zero(close.load()) + 1, kRounds);
  const bool again = std::ranges::any_of(
      clips, [&](const Clip& clip) { return clip.rounds > rounds; });
  if (again) {
    ForEachGroup(problem, rotation,
                 [&](size_t g, std::span<const float> x, ThreadPool* pool) {
                   Clip& clip = clips[g];
                   if (clip.rounds <= rounds) return;
                   clip.s = 1;
                   for (int i = 0; i < rounds; ++i) {
                     clip.s = Step(x, k, clip.s, pool);
                   }
                 });
  }

  WeightParams params;
  params.scale.resize(count);
  params.zero_point.resize(count);
  const auto high = static_cast<float>(RangeOf(config.bits, true, false).high);
  for (size_t g = 0; g < count; ++g) {
    if (clips[g].largest >= kInfinityBits && problem.correct()) {
      return NotFinite(problem);
    }
    float bound = std::max(std::bit_cast<float>(clips[g].largest), 1e-9f);
    bound = std::min(bound, clips[g].s);
    if (problem.correct()) {
      params.scale[g] = SymmetricScale(config, bound);  // Never 0.
      continue;
    }
    if (problem.blocks()) {
      // The older tool's limit on what a half can hold.
      const auto levels = static_cast<float>((1 << config.bits) - 1);
      bound = std::min(bound, 65280.0f * levels);
    }
    params.scale[g] = StoredScale(config, bound / high);
  }
  return params;
}

}  // namespace lathe::quant
