// Every level of the loops against their definition, element by element.

#include "src/quant/rows/rows.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "src/base/half.h"

namespace lathe::quant {
namespace {

const size_t kSizes[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 63, 64, 100, 1025};

std::vector<float> Draw(size_t n, uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<float> x(n);
  for (float& value : x) {
    // Halves of integers, so that ties are frequent, and a few extremes.
    value = static_cast<float>(static_cast<int>(rng() % 801) - 400) / 2;
    if (rng() % 50 == 0) value = 0;
    if (rng() % 50 == 0) value = 1e30f;
  }
  return x;
}

float QuantizedByDefinition(float x, float scale, float zero, float low,
                            float high) {
  const float r = std::nearbyint(x / scale + zero);
  if (std::isnan(r)) return 0;
  return r > high ? high : r < low ? low : r;
}

class RowLoops : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!CpuHas(GetParam())) GTEST_SKIP() << "this CPU lacks the level";
    rows_ = &ChooseRows(GetParam());
    ASSERT_EQ(rows_->isa, GetParam());
  }
  const RowKernels* rows_ = nullptr;
};

TEST_P(RowLoops, FindTheLargestMagnitudeOfEachRun) {
  for (const size_t run : kSizes) {
    SCOPED_TRACE(run);
    const std::vector<float> x = Draw(3 * run, static_cast<uint32_t>(run));
    uint32_t got[3];
    rows_->magnitudes(3, run, x.data(), got);
    for (size_t r = 0; r < 3; ++r) {
      float want = 0;
      for (size_t i = 0; i < run; ++i) {
        want = std::max(want, std::abs(x[r * run + i]));
      }
      EXPECT_EQ(std::bit_cast<float>(got[r]), want);
    }
  }
}

TEST_P(RowLoops, ShowInfinityAndNaNInTheMagnitude) {
  std::vector<float> x(40, 1.0f);
  uint32_t largest = 0;
  x[37] = -std::numeric_limits<float>::infinity();
  rows_->magnitudes(1, x.size(), x.data(), &largest);
  EXPECT_EQ(largest, kInfinityBits);
  x[3] = std::numeric_limits<float>::quiet_NaN();
  float low = 0, high = 0;
  rows_->extremes(x.size(), x.data(), &low, &high, &largest);
  EXPECT_GT(largest, kInfinityBits);
  std::vector<uint32_t> columns(40);
  std::vector<float> lows(40), highs(40);
  rows_->column_extremes(40, x.data(), lows.data(), highs.data(),
                         columns.data());
  EXPECT_GT(columns[3], kInfinityBits);
  EXPECT_EQ(columns[4], std::bit_cast<uint32_t>(1.0f));
}

TEST_P(RowLoops, WidenExtremes) {
  for (const size_t n : kSizes) {
    SCOPED_TRACE(n);
    const std::vector<float> x = Draw(n, static_cast<uint32_t>(n));
    float low = -3, high = 4;
    uint32_t largest = 0;
    rows_->extremes(n, x.data(), &low, &high, &largest);
    EXPECT_EQ(low, std::min(-3.0f, *std::ranges::min_element(x)));
    EXPECT_EQ(high, std::max(4.0f, *std::ranges::max_element(x)));
    std::vector<float> lows(n, -3), highs(n, 4);
    std::vector<uint32_t> columns(n);
    rows_->column_extremes(n, x.data(), lows.data(), highs.data(),
                           columns.data());
    for (size_t i = 0; i < n; ++i) {
      EXPECT_EQ(lows[i], std::min(-3.0f, x[i]));
      EXPECT_EQ(highs[i], std::max(4.0f, x[i]));
      EXPECT_EQ(std::bit_cast<float>(columns[i]), std::abs(x[i]));
    }
  }
}

