#include "src/kernels/fft/rfft2d.h"

#include <complex>
#include <numbers>
#include <vector>

#include "gtest/gtest.h"
#include "src/kernels/fft/complex.h"
#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

std::vector<double> Define(const Rfft2dShape& s, const std::vector<float>& x) {
  std::vector<double> y;
  for (size_t b = 0; b < s.batch; ++b) {
    for (size_t u = 0; u < s.rows; ++u) {
      for (size_t v = 0; v <= s.columns / 2; ++v) {
        std::complex<double> sum = 0;
        for (size_t r = 0; r < std::min(s.rows, s.in_h); ++r) {
          for (size_t c = 0; c < std::min(s.columns, s.in_w); ++c) {
            const double turns =
                static_cast<double>(u * r) / static_cast<double>(s.rows) +
                static_cast<double>(v * c) / static_cast<double>(s.columns);
            sum += std::polar(double{x[(b * s.in_h + r) * s.in_w + c]},
                              -2 * std::numbers::pi * turns);
          }
        }
        y.push_back(sum.real());
        y.push_back(sum.imag());
      }
    }
  }
  return y;
}

TEST(Rfft2d, IsTheTransformForEverySmallSize) {
  for (const size_t rows : {1, 2, 4, 16}) {
    for (const size_t columns : {1, 2, 4, 8, 64}) {
      // Fitting, too small and too large inputs.
      for (const int off : {0, -1, 3}) {
        const auto size = [&](size_t n) {
          return static_cast<size_t>(
              std::max<int>(1, static_cast<int>(n) + off));
        };
        const Rfft2dShape s{2, size(rows), size(columns), rows, columns};
        SCOPED_TRACE(testing::Message()
                     << rows << "x" << columns << " " << off);
        const auto x = RandomFloats(2 * s.in_h * s.in_w, 7);
        std::vector<float> first;
        for (const size_t threads : {1, 3}) {
          ThreadPool pool(static_cast<int>(threads));
          const Rfft2dPlan plan = PlanRfft2d(s, threads);
          std::vector<float> scratch(plan.scratch_floats);
          Fenced y(2 * rows * (columns / 2 + 1) * 2);
          RunRfft2d(plan, x.data(), y.data(), pool, scratch.data());
          EXPECT_TRUE(y.FencesHold());
          if (first.empty()) first = y.Values();
          EXPECT_EQ(y.Values(), first);
        }
        ExpectNear(
            first, Define(s, x),
            1e-6 * std::sqrt(static_cast<double>(rows * columns)) + 1e-6);
      }
    }
  }
}

TEST(ComplexAbs, DoesNotOverflowInBetween) {
  const float x[] = {3, -4, 3e38f, 0, 1e-30f, 1e-30f, 2e38f, 2e38f};
  float y[4];
  ThreadPool pool(1);
  RunComplexAbs(4, x, y, pool);
  EXPECT_FLOAT_EQ(y[0], 5);
  EXPECT_FLOAT_EQ(y[1], 3e38f);
  EXPECT_FLOAT_EQ(y[2], 1.4142135e-30f);
  EXPECT_FLOAT_EQ(y[3], 2.8284271e38f);
}

}  // namespace
}  // namespace lathe::kernels
