#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "src/quant/cholesky.h"
#include "src/quant/test_support.h"

namespace lathe::quant {
namespace {

using enum Grouping::Kind;
using testing::ElementsAre;
using testing::HasSubstr;

using Square = std::vector<double>;  // [d, d]

// Of inputs whose neighbours are alike, as in real layers.
std::vector<float> Hessian(size_t d, size_t samples, uint32_t seed) {
  std::vector<double> h(d * d);
  for (size_t s = 0; s < samples; ++s) {
    std::vector<float> x = Normal(d, 1, seed + static_cast<uint32_t>(s));
    for (size_t i = 1; i < d; ++i) x[i] = 0.9f * x[i - 1] + 0.436f * x[i];
    for (size_t i = 0; i < d; ++i) {
      for (size_t j = 0; j < d; ++j) {
        h[i * d + j] += 2.0 / static_cast<double>(samples) *
                        static_cast<double>(x[i] * x[j]);
      }
    }
  }
  return {h.begin(), h.end()};
}

// By Gauss and Jordan.
Square Inverse(Square a, size_t d) {
  Square b(d * d);
  for (size_t i = 0; i < d; ++i) b[i * d + i] = 1;
  for (size_t k = 0; k < d; ++k) {
    const double pivot = a[k * d + k];
    for (size_t j = 0; j < d; ++j) {
      a[k * d + j] /= pivot;
      b[k * d + j] /= pivot;
    }
    for (size_t i = 0; i < d; ++i) {
      const double f = a[i * d + k];
      if (i == k || f == 0) continue;
      for (size_t j = 0; j < d; ++j) {
        a[i * d + j] -= f * a[k * d + j];
        b[i * d + j] -= f * b[k * d + j];
      }
    }
  }
  return b;
}

// Upper U with a = U^T U.
Square UpperCholesky(const Square& a, size_t d) {
  Square u(d * d);
  for (size_t i = 0; i < d; ++i) {
    for (size_t j = i; j < d; ++j) {
      double sum = a[i * d + j];
      for (size_t k = 0; k < i; ++k) sum -= u[k * d + i] * u[k * d + j];
      u[i * d + j] = i == j ? std::sqrt(sum) : sum / u[i * d + i];
    }
  }
  return u;
}

// The published algorithm, one row, in double.
std::vector<int> Published(std::vector<double> w, const Square& u, size_t d,
                           double scale) {
  std::vector<int> q(d);
  for (size_t i = 0; i < d; ++i) {
    q[i] =
        static_cast<int>(std::clamp(std::nearbyint(w[i] / scale), -7.0, 7.0));
    const double e = (w[i] - q[i] * scale) / u[i * d + i];
    for (size_t j = i; j < d; ++j) w[j] -= e * u[i * d + j];
  }
  return q;
}

// tr(E H E^T) with E = W - back.
double LayerError(const std::vector<float>& w, const std::vector<float>& back,
                  const std::vector<float>& h, size_t d) {
  double total = 0;
  for (size_t r = 0; r < w.size() / d; ++r) {
    for (size_t i = 0; i < d; ++i) {
      const double e = static_cast<double>(w[r * d + i] - back[r * d + i]);
      for (size_t j = 0; j < d; ++j) {
        total += e * static_cast<double>(h[i * d + j]) *
                 static_cast<double>(w[r * d + j] - back[r * d + j]);
      }
    }
  }
  return total;
}

TEST(Gptq, MakesUpForAnErrorByHand) {
  // Scale 1 from the 7. H + 0.01 * 2 = [2.02 1; 1 2.02]: the error 0.4 of 3.4
  // moves 1.4 by 0.4 / 2.02 to 1.598, which becomes 2 and not 1.
  const std::vector<float> hessian = {2, 1, 1, 2};
  for (const Behaviour behaviour : {Behaviour::kCorrect, Behaviour::kCompat}) {
    const Quantized got = QuantizeAll(
        {.algorithm = Algorithm::kGptq, .bits = 4, .behaviour = behaviour},
        {3.4f, 1.4f, 7, 0}, {2, 2}, {.hessian = hessian});
    EXPECT_EQ(got.error, "");
    EXPECT_THAT(got.params.scale, ElementsAre(1));
    EXPECT_THAT(got.q, ElementsAre(3, 2, 7, 0));
  }
}

TEST(Gptq, IsThePublishedAlgorithm) {
  constexpr size_t kD = 200, kRows = 37;  // No multiples of a block.
  const std::vector<float> hessian = Hessian(kD, 600, 1);
  const std::vector<float> values = Normal(kRows * kD, 0.02f, 99);
  ThreadPool pool(2);
  const Quantized got = QuantizeAll(
      {.algorithm = Algorithm::kGptq, .bits = 4, .grouping = {.kind = kAxis}},
      values, {kRows, kD}, {.hessian = hessian}, &pool);
  ASSERT_EQ(got.error, "");

  Square damped(hessian.begin(), hessian.end());
  double mean = 0;
  for (size_t i = 0; i < kD; ++i) mean += damped[i * kD + i] / kD;
  for (size_t i = 0; i < kD; ++i) damped[i * kD + i] += 0.01 * mean;
  const Square u = UpperCholesky(Inverse(damped, kD), kD);
  size_t different = 0;
  for (size_t r = 0; r < kRows; ++r) {
    const std::vector<int> want =
        Published({values.begin() + static_cast<ptrdiff_t>(r * kD),
                   values.begin() + static_cast<ptrdiff_t>((r + 1) * kD)},
                  u, kD, got.params.scale[r]);
    // A float32 sum may fall on the other side of a tie, and what follows in
    // that row with it; that is rare.
    different +=
        std::vector<int>(
            got.q.begin() + static_cast<ptrdiff_t>(r * kD),
            got.q.begin() + static_cast<ptrdiff_t>((r + 1) * kD)) != want;
  }
  EXPECT_LE(different, 1u);
}

TEST(Gptq, CorrectIsFarBetterThanTheOlderTool) {
  constexpr size_t kD = 256, kRows = 64;
  const std::vector<float> hessian = Hessian(kD, 1000, 5);
  const std::vector<float> values = Normal(kRows * kD, 0.02f, 6);
  WeightConfig config = {.bits = 4, .grouping = {.kind = kAxis}};
  const auto error = [&] {
    return LayerError(
        values,
        QuantizeAll(config, values, {kRows, kD}, {.hessian = hessian}).back,
        hessian, kD);
  };
  const double nearest = error();
  config.algorithm = Algorithm::kGptq;
  const double correct = error();
  config.behaviour = Behaviour::kCompat;
  const double compat = error();
  // Appendix B of the reference: 0.0166, 0.0063 and 0.0018.
  EXPECT_LT(compat, nearest);
  EXPECT_LT(correct, compat / 2);
  EXPECT_LT(correct, nearest / 4);
}

// Of layers that calibration saw few rows of, judged by many rows.
TEST(Gptq, FewRowsDoNotLeadItAstray) {
  constexpr size_t kD = 128, kRows = 64, kSeen = 12;
  const std::vector<float> values = Normal(kRows * kD, 0.02f, 6);
  WeightConfig config = {.bits = 4, .grouping = {.kind = kAxis}};
  const auto error = [&](const std::vector<float>& seen, uint64_t rows,
                         const std::vector<float>& judge) {
    return LayerError(values,
                      QuantizeAll(config, values, {kRows, kD},
                                  {.hessian = seen, .rows = rows})
                          .back,
                      judge, kD);
  };
  const auto noise = [&](size_t rows, uint32_t seed) {
    std::vector<float> h(kD * kD);
    for (size_t r = 0; r < rows; ++r) {
      const std::vector<float> x = Normal(kD, 1, seed + r);
      for (size_t i = 0; i < kD; ++i) {
        for (size_t j = 0; j < kD; ++j) {
          h[i * kD + j] += 2 * x[i] * x[j] / static_cast<float>(rows);
        }
      }
    }
    return h;
  };
  const std::vector<float> white = noise(kSeen, 1), all_white = noise(2000, 50);
  const std::vector<float> alike = Hessian(kD, kSeen, 1);
  const std::vector<float> all_alike = Hessian(kD, 2000, 50);
  const double nearest_white = error(white, 0, all_white);
  const double nearest_alike = error(alike, 0, all_alike);
  config.algorithm = Algorithm::kGptq;
  // Noise says nothing: rounding to the nearest is best, and reached.
  EXPECT_GT(error(white, 0, all_white), 1.3 * nearest_white);
  EXPECT_LT(error(white, kSeen, all_white), 1.02 * nearest_white);
  // What is alike says something even so.
  EXPECT_LT(error(alike, kSeen, all_alike), 0.75 * nearest_alike);
  // And many rows are trusted.
  EXPECT_NEAR(
      error(all_alike, 2000, all_alike) / error(all_alike, 0, all_alike), 1,
      0.02);
}

TEST(Gptq, UsesTheScaleOfTheColumnsBlock) {
  constexpr size_t kD = 64;
  const std::vector<float> hessian = Hessian(kD, 200, 5);
  std::vector<float> values = Normal(4 * kD, 0.02f, 6);
  values[40] = 1;  // One block is coarse.
  const Quantized got = QuantizeAll({.algorithm = Algorithm::kGptq,
                                     .bits = 4,
                                     .grouping = {.kind = kBlock, .block = 32}},
                                    values, {4, kD}, {.hessian = hessian});
  ASSERT_EQ(got.error, "");
  EXPECT_EQ(got.q[40], 7);
  EXPECT_GT(got.params.scale[1], 5 * got.params.scale[0]);
  EXPECT_LT(std::abs(got.back[3] - values[3]), 0.02f);
}

TEST(Gptq, AnInputThatIsAlwaysZeroDoesNotMatter) {
  const std::vector<float> hessian = {2, 0, 1, 0, 0, 0, 1, 0, 2};
  const Quantized got =
      QuantizeAll({.algorithm = Algorithm::kGptq, .bits = 4}, {3.4f, 7, 1.4f},
                  {1, 3}, {.hessian = hessian});
  EXPECT_THAT(got.q, ElementsAre(3, 7, 2));
}

TEST(Gptq, NeedsAHessianThatFitsAndIsOne) {
  const WeightConfig config = {.algorithm = Algorithm::kGptq, .bits = 4};
  EXPECT_THAT(QuantizeAll(config, {1, 2}, {1, 2}).error,
              HasSubstr("calibrate"));
  const std::vector<float> small = {1};
  EXPECT_THAT(QuantizeAll(config, {1, 2}, {1, 2}, {.hessian = small}).error,
              HasSubstr("a Hessian of 1 values for 2 columns"));
  const std::vector<float> indefinite = {1, 50, 50, 1};
  EXPECT_THAT(
      QuantizeAll(config, {1, 2}, {1, 2}, {.hessian = indefinite}).error,
      HasSubstr("not positive definite"));
  const std::vector<float> bad = {1, std::numeric_limits<float>::quiet_NaN(), 0,
                                  1};
  EXPECT_THAT(QuantizeAll(config, {1, 2}, {1, 2}, {.hessian = bad}).error,
              HasSubstr("not finite"));
}

TEST(Cholesky, FactorAndInverseOfSizesAroundABlock) {
  ThreadPool pool(3);
  for (const size_t d : {1u, 2u, 63u, 64u, 65u, 130u}) {
    SCOPED_TRACE(d);
    std::vector<float> h = Hessian(d, 2 * d + 10, 3);
    for (size_t i = 0; i < d; ++i) h[i * d + i] += 0.5f;
    std::vector<float> r = h;
    ASSERT_TRUE(FactorUpper(d, r, &pool));
    for (size_t i = 0; i < d; ++i) {
      for (size_t j = i; j < d; ++j) {
        double sum = 0;
        for (size_t k = j; k < d; ++k) {
          sum += static_cast<double>(r[i * d + k]) *
                 static_cast<double>(r[j * d + k]);
        }
        EXPECT_NEAR(sum, h[i * d + j], 1e-5) << i << " " << j;
      }
    }
    InverseFromFactor(d, r, &pool);
    const Square want = Inverse(Square(h.begin(), h.end()), d);
    for (size_t i = 0; i < d * d; ++i) EXPECT_NEAR(r[i], want[i], 1e-4);
  }
  std::vector<float> indefinite = {1, 2, 2, 1};
  EXPECT_FALSE(FactorUpper(2, indefinite, nullptr));
}

}  // namespace
}  // namespace lathe::quant
