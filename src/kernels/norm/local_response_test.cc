// Normalizations of channels: L2, log softmax, local response.

#include "src/kernels/norm/local_response.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "src/kernels/norm/norm.h"
#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

TEST(L2Norm, DividesByTheLengthOrBySomethingSmall) {
  for (const Isa isa : IsasHere()) {
    for (const size_t n : {1, 3, 16, 65, 130}) {
      const auto x = RandomFloats(n, 1, -3, 3);
      double sum = 0;
      for (const float v : x) sum += double{v} * v;
      std::vector<double> want;
      for (const float v : x) want.push_back(v / std::sqrt(sum));
      Fenced y(n);
      ChooseNorm(isa).l2_norm(n, x.data(), y.data());
      EXPECT_TRUE(y.FencesHold());
      ExpectNear(y.Values(), want, 1e-6);
    }
    const float zero[3] = {};
    float y[3] = {7, 7, 7};
    ChooseNorm(isa).l2_norm(3, zero, y);
    EXPECT_EQ(y[1], 0);
  }
}

TEST(LogSoftmax, IsTheLogarithmOfTheSoftmax) {
  for (const Isa isa : IsasHere()) {
    for (const size_t n : {1, 3, 16, 65, 130}) {
      auto x = RandomFloats(n, 2, -9, 9);
      x[n / 2] = 200;  // Whose exponential has no float.
      double sum = 0;
      for (const float v : x) sum += std::exp(double{v} - 200);
      std::vector<double> want;
      for (const float v : x) want.push_back(v - 200 - std::log(sum));
      Fenced y(n);
      ChooseNorm(isa).log_softmax(n, x.data(), y.data());
      EXPECT_TRUE(y.FencesHold());
      ExpectNear(y.Values(), want, 3e-5);
    }
  }
}

TEST(LocalResponse, SumsNeighboursOnBothSides) {
  const LocalResponse rule{1, 2, 0.5, 1};
  const float x[] = {1, 2, 3, 4};
  float y[4];
  ThreadPool pool(2);
  RunLocalResponse(rule, 1, 4, x, y, pool);
  EXPECT_FLOAT_EQ(y[0], 1 / (2 + 0.5f * 5));
  EXPECT_FLOAT_EQ(y[1], 2 / (2 + 0.5f * 14));
  EXPECT_FLOAT_EQ(y[3], 4 / (2 + 0.5f * 25));
  RunLocalResponse({SIZE_MAX, 2, 0.5, 1}, 1, 4, x, y, pool);
  EXPECT_FLOAT_EQ(y[0], 1 / (2 + 0.5f * 30));
}

}  // namespace
}  // namespace lathe::kernels
