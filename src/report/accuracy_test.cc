#include "src/report/accuracy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "src/report/real_values.h"

namespace lathe::report {
namespace {

Accuracy Measure(const std::vector<float>& r, const std::vector<float>& t,
                 ThreadPool* pool = nullptr) {
  std::vector<float> scratch;
  return MeasureAccuracy(r, t, pool, scratch);
}

TEST(Accuracy, IsWhatAHandComputes) {
  const Accuracy a = Measure({1, 2, -2, 4}, {1, 3, -2, 2});
  EXPECT_DOUBLE_EQ(a.mse, 5.0 / 4);
  // 0, 0, 0.5, 0.5, each a millionth of a value less.
  EXPECT_NEAR(a.median_diff_ratio, 0.25, 1e-6);
  EXPECT_DOUBLE_EQ(a.cosine_similarity,
                   (1 + 6 + 4 + 8) / (std::sqrt(25.0) * std::sqrt(18.0)));
  EXPECT_NEAR(a.kl_divergence, 2 * std::log(2.0 / 3) + 4 * std::log(2.0), 1e-8);
  EXPECT_DOUBLE_EQ(a.snr, 25.0 / 4 / (5.0 / 4 + 1e-9));
  EXPECT_DOUBLE_EQ(a.snr_db, 10 * std::log10(5.0));
  EXPECT_DOUBLE_EQ(a.max_abs_diff, 2);
}

TEST(Accuracy, DivergenceCountsPositiveValuesAndMayBeNegative) {
  EXPECT_DOUBLE_EQ(Measure({-1, -5}, {3, -5}).kl_divergence, 0);
  EXPECT_NEAR(Measure({1}, {2}).kl_divergence, -std::log(2.0), 1e-8);
  // The value is lost: p ln(p / 1e-9).
  EXPECT_NEAR(Measure({1}, {-2}).kl_divergence, std::log(1e9), 1e-6);
}

TEST(Accuracy, OfEqualSilentAndEmptyValuesIsDefined) {
  const Accuracy equal = Measure({1, 2, 3}, {1, 2, 3});
  EXPECT_EQ(equal.mse, 0);
  EXPECT_EQ(equal.kl_divergence, 0);
  EXPECT_DOUBLE_EQ(equal.cosine_similarity, 1);
  EXPECT_EQ(equal.snr_db, 200);
  EXPECT_EQ(Measure({0, 0}, {0, 0}).cosine_similarity, 1);
  EXPECT_EQ(Measure({0, 0}, {0, 1}).cosine_similarity, 0);
  EXPECT_EQ(Measure({0, 0}, {0, 1}).snr_db, -200);
  const Accuracy empty = Measure({}, {});
  EXPECT_EQ(empty.cosine_similarity, 0);
  EXPECT_EQ(empty.snr_db, 0);
}

TEST(Accuracy, ReplacesWhatIsNotFiniteAsTheOlderTool) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_NEAR(Measure({0, kNan}, {2, 1e-9f}).mse, 2, 1e-6);
  EXPECT_DOUBLE_EQ(Measure({0}, {-kInfinity}).max_abs_diff, 1e9);
  EXPECT_EQ(Measure({kInfinity}, {1e9f}).mse, 0);
}

TEST(Accuracy, MedianIsThatOfASortAtEverySize) {
  std::mt19937 rng(5);
  for (const size_t size : {1, 2, 3, 1000, 32769, 50000, 50001}) {
    for (const int kind : {0, 1, 2}) {
      SCOPED_TRACE(testing::Message() << size << " " << kind);
      std::vector<float> values(size);
      for (float& v : values) {
        v = std::ldexp(static_cast<float>(rng()), kind == 0 ? -32 : -20);
        if (kind == 2) v = rng() % 2 == 0 ? 0.0f : 1e15f;  // Far apart.
      }
      std::vector<float> sorted = values;
      std::ranges::sort(sorted);
      const auto at = [&](size_t i) { return static_cast<double>(sorted[i]); };
      const double expected = (at((size - 1) / 2) + at(size / 2)) / 2;
      EXPECT_EQ(MedianOf(values), expected);
    }
  }
  EXPECT_EQ(MedianOf({}), 0);
}

TEST(Accuracy, CountsWhatIsNotFiniteInTheQuantizedModelOnly) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> r(40000, 1), t(40000, 1), scratch;
  t[3] = nan;
  t[30000] = -infinity;
  r[17] = nan;
  uint64_t count = 5;
  MeasureAccuracy(r, t, nullptr, scratch, &count);
  EXPECT_EQ(count, 7u);
}

