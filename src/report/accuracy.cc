#include "src/report/accuracy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <mutex>

#include "src/base/result.h"

namespace lathe::report {
namespace {

// One job; its sums are added up in order.
constexpr size_t kBlock = 16384;

// Eight lanes at every level, and no fused multiply-add, so that results are
// equal everywhere: a vector is one register with AVX-512, four with SSE2.
constexpr size_t kLanes = 8;
using Floats = float __attribute__((vector_size(4 * kLanes)));
using Words = uint32_t __attribute__((vector_size(4 * kLanes)));
using Doubles = double __attribute__((vector_size(8 * kLanes)));
using Longs = uint64_t __attribute__((vector_size(8 * kLanes)));
#define LATHE_INLINE inline __attribute__((always_inline))
#if defined(__x86_64__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define LATHE_EACH_LEVEL \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define LATHE_EACH_LEVEL
#endif

struct Sums {
  Doubles difference{}, rr{}, tt{}, rt{}, kl{};
  Floats largest{};
  Words bits{};  // Of the largest |r| or |t|.
  uint64_t not_finite = 0;

  void Add(const Sums& other) {
    difference += other.difference;
    rr += other.rr;
    tt += other.tt;
    rt += other.rt;
    kl += other.kl;
    largest = largest > other.largest ? largest : other.largest;
    not_finite += other.not_finite;
  }
};

double Total(const Doubles& lanes) {
  double sum = 0;
  for (size_t i = 0; i < kLanes; ++i) sum += lanes[i];
  return sum;
}

LATHE_INLINE Words MagnitudeBits(Floats x) {
  return std::bit_cast<Words>(x) & 0x7FFFFFFFu;
}
LATHE_INLINE Floats Magnitude(Floats x) {
  return std::bit_cast<Floats>(MagnitudeBits(x));
}
LATHE_INLINE Doubles Positive(Doubles x) { return x > 0 ? x : Doubles{}; }

// ln x of normal x > 0 to 1e-15: x = 2^k m, m in [0.707, 1.414), and with
// s = (m - 1) / (m + 1), ln m = 2 (s + s^3/3 + s^5/5 ...), where s < 0.172.
LATHE_INLINE Doubles Log(Doubles x) {
  constexpr uint64_t kLow = 0x3FE6A09E00000000;  // 0.7071
  constexpr uint64_t kOne = 0x3FF0000000000000;
  const Longs moved = std::bit_cast<Longs>(x) + (kOne - kLow);
  const Doubles m = std::bit_cast<Doubles>((moved & 0xFFFFFFFFFFFFF) + kLow);
  // The bits of 2^52 + k + 1023.
  const Doubles k = std::bit_cast<Doubles>((moved >> 52) | 0x4330000000000000) -
                    (0x1p52 + 1023);
  const Doubles s = (m - 1) / (m + 1), z = s * s;
  Doubles sum = z * (1. / 19) + 1. / 17;
  sum = sum * z + 1. / 15;
  sum = sum * z + 1. / 13;
  sum = sum * z + 1. / 11;
  sum = sum * z + 1. / 9;
  sum = sum * z + 1. / 7;
  sum = sum * z + 1. / 5;
  sum = sum * z + 1. / 3;
  sum = sum * z + 1.;
  return k * 0x1.62e42fefa39efp-1 + 2 * s * sum;
}

LATHE_INLINE void AddLanes(Floats r, Floats t, Floats& ratios, Sums& sums) {
  const Words a = MagnitudeBits(r), b = MagnitudeBits(t);
  const Words larger = a > b ? a : b;
  sums.bits = larger > sums.bits ? larger : sums.bits;
  const Floats apart = Magnitude(t - r);
  ratios = apart / (Magnitude(r) + 1e-6f);
  sums.largest = apart > sums.largest ? apart : sums.largest;
  const Doubles x = __builtin_convertvector(r, Doubles);
  const Doubles y = __builtin_convertvector(t, Doubles);
  sums.difference += (y - x) * (y - x);
  sums.rr += x * x;
  sums.tt += y * y;
  sums.rt += x * y;
  // Where p is 0 nothing is added.
  const Doubles p = Positive(x), q = Positive(y);
  sums.kl += p * Log((p + 1e-9) / (q + 1e-9));
}

// `bits` tell whether the values are finite, and the sums with them. Zeros
// after the last ones add nothing.
LATHE_EACH_LEVEL
void SumBlock(const float* r, const float* t, size_t n, float* ratios,
              Sums* to) {
  Sums sums;
  for (size_t i = 0; i < n; i += kLanes) {
    const size_t bytes = std::min(n - i, kLanes) * sizeof(float);
    Floats a{}, b{}, c;
    if (bytes == sizeof(Floats)) {
      std::memcpy(&a, r + i, sizeof(a));
      std::memcpy(&b, t + i, sizeof(b));
      AddLanes(a, b, c, sums);
      std::memcpy(ratios + i, &c, sizeof(c));
    } else {
      std::memcpy(&a, r + i, bytes);
      std::memcpy(&b, t + i, bytes);
      AddLanes(a, b, c, sums);
      std::memcpy(ratios + i, &c, bytes);
    }
  }
  *to = sums;
}

float Finite(float x) {
  if (std::isnan(x)) return 1e-9f;
  return std::isfinite(x) ? x : std::copysign(1e9f, x);
}

void SumAnyBlock(std::span<const float> r, std::span<const float> t,
                 std::span<float> ratios, Sums* to) {
  constexpr uint32_t kInfinity = 0x7F800000u;
  const size_t n = r.size();
  SumBlock(r.data(), t.data(), n, ratios.data(), to);
  uint32_t bits = 0;
  for (size_t i = 0; i < kLanes; ++i) bits = std::max(bits, to->bits[i]);
  if (bits < kInfinity) return;
  std::vector<float> x(n), y(n);
  std::ranges::transform(r, x.begin(), Finite);
  std::ranges::transform(t, y.begin(), Finite);
  SumBlock(x.data(), y.data(), n, ratios.data(), to);
  to->not_finite = static_cast<uint64_t>(
      std::ranges::count_if(t, [](float v) { return !std::isfinite(v); }));
}

constexpr AccuracyMetric kMetrics[] = {
    {"mse", &Accuracy::mse, false, "mean square of the difference"},
    {"median_diff_ratio", &Accuracy::median_diff_ratio, false,
     "median of the difference over the value"},
    {"cosine_similarity", &Accuracy::cosine_similarity, true,
     "1 for equal values"},
    {"kl_divergence", &Accuracy::kl_divergence, false,
     "of the positive values, not normalized"},
    {"snr", &Accuracy::snr, true, "power over that of the difference"},
    {"snr_db", &Accuracy::snr_db, true, "the same in dB, 200 for equal values"},
    {"max_abs_diff", &Accuracy::max_abs_diff, false, "largest difference"},
};

}  // namespace

double MedianOf(std::span<float> values, ThreadPool* pool) {
  if (values.empty()) return 0;
  const size_t middle = values.size() / 2;
  std::span<float> part = values;
  size_t rank = middle, before = middle - (middle > 0 ? 1 : 0);
  // Of many values, only those whose upper bits are those of the middle ones:
  // exponent and 4 bits more, so that all counts lie in the first cache.
  constexpr size_t kMany = 512;
  std::vector<float> near;
  if (values.size() > kMany) {
    // Floats that are not negative are ordered as their bits are.
    constexpr int kShift = 19;
    constexpr size_t kBins = size_t{1} << (31 - kShift);
    const size_t threads = pool == nullptr ? 1 : pool->threads();
    std::vector<uint32_t> counts(threads * kBins);
    RunJobs(pool, (values.size() + kBlock - 1) / kBlock,
            [&](size_t job, size_t thread) {
              uint32_t* bins = &counts[thread * kBins];
              const size_t begin = job * kBlock;
              const size_t size = std::min(kBlock, values.size() - begin);
              for (const float v : values.subspan(begin, size)) {
                ++bins[std::bit_cast<uint32_t>(v) >> kShift];
              }
            });
    for (size_t i = kBins; i < counts.size(); ++i) {
      counts[i % kBins] += counts[i];
    }
    size_t below = 0, low = 0;
    while (below + counts[low] <= before) below += counts[low++];
    size_t high = low, up_to = below + counts[low];
    while (up_to <= middle) up_to += counts[++high];
    near.resize(up_to - below);
    size_t count = 0;
    std::mutex mutex;
    RunJobs(pool, (values.size() + kBlock - 1) / kBlock,
            [&](size_t job, size_t) {
              const size_t begin = job * kBlock;
              const size_t size = std::min(kBlock, values.size() - begin);
              // Written without a branch: what is not wanted is written over.
              std::array<float, kBlock + 1> some;
              size_t found = 0;
              for (const float v : values.subspan(begin, size)) {
                const size_t bin = std::bit_cast<uint32_t>(v) >> kShift;
                some[found] = v;
                found += static_cast<size_t>(bin - low <= high - low);
              }
              const std::lock_guard lock(mutex);
              std::copy_n(some.begin(), found,
                          near.begin() + static_cast<ptrdiff_t>(count));
              count += found;
            });
    part = std::span(near).first(count);
    rank -= below;
  }
  std::ranges::nth_element(part, part.begin() + static_cast<ptrdiff_t>(rank));
  const auto upper = static_cast<double>(part[rank]);
  if (values.size() % 2 == 1) return upper;
  const float lower = *std::max_element(
      part.begin(), part.begin() + static_cast<ptrdiff_t>(rank));
  return (static_cast<double>(lower) + upper) / 2;
}

Accuracy MeasureAccuracy(std::span<const float> r, std::span<const float> t,
                         ThreadPool* pool, std::vector<float>& scratch,
                         uint64_t* not_finite) {
  LATHE_CHECK(r.size() == t.size());
  Accuracy result;
  const size_t n = r.size();
  if (n == 0) return result;
  scratch.resize(n);
  const std::span<float> ratios(scratch);
  std::vector<Sums> blocks((n + kBlock - 1) / kBlock);
  RunJobs(pool, blocks.size(), [&](size_t job, size_t) {
    const size_t begin = job * kBlock, size = std::min(kBlock, n - begin);
    SumAnyBlock(r.subspan(begin, size), t.subspan(begin, size),
                ratios.subspan(begin, size), &blocks[job]);
  });
  Sums all;
  for (const Sums& block : blocks) all.Add(block);
  if (not_finite != nullptr) *not_finite += all.not_finite;
  const double difference = Total(all.difference), rr = Total(all.rr);
  const double tt = Total(all.tt);
  const auto count = static_cast<double>(n);
  result.mse = difference / count;
  result.median_diff_ratio = MedianOf(ratios, pool);
  if (rr == 0 || tt == 0) {
    result.cosine_similarity = rr == tt ? 1 : 0;
  } else {
    result.cosine_similarity = Total(all.rt) / std::sqrt(rr) / std::sqrt(tt);
  }
  result.kl_divergence = Total(all.kl);
  result.snr = rr / count / (result.mse + 1e-9);
  result.snr_db =
      difference == 0 ? 200
      : rr == 0       ? -200
                : std::clamp(10 * std::log10(rr / difference), -200.0, 200.0);
  for (size_t i = 0; i < kLanes; ++i) {
    result.max_abs_diff =
        std::max(result.max_abs_diff, static_cast<double>(all.largest[i]));
  }
  return result;
}

void AddComparison(const Accuracy& one, uint64_t comparisons, Accuracy& mean,
                   Accuracy& worst) {
  for (const AccuracyMetric& metric : kMetrics) {
    double& m = mean.*metric.value;
    double& w = worst.*metric.value;
    const double value = one.*metric.value;
    const bool first = comparisons == 0;
    if (first || (metric.more_is_better ? value < w : value > w)) w = value;
    m += (value - m) / static_cast<double>(comparisons + 1);
  }
  mean.max_abs_diff = worst.max_abs_diff;
}

}  // namespace lathe::report

namespace lathe {

std::span<const AccuracyMetric> AccuracyMetrics() { return report::kMetrics; }

}  // namespace lathe
