#include "src/quant/calibration.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "src/base/result.h"
#include "src/quant/groups.h"
#include "src/quant/rows/rows.h"

namespace lathe::quant {

ValueRange RangeOfSample(std::span<const float> x) {
  constexpr float kLargest = 3e38f;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  ValueRange range = {.low = kInfinity, .high = -kInfinity};
  uint32_t largest = 0;
  Rows().extremes(x.size(), x.data(), &range.low, &range.high, &largest);
  if (largest < std::bit_cast<uint32_t>(kLargest)) return range;

  range = {.low = kInfinity, .high = -kInfinity};
  ValueRange raw = {.low = x[0], .high = x[0]};
  for (const float v : x) {
    if (v > -kLargest) range.low = std::min(range.low, v);
    if (v < kLargest) range.high = std::max(range.high, v);
    // NaN goes on, as in the older tool.
    if (v < raw.low || std::isnan(v)) raw.low = v;
    if (v > raw.high || std::isnan(v)) raw.high = v;
  }
  if (range.low == kInfinity) range.low = raw.low;
  if (range.high == -kInfinity) range.high = raw.high;
  return range;
}

void RangeObserver::Add(std::span<const float> x) {
  if (x.empty()) return;
  if (LargestBits(x, nullptr) > kInfinityBits) {
    nans_ += static_cast<uint64_t>(
        std::ranges::count_if(x, [](float v) { return std::isnan(v); }));
  }
  const ValueRange sample = RangeOfSample(x);
  if (samples_++ == 0) {
    extremes_ = average_ = sample;
  } else {
    extremes_.low = std::min(extremes_.low, sample.low);
    extremes_.high = std::max(extremes_.high, sample.high);
    // In float32, each product rounded, as the older tool.
    constexpr float kOld = 0.95f, kNew = static_cast<float>(1.0 - 0.95);
    average_.low = kOld * average_.low + kNew * sample.low;
    average_.high = kOld * average_.high + kNew * sample.high;
  }
  if (options_.rule == RangeRule::kPercentile ||
      options_.rule == RangeRule::kEntropy) {
    histogram_.Add(x);
  }
}

ValueRange RangeObserver::Range() const {
  double low = static_cast<double>(extremes_.low);
  double high = static_cast<double>(extremes_.high);
  switch (options_.rule) {
    case RangeRule::kMinMax:
      return extremes_;
    case RangeRule::kMovingAverage:
      return average_;
    case RangeRule::kPercentile:
      low = histogram_.Quantile(1 - options_.percentile / 100);
      high = histogram_.Quantile(options_.percentile / 100);
      break;
    case RangeRule::kEntropy: {
      const std::vector<uint64_t> magnitudes = histogram_.Magnitudes();
      const auto bins = static_cast<double>(
          BinsOfLeastDivergence(magnitudes, options_.levels));
      high = histogram_.limit() * bins / Histogram::kSide;
      low = -high;
      break;
    }
  }
  // Bins end beyond the values that are in them.
  return {.low = std::max(extremes_.low, static_cast<float>(low)),
          .high = std::min(extremes_.high, static_cast<float>(high))};
}

void SecondMoments::Add(std::span<const float> x, int64_t leading) {
  const size_t width = sums_.size();
  LATHE_CHECK(width > 0 && x.size() % width == 0 && leading >= 0);
  const size_t rows = x.size() / width;
  if (rows == 0) return;
  std::vector<double> squares(width);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t j = 0; j < width; ++j) {
      const auto v = static_cast<double>(x[r * width + j]);
      squares[j] += v * v;
    }
  }
  const double weight =
      static_cast<double>(leading) / static_cast<double>(rows);
  for (size_t j = 0; j < width; ++j) sums_[j] += squares[j] * weight;
  samples_ += leading;
}

std::vector<double> SecondMoments::Mean() const {
  std::vector<double> mean = sums_;
  for (double& m : mean) {
    m = samples_ == 0 ? 0 : m / static_cast<double>(samples_);
  }
  return mean;
}

HessianSum::HessianSum(size_t width, ThreadPool* pool)
    : width_(width), pool_(pool), upper_(width * width) {}

void HessianSum::Add(std::span<const float> x, int64_t leading) {
  LATHE_CHECK(width_ > 0 && x.size() % width_ == 0 && leading >= 0);
  constexpr size_t kColumns = 64;  // Of the sum, one job.
  constexpr size_t kRows = 256;    // Of x, added up before they join the sum.
  const size_t rows = x.size() / width_;
  struct Scratch {
    std::vector<float> transposed, product;
  };
  std::vector<Scratch> scratch(ThreadsOf(pool_));
  for (size_t r0 = 0; r0 < rows; r0 += kRows) {
    const size_t k = std::min(kRows, rows - r0);
    const float* piece = &x[r0 * width_];
    RunJobs(pool_, (width_ + kColumns - 1) / kColumns,
            [&](size_t job, size_t thread) {
              const size_t i0 = job * kColumns;
              const size_t m = std::min(kColumns, width_ - i0);
              const size_t n = width_ - i0;
              std::vector<float>& a = scratch[thread].transposed;
              std::vector<float>& product = scratch[thread].product;
              a.resize(m * k);
              product.assign(m * n, 0.0f);
              // Negative, since the loop subtracts.
              for (size_t p = 0; p < k; ++p) {
                for (size_t i = 0; i < m; ++i) {
                  a[i * k + p] = -piece[p * width_ + i0 + i];
                }
              }
              Rows().subtract_product(m, n, k, a.data(), k, piece + i0, width_,
                                      product.data(), n);
              for (size_t i = 0; i < m; ++i) {
                float* sum = &upper_[(i0 + i) * width_ + i0];
                for (size_t j = 0; j < n; ++j) sum[j] += product[i * n + j];
              }
            });
  }
  samples_ += leading;
}

std::vector<float> HessianSum::Take() {
  const double scale = samples_ == 0 ? 0 : 2.0 / static_cast<double>(samples_);
  for (size_t i = 0; i < width_; ++i) {
    for (size_t j = i; j < width_; ++j) {
      float& value = upper_[i * width_ + j];
      value = static_cast<float>(static_cast<double>(value) * scale);
      upper_[j * width_ + i] = value;
    }
  }
  return std::exchange(upper_, {});
}

}  // namespace lathe::quant
