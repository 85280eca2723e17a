#include "src/kernels/elementwise/fake_quant.h"

#include <vector>

#include "gtest/gtest.h"

namespace lathe::kernels {
namespace {

TEST(FakeQuant, KeepsZeroAndStaysOnTheGrid) {
  const FakeQuant grid = PlanFakeQuant(-0.3f, 2.7f, 4, false);
  EXPECT_FLOAT_EQ(grid.scale, 0.2f);
  ThreadPool pool(2);
  const std::vector<float> x = {0, 0.09f, 0.11f, 9, -9};
  std::vector<float> y(5);
  RunFakeQuant(grid, 5, x.data(), y.data(), pool);
  EXPECT_NEAR(y[0], 0, 1e-6);
  EXPECT_NEAR(y[1], 0, 1e-6);
  EXPECT_NEAR(y[2], 0.2f, 1e-6);
  EXPECT_FLOAT_EQ(y[3], grid.high);
  EXPECT_FLOAT_EQ(y[4], grid.low);
  EXPECT_NEAR(grid.high - grid.low, 3.0f, 1e-5);
}

TEST(FakeQuant, NarrowLeavesOutTheLowestStep) {
  const FakeQuant grid = PlanFakeQuant(-1, 1, 8, true);
  EXPECT_FLOAT_EQ(grid.low, -1);
  EXPECT_FLOAT_EQ(grid.high, 1);
  EXPECT_FLOAT_EQ(grid.scale, 2.0f / 254);
}

}  // namespace
}  // namespace lathe::kernels
