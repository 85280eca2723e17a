#include "src/quant/calibration.h"

#include <cmath>
#include <limits>
#include <sstream>

#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "src/quant/calibration_file.h"
#include "src/quant/test_support.h"

namespace lathe::quant {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using Samples = std::vector<std::vector<float>>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const float kNan = std::numeric_limits<float>::quiet_NaN();

ValueRange Observed(RangeOptions options, const Samples& samples) {
  RangeObserver observer(options);
  for (const std::vector<float>& sample : samples) observer.Add(sample);
  return observer.Range();
}

TEST(RangeOfSample, LeavesMasksOut) {
  const auto range = [](const std::vector<float>& x) {
    return RangeOfSample(x);
  };
  EXPECT_EQ(range({1, -2, 3}), (ValueRange{-2, 3}));
  EXPECT_EQ(range({1, -3.3e38f, 3, -kInfinity}), (ValueRange{1, 3}));
  EXPECT_EQ(range({1, kInfinity, 3}), (ValueRange{1, 3}));
  EXPECT_EQ(range({1, kNan, 3}), (ValueRange{1, 3}));
  // All outside: the raw extreme. Inside for `high`, all the same.
  EXPECT_EQ(range({-3.1e38f, -kInfinity}), (ValueRange{-kInfinity, -3.1e38f}));
}

TEST(RangeObserver, MinMaxKeepsTheExtremesOfAllSamples) {
  EXPECT_EQ(Observed({}, {{1, 2}, {-5, 0}, {0.5f, 3}}), (ValueRange{-5, 3}));
  EXPECT_EQ(Observed({}, {}), (ValueRange{0, 0}));
}

TEST(RangeObserver, TheMovingAverageStartsAtTheFirstSample) {
  // -1, then 0.95 * -1 + 0.05 * -3 = -1.1, then 0.95 * -1.1 + 0.05 * 1.
  const ValueRange range =
      Observed({.rule = RangeRule::kMovingAverage}, {{-1, 2}, {-3, 4}, {1, 2}});
  EXPECT_FLOAT_EQ(range.low, -0.995f);
  EXPECT_FLOAT_EQ(range.high, 2.095f);  // 2, 2.1, 2.095.
}

TEST(RangeObserver, ThePercentileLeavesAPartOnEachSide) {
  std::vector<float> values(1000);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i) - 500;  // -500 to 499.
  }
  values[3] = 100000;  // An outlier of one in a thousand.
  const ValueRange range =
      Observed({.rule = RangeRule::kPercentile, .percentile = 99}, {values});
  // Exact to a bin, 100000 / 2048.
  EXPECT_NEAR(range.low, -490, 49);
  EXPECT_NEAR(range.high, 490, 49);
  EXPECT_EQ(
      Observed({.rule = RangeRule::kPercentile, .percentile = 100}, {values}),
      (ValueRange{-500, 100000}));
}

TEST(RangeObserver, EntropyClipsAnOutlierAndKeepsAnEvenSpread) {
  std::vector<float> values = Normal(100000, 1, 1);
  values[5] = 60;
  const ValueRange clipped = Observed({.rule = RangeRule::kEntropy}, {values});
  EXPECT_LT(clipped.high, 8);
  EXPECT_GT(clipped.high, 3);
  EXPECT_GE(clipped.low, -5.5f);  // Not beyond what was seen.

  std::vector<float> even(100000);
  for (size_t i = 0; i < even.size(); ++i) {
    even[i] = static_cast<float>(i) / 100000;
  }
  const ValueRange kept = Observed({.rule = RangeRule::kEntropy}, {even});
  EXPECT_EQ(kept.low, 0);
  EXPECT_GT(kept.high, 0.97f);
}

TEST(RangeObserver, CountsNaNsAndLeavesThemOut) {
  for (const RangeRule rule : {RangeRule::kMinMax, RangeRule::kMovingAverage,
                               RangeRule::kPercentile, RangeRule::kEntropy}) {
    RangeObserver observer({.rule = rule});
    observer.Add(std::vector<float>{1, kNan, -1, kNan});
    observer.Add({});
    EXPECT_EQ(observer.nans(), 2u);
    EXPECT_EQ(observer.samples(), 1u);
    EXPECT_LE(observer.Range().high, 1);
    EXPECT_GE(observer.Range().low, -1);
  }
}

TEST(Histogram, GrowsByMergingNeighbours) {
  Histogram histogram;
  histogram.Add(std::vector<float>{1, -1, 0});
  EXPECT_EQ(histogram.limit(), 1);
  histogram.Add(std::vector<float>{3, 0.5f});
  EXPECT_EQ(histogram.limit(), 4);
  EXPECT_EQ(histogram.count(), 5u);
  const std::vector<uint64_t> magnitudes = histogram.Magnitudes();
  // 1 stood in the last of 2048 bins, which two merges make the 512th.
  EXPECT_EQ(magnitudes[511], 2u);
  EXPECT_EQ(magnitudes[256], 1u);
  EXPECT_EQ(magnitudes[1536], 1u);
  EXPECT_EQ(histogram.Quantile(0.4), 0);
}

TEST(Histogram, WithoutValuesKnowsNothing) {
  Histogram histogram;
  histogram.Add(std::vector<float>{0, 0});
  EXPECT_EQ(histogram.Quantile(0.5), 0);
  EXPECT_TRUE(histogram.Magnitudes().empty());
}