TEST_P(RowLoops, EncodeBitForBit) {
  constexpr int8_t kCanary = 77;
  for (const size_t run : kSizes) {
    SCOPED_TRACE(run);
    std::vector<float> x = Draw(2 * run, static_cast<uint32_t>(run));
    x[0] = std::numeric_limits<float>::quiet_NaN();
    const float scale[] = {1.0f, 3.1f}, zero[] = {0.0f, -5.0f};
    std::vector<int8_t> q(2 * run + 1, kCanary);
    rows_->encode(2, run, x.data(), scale, zero, -127, 127, q.data());
    for (size_t i = 0; i < 2 * run; ++i) {
      EXPECT_EQ(q[i], QuantizedByDefinition(x[i], scale[i / run], zero[i / run],
                                            -127, 127))
          << i;
    }
    EXPECT_EQ(q.back(), kCanary);

    std::vector<float> scales(run), zeros(run);
    for (size_t i = 0; i < run; ++i) {
      scales[i] = 0.5f + static_cast<float>(i % 5);
      zeros[i] = static_cast<float>(i % 7);
    }
    q.assign(run + 1, kCanary);
    rows_->encode_columns(run, x.data(), scales.data(), zeros.data(), -8, 7,
                          q.data());
    for (size_t i = 0; i < run; ++i) {
      EXPECT_EQ(q[i], QuantizedByDefinition(x[i], scales[i], zeros[i], -8, 7));
    }
    EXPECT_EQ(q.back(), kCanary);

    std::vector<double> factor(run);
    for (size_t i = 0; i < run; ++i) {
      factor[i] = 1.0 / static_cast<double>(1 + i % 3);
    }
    q.assign(run + 1, kCanary);
    rows_->encode_double(run, x.data(), factor.data(), 0.7, -8, 7, q.data());
    for (size_t i = 0; i < run; ++i) {
      const double r =
          std::nearbyint(static_cast<double>(x[i]) * factor[i] / 0.7);
      EXPECT_EQ(q[i], std::isnan(r) ? 0 : std::clamp(r, -8.0, 7.0));
    }
    EXPECT_EQ(q.back(), kCanary);
  }
}

TEST_P(RowLoops, AZeroScaleGivesZerosAndEnds) {
  const float x[] = {0, 1, -1}, scale = 0, zero = 0;
  int8_t q[3];
  rows_->encode(1, 3, x, &scale, &zero, -8, 7, q);
  EXPECT_THAT(q, testing::ElementsAre(0, 7, -8));
}

TEST_P(RowLoops, MakeHalves) {
  for (const size_t n : kSizes) {
    const std::vector<float> x = Draw(n, static_cast<uint32_t>(n));
    std::vector<uint16_t> y(n);
    rows_->halves(n, x.data(), y.data());
    for (size_t i = 0; i < n; ++i) EXPECT_EQ(y[i], FloatToHalf(x[i]));
  }
}

TEST_P(RowLoops, SelectCountsZerosTwiceAtZero) {
  const std::vector<float> x = {3, -1, 0.5, 0, -0.0f, -4};
  const Selection one = rows_->select(x.size(), x.data(), 1);
  EXPECT_EQ(one.sum, 8);
  EXPECT_EQ(one.count, 3u);
  const Selection all = rows_->select(x.size(), x.data(), 0);
  EXPECT_EQ(all.sum, 8.5);
  EXPECT_EQ(all.count, 8u);
}