TEST(Accuracy, DoesNotDependOnThreadsAndHoldsOnManyValues) {
  std::mt19937 rng(6);
  std::normal_distribution<float> normal;
  std::vector<float> r(100003), t(r.size());
  double squares = 0, kl = 0;
  for (size_t i = 0; i < r.size(); ++i) {
    r[i] = normal(rng);
    t[i] = r[i] + 0.1f * normal(rng);
    squares += std::pow(static_cast<double>(t[i]) - r[i], 2);
    const double p = std::max(r[i], 0.0f), q = std::max(t[i], 0.0f);
    kl += p * std::log((p + 1e-9) / (q + 1e-9));
  }
  ThreadPool pool(4);
  const Accuracy one = Measure(r, t), four = Measure(r, t, &pool);
  for (const AccuracyMetric& metric : AccuracyMetrics()) {
    EXPECT_EQ(one.*metric.value, four.*metric.value) << metric.name;
  }
  const double n = static_cast<double>(r.size());
  EXPECT_NEAR(one.mse, squares / n, 1e-12);
  EXPECT_NEAR(one.kl_divergence, kl, 1e-9 * std::abs(kl));
}

TEST(Accuracy, WorstFollowsTheDirectionOfEachMetric) {
  Accuracy mean, worst;
  AddComparison(Measure({1, 1}, {1, 1.5}), 0, mean, worst);
  const Accuracy second = Measure({1, 1}, {1, 3});
  AddComparison(second, 1, mean, worst);
  AddComparison(Measure({1, 1}, {1, 1}), 2, mean, worst);
  EXPECT_DOUBLE_EQ(mean.mse, (0.125 + 2 + 0) / 3);
  EXPECT_DOUBLE_EQ(worst.mse, 2);
  EXPECT_DOUBLE_EQ(worst.snr_db, second.snr_db);
  EXPECT_DOUBLE_EQ(worst.cosine_similarity, second.cosine_similarity);
  EXPECT_DOUBLE_EQ(mean.max_abs_diff, 2);
}

TEST(RealValues, AreScaleTimesTheDistanceFromTheZeroPoint) {
  std::vector<float> space;
  const std::vector<int8_t> stored = {-128, 0, 5, 127};
  TensorValue value;
  value.info.type = ElementType::kInt8;
  value.info.shape = {2, 2};
  value.bytes = std::as_bytes(std::span(stored));
  const auto plain = RealValues(value, space);
  EXPECT_EQ((std::vector<float>(plain.begin(), plain.end())),
            (std::vector<float>{-128, 0, 5, 127}));
  value.info.quantization = {.scales = {0.5f}, .zero_points = {3}, .axis = 0};
  const auto real = RealValues(value, space);
  EXPECT_EQ((std::vector<float>(real.begin(), real.end())),
            (std::vector<float>{-65.5f, -1.5f, 1, 62}));
  value.info.quantization = {
      .scales = {0.5f, 2}, .zero_points = {0, 1}, .axis = 1};
  const auto columns = RealValues(value, space);
  EXPECT_EQ((std::vector<float>(columns.begin(), columns.end())),
            (std::vector<float>{-64, -2, 2.5f, 252}));
}

TEST(RealValues, OfFloatsAreTheTensorsOwnMemory) {
  std::vector<float> space;
  const std::vector<float> stored = {1, 2};
  TensorValue value;
  value.info.shape = {2};
  value.bytes = std::as_bytes(std::span(stored));
  EXPECT_EQ(RealValues(value, space).data(), stored.data());
  EXPECT_TRUE(space.empty());
  value.info.type = ElementType::kString;
  EXPECT_TRUE(RealValues(value, space).empty());
}

}  // namespace
}  // namespace lathe::report
