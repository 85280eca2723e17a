// How often activations take which values, streamed: the range grows with what
// it sees, and nothing but counts is kept.

#ifndef LATHE_QUANT_HISTOGRAM_H_
#define LATHE_QUANT_HISTOGRAM_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lathe::quant {

// Counts in equal bins over [-limit, limit]. The limit starts at the first
// sample's largest magnitude and doubles when a value lies beyond, which merges
// neighbouring bins. Zeros are counted apart: every grid holds them exactly.
class Histogram {
 public:
  static constexpr size_t kSide = 2048;  // Bins on each side of 0.

  // Values that are NaN, or not between -3e38 and 3e38, are left out.
  void Add(std::span<const float> x);

  uint64_t count() const { return count_; }  // With the zeros.
  double limit() const { return limit_; }

  // The value below which the part `quantile` (0 to 1) of all lies, exact to a
  // bin, within which values count as spread evenly. 0 if nothing was counted.
  double Quantile(double quantile) const;

  // Counts of magnitudes, bins of limit / kSide from 0 up; zeros left out.
  std::vector<uint64_t> Magnitudes() const;

 private:
  void Widen(double magnitude);

  double limit_ = 0;
  uint64_t zeros_ = 0, count_ = 0;
  std::vector<uint64_t> bins_;  // 2 * kSide, or empty before a value came.
};

// How many of the bins a clip should keep so that the distribution changes
// least when their values are rounded to `levels` steps. With n bins kept, P is
// the counts with those beyond added to the last bin; Q is the counts where
// each of `levels` equal stretches is spread evenly over its bins that are not
// empty; the n of least divergence KL(P | Q) wins, the larger of equals.
// (Migacz, "8-bit inference with TensorRT", 2017.) Returns magnitudes.size() if
// that is not above `levels`. O(magnitudes.size()^2).
size_t BinsOfLeastDivergence(std::span<const uint64_t> magnitudes,
                             size_t levels);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_HISTOGRAM_H_
