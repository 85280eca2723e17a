// Row-wise kernels against their definitions in double, on every ISA level.

#include "src/kernels/norm/norm.h"

#include <cmath>
#include <limits>

#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Around one vector and four vectors of every level.
constexpr size_t kLengths[] = {0,  1,  3,  4,  5,  8,  15, 16,  17, 31,
                               32, 33, 63, 64, 65, 67, 80, 100, 768};

double Mean(const std::vector<float>& x) {
  double sum = 0;
  for (const float v : x) sum += v;
  return sum / static_cast<double>(x.size());
}

TEST(LayerNorm, EqualsItsDefinitionWithAndWithoutWeights) {
  for (const Isa isa : IsasHere()) {
    const NormKernels& kernels = ChooseNorm(isa);
    ASSERT_LE(kernels.isa, isa);
    for (const size_t n : kLengths) {
      const auto x = RandomFloats(n, 1, -2, 3);
      const auto gamma = RandomFloats(n, 2), beta = RandomFloats(n, 3);
      const double mean = Mean(x);
      double var = 0;
      for (const float v : x) var += (v - mean) * (v - mean);
      const double scale = 1 / std::sqrt(var / static_cast<double>(n) + 1e-5);
      for (const bool weighted : {false, true}) {
        Fenced y(n);
        kernels.layer_norm(n, x.data(), weighted ? gamma.data() : nullptr,
                           weighted ? beta.data() : nullptr, 1e-5f, y.data());
        EXPECT_TRUE(y.FencesHold()) << kernels.name << " " << n;
        for (size_t i = 0; i < n; ++i) {
          const double plain = (x[i] - mean) * scale;
          const double want = weighted ? plain * gamma[i] + beta[i] : plain;
          // A row of one: x - mean is 0 up to rounding, times 1 / sqrt(1e-5).
          ASSERT_NEAR(y.data()[i], want, n < 4 ? 1e-4 : 2e-6)
              << kernels.name << " length " << n;
        }
      }
    }
  }
}

TEST(LayerNorm, SurvivesAMeanFarLargerThanTheSpread) {
  // E[x^2] - E[x]^2 in float would leave nothing of a variance of 1/3.
  for (const Isa isa : IsasHere()) {
    const NormKernels& kernels = ChooseNorm(isa);
    const auto x = RandomFloats(512, 1, 9999, 10001);
    std::vector<float> y(x.size());
    kernels.layer_norm(x.size(), x.data(), nullptr, nullptr, 1e-5f, y.data());
    double square = 0;
    for (const float v : y) square += static_cast<double>(v) * v;
    EXPECT_NEAR(square / 512, 1, 1e-3) << kernels.name;
  }
}

TEST(LayerNorm, MayRunInPlace) {
  for (const Isa isa : IsasHere()) {
    const NormKernels& kernels = ChooseNorm(isa);
    auto x = RandomFloats(77, 1);
    std::vector<float> y(x.size());
    kernels.layer_norm(x.size(), x.data(), nullptr, nullptr, 0, y.data());
    kernels.layer_norm(x.size(), x.data(), nullptr, nullptr, 0, x.data());
    EXPECT_EQ(x, y);
  }
}

TEST(RmsNorm, EqualsItsDefinition) {
  for (const Isa isa : IsasHere()) {
    const NormKernels& kernels = ChooseNorm(isa);
    for (const size_t n : kLengths) {
      const auto x = RandomFloats(n, 1, -2, 3), gamma = RandomFloats(n, 2);
      double square = 0;
      for (const float v : x) square += static_cast<double>(v) * v;
      const double scale =
          1 / std::sqrt(square / static_cast<double>(n) + 1e-6);
      Fenced y(n);
      kernels.rms_norm(n, x.data(), gamma.data(), 1e-6f, y.data());
      EXPECT_TRUE(y.FencesHold()) << kernels.name << " " << n;
      for (size_t i = 0; i < n; ++i) {
        ASSERT_NEAR(y.data()[i], x[i] * scale * gamma[i], 1e-6);
      }
    }
  }
}

TEST(Softmax, EqualsItsDefinitionForAnyBeta) {
  for (const Isa isa : IsasHere()) {
    const NormKernels& kernels = ChooseNorm(isa);
    for (const size_t n : kLengths) {
      for (const float beta : {1.0f, 0.1f, -2.0f}) {
        const auto x = RandomFloats(n, 1, -30, 30);
        double most = -HUGE_VAL, sum = 0;
        for (const float v : x) most = std::fmax(most, double{beta} * v);
        for (const float v : x) sum += std::exp(double{beta} * v - most);
        Fenced y(n);
        kernels.softmax(n, x.data(), beta, y.data());
        EXPECT_TRUE(y.FencesHold());
        for (size_t i = 0; i < n; ++i) {
          const double want = std::exp(double{beta} * x[i] - most) / sum;
          // beta x - max rounds at 120: 4e-6 relative.
          ASSERT_NEAR(y.data()[i], want, 1e-5 * want + 1e-37)
              << kernels.name << " length " << n;
        }
      }
    }
  }
}

