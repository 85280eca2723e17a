#include "src/report/accuracy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "src/base/result.h"

namespace lathe::report {
namespace {

// One job; its sums are added up in order.
constexpr size_t kBlock = 16384;
// Independent sums, so that a vector or two scalar units have work.
constexpr size_t kLanes = 4;

struct Sums {
  double difference = 0, rr = 0, tt = 0, rt = 0, kl = 0;
  float largest = 0;
};

float Finite(float x) {
  if (std::isnan(x)) return 1e-9f;
  return std::isfinite(x) ? x : std::copysign(1e9f, x);
}

bool AllFinite(std::span<const float> x) {
  // The exponent of ones is NaN or infinity; no branch, so it is vectors.
  uint32_t largest = 0;
  for (const float v : x) {
    largest = std::max(largest, std::bit_cast<uint32_t>(v) & 0x7FFFFFFFu);
  }
  return largest < 0x7F800000u;
}

// ln x of a normal x > 0 to 1e-15, without a call or a branch, so that a loop
// of it is vectors: x = 2^k m, m in [0.707, 1.414), and with s = (m-1) / (m+1)
// ln m = 2 (s + s^3/3 + s^5/5 ...), where s < 0.172.
double Log(double x) {
  constexpr uint64_t kLow = 0x3FE6A09E00000000;  // 0.7071
  constexpr uint64_t kOne = 0x3FF0000000000000;
  const uint64_t moved = std::bit_cast<uint64_t>(x) + (kOne - kLow);
  const double m = std::bit_cast<double>((moved & 0xFFFFFFFFFFFFF) + kLow);
  // The bits of 2^52 + k + 1023.
  const double k = std::bit_cast<double>((moved >> 52) | 0x4330000000000000) -
                   (0x1p52 + 1023);
  const double s = (m - 1) / (m + 1), z = s * s;
  double sum = 1.0 / 19;
  for (const double divisor : {17., 15., 13., 11., 9., 7., 5., 3., 1.}) {
    sum = sum * z + 1 / divisor;
  }
  return k * 0x1.62e42fefa39efp-1 + 2 * s * sum;
}

Sums SumBlock(std::span<const float> r, std::span<const float> t,
              std::span<float> ratios) {
  std::array<double, kLanes> difference{}, rr{}, tt{}, rt{}, kl{};
  std::array<float, kLanes> largest{};
  const size_t n = r.size();
  const auto add = [&](size_t i, size_t lane) {
    const float apart = std::abs(t[i] - r[i]);
    ratios[i] = apart / (std::abs(r[i]) + 1e-6f);
    largest[lane] = std::max(largest[lane], apart);
    const auto x = static_cast<double>(r[i]), y = static_cast<double>(t[i]);
    difference[lane] += (y - x) * (y - x);
    rr[lane] += x * x;
    tt[lane] += y * y;
    rt[lane] += x * y;
    // Where p is 0 nothing is added.
    const double p = std::max(x, 0.0), q = std::max(y, 0.0);
    kl[lane] += p * Log((p + 1e-9) / (q + 1e-9));
  };
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) add(i + lane, lane);
  }
  for (; i < n; ++i) add(i, 0);
  Sums sums;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    sums.difference += difference[lane];
    sums.rr += rr[lane];
    sums.tt += tt[lane];
    sums.rt += rt[lane];
    sums.kl += kl[lane];
    sums.largest = std::max(sums.largest, largest[lane]);
  }
  return sums;
}

Sums SumAnyBlock(std::span<const float> r, std::span<const float> t,
                 std::span<float> ratios) {
  if (AllFinite(r) && AllFinite(t)) return SumBlock(r, t, ratios);
  std::vector<float> x(r.size()), y(t.size());
  std::ranges::transform(r, x.begin(), Finite);
  std::ranges::transform(t, y.begin(), Finite);
  return SumBlock(x, y, ratios);
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

double MedianOf(std::span<float> values) {
  if (values.empty()) return 0;
  const size_t middle = values.size() / 2;
  std::span<float> part = values;
  size_t rank = middle, before = middle - (middle > 0 ? 1 : 0);
  // Of many values, only those whose upper bits are those of the middle ones.
  constexpr size_t kMany = 1 << 15;
  std::vector<float> near;
  if (values.size() > kMany) {
    // Floats that are not negative are ordered as their bits are.
    std::vector<uint32_t> counts(1 << 16);
    for (const float v : values) ++counts[std::bit_cast<uint32_t>(v) >> 16];
    size_t below = 0, low = 0;
    while (below + counts[low] <= before) below += counts[low++];
    size_t high = low, up_to = below + counts[low];
    while (up_to <= middle) up_to += counts[++high];
    near.reserve(up_to - below);
    for (const float v : values) {
      const uint32_t bin = std::bit_cast<uint32_t>(v) >> 16;
      if (bin >= low && bin <= high) near.push_back(v);
    }
    part = near;
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
                         ThreadPool* pool, std::vector<float>& scratch) {
  LATHE_CHECK(r.size() == t.size());
  Accuracy result;
  const size_t n = r.size();
  if (n == 0) return result;
  scratch.resize(n);
  const std::span<float> ratios(scratch);
  std::vector<Sums> blocks((n + kBlock - 1) / kBlock);
  const auto work = [&](size_t job, size_t) {
    const size_t begin = job * kBlock, size = std::min(kBlock, n - begin);
    blocks[job] = SumAnyBlock(r.subspan(begin, size), t.subspan(begin, size),
                              ratios.subspan(begin, size));
  };
  if (pool != nullptr && blocks.size() > 1) {
    pool->Run(blocks.size(), work);
  } else {
    for (size_t job = 0; job < blocks.size(); ++job) work(job, 0);
  }
  Sums all;
  for (const Sums& block : blocks) {
    all.difference += block.difference;
    all.rr += block.rr;
    all.tt += block.tt;
    all.rt += block.rt;
    all.kl += block.kl;
    all.largest = std::max(all.largest, block.largest);
  }
  const auto count = static_cast<double>(n);
  result.mse = all.difference / count;
  result.median_diff_ratio = MedianOf(ratios);
  if (all.rr == 0 || all.tt == 0) {
    result.cosine_similarity = all.rr == all.tt ? 1 : 0;
  } else {
    result.cosine_similarity = all.rt / std::sqrt(all.rr) / std::sqrt(all.tt);
  }
  result.kl_divergence = all.kl;
  result.snr = all.rr / count / (result.mse + 1e-9);
  result.snr_db =
      all.difference == 0 ? 200
      : all.rr == 0
          ? -200
          : std::clamp(10 * std::log10(all.rr / all.difference), -200.0, 200.0);
  result.max_abs_diff = static_cast<double>(all.largest);
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