TEST_P(RowLoops, SumsAreThoseOfTheDefinitionWhateverTheWidth) {
  const RowKernels& scalar = ChooseRows(Isa::kScalar);
  for (const size_t n : kSizes) {
    SCOPED_TRACE(n);
    std::mt19937 rng(static_cast<uint32_t>(n));
    std::normal_distribution<float> normal;
    std::vector<float> x(n);
    for (float& value : x) value = normal(rng);
    double squares = 0, error = 0, sum = 0;
    uint64_t count = 0;
    for (const float v : x) {
      squares += static_cast<double>(v * v);
      const float e =
          v - 0.25f * std::clamp(std::nearbyint(v * 4), -7.0f, 7.0f);
      error += static_cast<double>(e * e);
      if (std::abs(v) >= 0.7f) {
        ++count;
        sum += std::abs(static_cast<double>(v));
      }
    }
    EXPECT_NEAR(rows_->sum_of_squares(n, x.data()), squares, 1e-6 * squares);
    EXPECT_NEAR(rows_->squared_error(n, x.data(), 0.25f, -7, 7), error,
                1e-6 * error);
    const Selection selection = rows_->select(n, x.data(), 0.7f);
    EXPECT_NEAR(selection.sum, sum, 1e-6 * sum);
    EXPECT_EQ(selection.count, count);

    EXPECT_EQ(rows_->sum_of_squares(n, x.data()),
              scalar.sum_of_squares(n, x.data()));
    EXPECT_EQ(rows_->squared_error(n, x.data(), 0.25f, -7, 7),
              scalar.squared_error(n, x.data(), 0.25f, -7, 7));
    EXPECT_EQ(selection.sum, scalar.select(n, x.data(), 0.7f).sum);
  }
}

TEST_P(RowLoops, RotateAsTheSylvesterMatrix) {
  for (size_t n = 1; n <= 256; n *= 2) {
    SCOPED_TRACE(n);
    std::vector<float> x(n);
    for (size_t i = 0; i < n; ++i) x[i] = static_cast<float>(i * i % 23) - 9;
    std::vector<float> y = x;
    rows_->rotate(n, y.data());
    for (size_t i = 0; i < n; ++i) {
      double want = 0;
      for (size_t j = 0; j < n; ++j) {
        const double sign = std::popcount(i & j) % 2 == 0 ? 1 : -1;
        want += sign * static_cast<double>(x[j]);
      }
      want /= std::sqrt(static_cast<double>(n));
      EXPECT_NEAR(y[i], want, 1e-6 * std::abs(want)) << i;
    }
  }
}

TEST_P(RowLoops, MultiplyRowsWithRowsAndWithColumns) {
  constexpr size_t kStride = 1200;
  std::mt19937 rng(3);
  std::vector<float> a(9 * kStride), b(9 * kStride), c(9 * kStride, 1.0f);
  for (float& v : a) v = static_cast<float>(static_cast<int>(rng() % 9) - 4);
  for (float& v : b) v = static_cast<float>(static_cast<int>(rng() % 9) - 4);
  for (const size_t k : kSizes) {
    SCOPED_TRACE(k);
    const float* rows_a[4];
    for (size_t i = 0; i < 4; ++i) rows_a[i] = &a[i * kStride];
    const float* rows_b[] = {b.data(), &b[kStride]};
    double out[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    rows_->dots(k, rows_a, rows_b, out);
    for (size_t i = 0; i < 8; ++i) {
      double want = 1;
      for (size_t p = 0; p < k; ++p) {
        want += static_cast<double>(rows_a[i / 2][p] * rows_b[i % 2][p]);
      }
      EXPECT_EQ(out[i], want);
    }
  }
  for (size_t m = 1; m <= 9; ++m) {
    for (const size_t n : kSizes) {
      std::vector<float> got = c;
      rows_->subtract_product(m, n, 5, a.data(), kStride, b.data(), kStride,
                              got.data(), kStride);
      for (size_t i = 0; i < 9; ++i) {
        for (size_t j = 0; j < kStride; ++j) {
          float want = 1;
          for (size_t p = 0; p < 5 && i < m && j < n; ++p) {
            want -= a[i * kStride + p] * b[p * kStride + j];
          }
          ASSERT_EQ(got[i * kStride + j], want) << m << " " << n;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, RowLoops, testing::ValuesIn(KnownIsas()),
                         [](const auto& info) {
                           return std::string(Name(info.param));
                         });

}  // namespace
}  // namespace lathe::quant