TEST(Entropy, TheDivergenceByHand) {
  // Two levels. P and Q for n = 2, 3, 4 kept bins are
  //   {8, 8} / 16 and {8, 4} / 12: 0.0589;
  //   {8, 4, 4} / 16 and {8, 3, 3} / 14: 0.0103;
  //   {8, 4, 2, 2} / 16 and {6, 6, 1.5, 1.5} / 15: 0.0499;
  // 5 to 7 put the outlier into an empty bin; 8 gives 0.234.
  const std::vector<uint64_t> counts = {8, 4, 2, 1, 0, 0, 0, 1};
  EXPECT_EQ(BinsOfLeastDivergence(counts, 2), 3u);
  const std::vector<uint64_t> one = {1, 2};
  EXPECT_EQ(BinsOfLeastDivergence(one, 2), 2u);
  EXPECT_EQ(BinsOfLeastDivergence(one, 128), 2u);
  EXPECT_EQ(BinsOfLeastDivergence({}, 128), 0u);
}

TEST(SecondMoments, AreWeightedByTheLeadingDim) {
  SecondMoments moments(2);
  EXPECT_THAT(moments.Mean(), ElementsAre(0, 0));
  // Means of squares: (5, 8) of two rows, then (16, 0) of one.
  moments.Add(std::vector<float>{1, 0, 3, 4}, 2);
  moments.Add(std::vector<float>{4, 0}, 1);
  EXPECT_EQ(moments.samples(), 3);
  EXPECT_THAT(moments.Mean(), ElementsAre(DoubleNear(26.0 / 3, 1e-12),
                                          DoubleNear(16.0 / 3, 1e-12)));
}

TEST(Hessian, IsTwiceTheMeanOfProducts) {
  HessianSum sum(2, nullptr);
  // X^T X of {1, 2}, {3, 4} is {10, 14, 14, 20}; of {1, 0}: {1, 0, 0, 0}.
  sum.Add(std::vector<float>{1, 2, 3, 4}, 1);
  sum.Add(std::vector<float>{1, 0}, 3);
  EXPECT_EQ(sum.samples(), 4);
  EXPECT_THAT(sum.Take(), ElementsAre(5.5f, 7, 7, 10));
}

TEST(Hessian, OfSizesAroundABlockIsTheDefinition) {
  ThreadPool pool(2);
  for (const size_t width : {1u, 63u, 64u, 65u, 200u}) {
    const std::vector<float> x = Normal(width * 300, 1, 4);
    HessianSum sum(width, &pool);
    sum.Add(x, 10);
    const std::vector<float> h = sum.Take();
    for (size_t i = 0; i < width; i += 7) {
      for (size_t j = 0; j < width; j += 5) {
        double want = 0;
        for (size_t r = 0; r < 300; ++r) {
          want += 0.2 * static_cast<double>(x[r * width + i]) *
                  static_cast<double>(x[r * width + j]);
        }
        EXPECT_NEAR(h[i * width + j], want, 1e-4);
      }
    }
  }
}

TEST(CalibrationFile, NumbersReadBackExactly) {
  const std::vector<double> mu2 = {0.1, 2};
  const std::vector<float> hessian = {0.1f, 1e-20f, 1e-20f, 3};
  const std::vector<CalibratedTensor> tensors = {
      {.name = "x\"\n", .rank = 2, .range = {-0.1f, 3}},
      {.name = "y",
       .rank = 0,
       .range = {-1, 1e30f},
       .num_samples = 7,
       .mu2 = mu2,
       .hessian = hessian}};
  std::ostringstream out;
  ASSERT_TRUE(WriteCalibration(tensors, 6, {{"made by", "a test"}}, out));
  const auto json = nlohmann::json::parse(out.str());
  const auto& x = json["model_qsvs"]["x\"\n"];
  EXPECT_EQ(x["min"][0][0].get<double>(), static_cast<double>(-0.1f));
  EXPECT_TRUE(x["max"][0][0].is_number_float());
  EXPECT_EQ(x["max"][0][0].get<double>(), 3);
  EXPECT_FALSE(x.contains("num_samples"));
  const auto& y = json["model_qsvs"]["y"];
  EXPECT_EQ(y["max"].get<float>(), 1e30f);
  EXPECT_EQ(y["num_samples"], 7);
  EXPECT_EQ(y["mu2"].get<std::vector<double>>(), mu2);
  EXPECT_EQ(y["hessian"][0].get<std::vector<float>>(),
            (std::vector<float>{0.1f, 1e-20f}));
  EXPECT_EQ(y["hessian"][1][1].get<double>(), 3);
  EXPECT_EQ(json["metadata"]["num_samples_calibrated"], 6);
  EXPECT_EQ(json["metadata"]["made by"], "a test");
}

TEST(CalibrationFile, RefusesWhatJsonCannotHold) {
  std::ostringstream out;
  const std::vector<CalibratedTensor> infinite = {
      {.name = "x", .range = {-kInfinity, 3}}};
  const Status status = WriteCalibration(infinite, 1, {}, out);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("\"x\": its range is -inf"));
  const std::vector<CalibratedTensor> twice = {{.name = "x"}, {.name = "x"}};
  EXPECT_FALSE(WriteCalibration(twice, 1, {}, out));
  EXPECT_EQ(out.str(), "");
}

}  // namespace
}  // namespace lathe::quant