TEST(Softmax, TakesHugeScoresAndMaskedOnesAndPassesNanOn) {
  for (const Isa isa : IsasHere()) {
    const NormKernels& kernels = ChooseNorm(isa);
    std::vector<float> x(40, -kInfinity), y(40);
    x[3] = 3e38f;
    kernels.softmax(x.size(), x.data(), 1, y.data());
    for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], i == 3 ? 1 : 0);
    x.assign(40, -3e38f);
    kernels.softmax(x.size(), x.data(), 1, y.data());
    for (const float v : y) EXPECT_NEAR(v, 1.0 / 40, 1e-8);
    x[39] = std::numeric_limits<float>::quiet_NaN();
    kernels.softmax(x.size(), x.data(), 1, y.data());
    for (const float v : y) EXPECT_TRUE(std::isnan(v)) << kernels.name;
  }
}

TEST(ExpScores, AddsScaleAndBiasAndReturnsTheSum) {
  for (const Isa isa : IsasHere()) {
    const NormKernels& kernels = ChooseNorm(isa);
    for (const size_t n : kLengths) {
      const auto x = RandomFloats(n, 1, -5, 5),
                 bias = RandomFloats(n, 2, -5, 5);
      for (const float* b : {static_cast<const float*>(nullptr), bias.data()}) {
        Fenced y(n);
        std::copy(x.begin(), x.end(), y.data());
        const float sum = kernels.exp_scores(n, y.data(), 0.5f, b);
        EXPECT_TRUE(y.FencesHold());
        double most = -HUGE_VAL, want_sum = 0;
        const auto score = [&](size_t i) {
          return 0.5 * x[i] + (b ? double{b[i]} : 0.0);
        };
        for (size_t i = 0; i < n; ++i) most = std::fmax(most, score(i));
        for (size_t i = 0; i < n; ++i) {
          const double want = std::exp(score(i) - most);
          ASSERT_NEAR(y.data()[i], want, 2e-6 * want);
          want_sum += want;
        }
        EXPECT_NEAR(sum, want_sum, 2e-6 * want_sum) << kernels.name << " " << n;
      }
    }
  }
}

TEST(Sum, EqualsASumInDouble) {
  for (const Isa isa : IsasHere()) {
    const NormKernels& kernels = ChooseNorm(isa);
    for (const size_t n : kLengths) {
      const auto x = RandomFloats(n, 1);
      double want = 0;
      for (const float v : x) want += v;
      EXPECT_NEAR(kernels.sum(n, x.data()), want, SumBound(n));
    }
  }
}

TEST(DotRows, AndSumRowsAreTheProductOfARowWithAMatrix) {
  for (const Isa isa : IsasHere()) {
    const NormKernels& kernels = ChooseNorm(isa);
    for (const size_t k : {0, 1, 3, 4, 7, 16, 19, 64}) {
      for (const size_t n : {0, 1, 3, 4, 5, 15, 16, 17, 64, 70, 81}) {
        SCOPED_TRACE(testing::Message()
                     << kernels.name << " k=" << k << " n=" << n);
        const auto a = RandomFloats(k, 1);
        const size_t by_rows = k + 2, by_sums = n + 3;
        const auto b = RandomFloats(std::max(n * by_rows, k * by_sums), 2);
        Fenced dots(n), sums(n);
        kernels.dot_rows(k, n, a.data(), b.data(), by_rows, dots.data());
        kernels.sum_rows(k, n, a.data(), b.data(), by_sums, sums.data());
        EXPECT_TRUE(dots.FencesHold() && sums.FencesHold());
        for (size_t j = 0; j < n; ++j) {
          double dot = 0, sum = 0;
          for (size_t p = 0; p < k; ++p) {
            dot += static_cast<double>(a[p]) * b[j * by_rows + p];
            sum += static_cast<double>(a[p]) * b[p * by_sums + j];
          }
          ASSERT_NEAR(dots.data()[j], dot, 2e-6) << j;
          ASSERT_NEAR(sums.data()[j], sum, 2e-6) << j;
        }
      }
    }
  }
}

}  // namespace
}  // namespace lathe::kernels
