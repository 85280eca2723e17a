// What is remembered of an activation while samples run (quantizer reference,
// section 5): a range by one of four rules, mean squares for OSCAR, a Hessian
// for GPTQ. All stream: none keeps a sample.

#ifndef LATHE_QUANT_CALIBRATION_H_
#define LATHE_QUANT_CALIBRATION_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "src/base/thread_pool.h"
#include "src/quant/histogram.h"

namespace lathe::quant {

struct ValueRange {
  float low = 0, high = 0;
  bool operator==(const ValueRange&) const = default;
};

// Extremes of one sample. low leaves out values <= -3e38, high values >= 3e38:
// masks of attention hold such, and they must not widen a range. If nothing is
// left, the raw extreme. NaN is left out of both unless there is nothing else.
// x must not be empty.
ValueRange RangeOfSample(std::span<const float> x);

enum class RangeRule : uint8_t {
  kMinMax,         // The extremes of all samples.
  kMovingAverage,  // The older tool's: 0.95 old + 0.05 new, from the first.
  kPercentile,     // All but a part of the values on each side.
  kEntropy,        // A clip of least divergence, for 8 bits.
};

struct RangeOptions {
  RangeRule rule = RangeRule::kMinMax;
  double percentile = 99.99;  // kPercentile: of the values below `high`, and
                              // of those above `low`.
  size_t levels = 128;        // kEntropy: steps on each side of 0.
};

class RangeObserver {
 public:
  explicit RangeObserver(RangeOptions options) : options_(options) {}

  // One sample of the tensor, any shape. An empty one counts for nothing.
  void Add(std::span<const float> x);

  size_t samples() const { return samples_; }
  // NaNs seen; they are in no range. Any makes the model suspect.
  uint64_t nans() const { return nans_; }

  // Within the extremes of all samples, whatever the rule but
  // kMovingAverage, which follows its own. {0, 0} without samples.
  ValueRange Range() const;

 private:
  RangeOptions options_;
  size_t samples_ = 0;
  uint64_t nans_ = 0;
  ValueRange extremes_, average_;
  Histogram histogram_;  // Only where the rule asks for it.
};

// mu2: mean of x^2 for each channel of the last dim. A sample weighs as many as
// its leading dim says, as in the older tool.
class SecondMoments {
 public:
  explicit SecondMoments(size_t width) : sums_(width) {}

  // x is [rows, width]; leading >= 0.
  void Add(std::span<const float> x, int64_t leading);

  int64_t samples() const { return samples_; }
  std::vector<double> Mean() const;  // Zeros without samples.

 private:
  std::vector<double> sums_;  // Of means times leading.
  int64_t samples_ = 0;
};

// H = 2 / n * sum of X^T X, n the sum of leading dims. width^2 floats of memory
// (11008: 485 MB) and rows * width^2 / 2 multiply-adds for a sample.
class HessianSum {
 public:
  // `pool` may be null and must outlive this.
  HessianSum(size_t width, ThreadPool* pool);

  // x is [rows, width], finite; leading >= 0.
  void Add(std::span<const float> x, int64_t leading);

  int64_t samples() const { return samples_; }

  // [width, width], symmetric; zeros without samples. Ends the sum: the memory
  // is handed on.
  std::vector<float> Take();

 private:
  size_t width_;
  ThreadPool* pool_;
  std::vector<float> upper_;  // The sum of X^T X; its upper triangle.
  int64_t samples_ = 0;
};

}  // namespace lathe::quant

#endif  // LATHE_QUANT_CALIBRATION_H_
