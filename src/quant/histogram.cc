#include "src/quant/histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lathe::quant {

void Histogram::Widen(double magnitude) {
  if (bins_.empty()) {
    bins_.resize(2 * kSide);
    limit_ = magnitude;
    return;
  }
  while (magnitude > limit_) {
    limit_ *= 2;
    // Bins away from 0 move inwards: two become one, the outer half is empty.
    for (size_t i = 0; i < kSide; ++i) {
      const bool inside = i < kSide / 2;
      const auto up = [&](size_t j) -> uint64_t& { return bins_[kSide + j]; };
      const auto down = [&](size_t j) -> uint64_t& {
        return bins_[kSide - 1 - j];
      };
      up(i) = inside ? up(2 * i) + up(2 * i + 1) : 0;
      down(i) = inside ? down(2 * i) + down(2 * i + 1) : 0;
    }
  }
}

void Histogram::Add(std::span<const float> x) {
  constexpr float kLargest = 3e38f;
  const auto counts = [](float v) { return v > -kLargest && v < kLargest; };
  float largest = 0;
  for (const float v : x) {
    if (counts(v)) largest = std::max(largest, std::abs(v));
  }
  if (largest > 0) Widen(static_cast<double>(largest));
  const double bins_per_unit = static_cast<double>(kSide) / limit_;
  for (const float v : x) {
    if (!counts(v)) continue;
    ++count_;
    if (v == 0) {
      ++zeros_;
      continue;
    }
    const auto steps =
        static_cast<size_t>(std::abs(static_cast<double>(v)) * bins_per_unit);
    const size_t bin = std::min(steps, kSide - 1);
    ++bins_[v > 0 ? kSide + bin : kSide - 1 - bin];
  }
}

double Histogram::Quantile(double quantile) const {
  const double wanted = quantile * static_cast<double>(count_);
  const double width = limit_ / static_cast<double>(kSide);
  double below = 0;
  for (size_t i = 0; i < bins_.size(); ++i) {
    // The zeros lie between the two sides.
    if (i == kSide) {
      below += static_cast<double>(zeros_);
      if (zeros_ > 0 && below >= wanted) return 0;
    }
    const auto in_bin = static_cast<double>(bins_[i]);
    if (in_bin > 0 && below + in_bin >= wanted) {
      const double part = std::max(0.0, wanted - below) / in_bin;
      return (static_cast<double>(i) + part) * width - limit_;
    }
    below += in_bin;
  }
  return bins_.empty() ? 0 : limit_;
}

std::vector<uint64_t> Histogram::Magnitudes() const {
  std::vector<uint64_t> result(bins_.empty() ? 0 : kSide);
  for (size_t i = 0; i < result.size(); ++i) {
    result[i] = bins_[kSide + i] + bins_[kSide - 1 - i];
  }
  return result;
}

namespace {

// KL(P | Q) for n bins kept, or infinity where P has what Q has not: values
// beyond the clip at an empty last bin.
double Divergence(std::span<const uint64_t> counts, size_t n, size_t levels,
                  double total, double kept) {
  double divergence = 0;
  for (size_t level = 0; level < levels; ++level) {
    const size_t begin = level * n / levels, end = (level + 1) * n / levels;
    double sum = 0, used = 0;
    for (size_t i = begin; i < end; ++i) {
      sum += static_cast<double>(counts[i]);
      used += counts[i] > 0 ? 1 : 0;
    }
    for (size_t i = begin; i < end; ++i) {
      auto p = static_cast<double>(counts[i]);
      if (i == n - 1) p += total - kept;
      if (p == 0) continue;
      if (counts[i] == 0) return std::numeric_limits<double>::infinity();
      const double q = sum / used;
      divergence += p / total * std::log(p / total * kept / q);
    }
  }
  return divergence;
}

}  // namespace

size_t BinsOfLeastDivergence(std::span<const uint64_t> magnitudes,
                             size_t levels) {
  double total = 0;
  for (const uint64_t count : magnitudes) total += static_cast<double>(count);
  size_t best = magnitudes.size();
  double least = std::numeric_limits<double>::infinity();
  double kept = 0;
  for (size_t n = 1; n <= magnitudes.size(); ++n) {
    kept += static_cast<double>(magnitudes[n - 1]);
    if (n < levels || kept == 0) continue;
    const double divergence = Divergence(magnitudes, n, levels, total, kept);
    if (divergence <= least) {
      least = divergence;
      best = n;
    }
  }
  return best;
}

}  // namespace lathe::quant
