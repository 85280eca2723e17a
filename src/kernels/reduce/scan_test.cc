// Positions of extremes, running sums and whole-number reductions.

#include "src/kernels/reduce/scan.h"

#include <cmath>
#include <vector>

#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

TEST(Arg, FindsTheFirstExtremeAlongAnyAxisForAnyThreads) {
  const std::vector<int32_t> shape = {5, 40, 70};
  const size_t n = 5 * 40 * 70;
  std::vector<int32_t> x(n);
  for (size_t i = 0; i < n; ++i) {
    x[i] = static_cast<int32_t>(i * 2654435761u >> 27);  // 32 values: ties.
  }
  for (size_t axis = 0; axis < 3; ++axis) {
    const AxisLoops loops = PlanAxis(shape, axis);
    for (const bool largest : {true, false}) {
      for (const int threads : {1, 2, 3}) {
        ThreadPool pool(threads);
        std::vector<int64_t> wide(loops.outer * loops.inner, -1);
        std::vector<int32_t> narrow(wide.size(), -1);
        RunArg(largest, Number::kInt32, loops, x.data(), true, wide.data(),
               pool);
        RunArg(largest, Number::kInt32, loops, x.data(), false, narrow.data(),
               pool);
        for (size_t at = 0; at < wide.size(); ++at) {
          const size_t base =
              at / loops.inner * loops.n * loops.inner + at % loops.inner;
          std::vector<int32_t> line;
          for (size_t k = 0; k < loops.n; ++k) {
            line.push_back(x[base + k * loops.inner]);
          }
          const auto best = largest ? std::ranges::max_element(line)
                                    : std::ranges::min_element(line);
          ASSERT_EQ(wide[at], best - line.begin());
          ASSERT_EQ(narrow[at], wide[at]);
        }
      }
    }
  }
}

TEST(Arg, LetsNanWinOnlyFromTheFront) {
  ThreadPool pool(1);
  const std::vector<std::vector<float>> rows = {{1, NAN, 3, 2}, {NAN, 5, 6, 7}};
  const int32_t want[] = {2, 0};
  for (size_t i = 0; i < 2; ++i) {
    int32_t y = -1;
    RunArg(true, Number::kFloat32, {1, 4, 1}, rows[i].data(), false, &y, pool);
    EXPECT_EQ(y, want[i]);
  }
}

TEST(Cumsum, RunsBothWaysWithAndWithoutTheElementItself) {
  ThreadPool pool(2);
  const std::vector<int32_t> x = {1, 2, 3, 4, 5, 6};  // [3, 2]
  const auto run = [&](bool exclusive, bool reverse) {
    std::vector<int32_t> y(6);
    RunCumsum(Number::kInt32, {1, 3, 2}, exclusive, reverse, x.data(), y.data(),
              pool);
    return y;
  };
  using Row = std::vector<int32_t>;
  EXPECT_EQ(run(false, false), Row({1, 2, 4, 6, 9, 12}));
  EXPECT_EQ(run(true, false), Row({0, 0, 1, 2, 4, 6}));
  EXPECT_EQ(run(false, true), Row({9, 12, 8, 10, 5, 6}));
  EXPECT_EQ(run(true, true), Row({8, 10, 5, 6, 0, 0}));
}

TEST(Cumsum, WrapsIntegersKeepsFloatsExactAndRunsInPlace) {
  ThreadPool pool(1);
  std::vector<int64_t> x = {INT64_MAX, 1};
  RunCumsum(Number::kInt64, {1, 2, 1}, false, false, x.data(), x.data(), pool);
  EXPECT_EQ(x[1], INT64_MIN);
  std::vector<float> f(100000, 0.1f);
  RunCumsum(Number::kFloat32, {1, f.size(), 1}, false, false, f.data(),
            f.data(), pool);
  EXPECT_EQ(f.back(), static_cast<float>(100000 * double{0.1f}));
}

TEST(ReduceWhole, CountsIntegersAndBools) {
  const std::vector<int32_t> shape = {2, 3}, axes = {1};
  const ReduceLoops loops = PlanReduce(shape, axes);
  const int32_t x[] = {-7, 2, 1, INT32_MAX, 1, 0};
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    int32_t y[2];
    const auto run = [&](Reduction kind) {
      RunReduceWhole(Number::kInt32, kind, loops, x, y, pool);
      return std::vector<int32_t>(y, y + 2);
    };
    using Row = std::vector<int32_t>;
    EXPECT_EQ(run(Reduction::kSum), Row({-4, INT32_MIN}));
    EXPECT_EQ(run(Reduction::kMean), Row({-1, 715827882}));
    EXPECT_EQ(run(Reduction::kProd), Row({-14, 0}));
    EXPECT_EQ(run(Reduction::kMax), Row({2, INT32_MAX}));
    EXPECT_EQ(run(Reduction::kMin), Row({-7, 0}));
    const uint8_t b[] = {0, 1, 0, 7, 1, 1};
    uint8_t any[2], all[2];
    RunReduceWhole(Number::kBool, Reduction::kMax, loops, b, any, pool);
    RunReduceWhole(Number::kBool, Reduction::kMin, loops, b, all, pool);
    EXPECT_TRUE(any[0] == 1 && any[1] == 1 && all[0] == 0 && all[1] == 1);
  }
}

}  // namespace
}  // namespace lathe::kernels
