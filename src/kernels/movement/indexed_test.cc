// Moves steered by values, good and bad.

#include "src/kernels/movement/indexed.h"

#include <cstring>
#include <vector>

#include "gtest/gtest.h"

namespace lathe::kernels {
namespace {

template <typename T>
const std::byte* Bytes(const T* x) {
  return reinterpret_cast<const std::byte*>(x);
}

TEST(GatherNd, TakesRowsByTheirIndices) {
  std::vector<int16_t> table(2 * 3 * 4);
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<int16_t>(i);
  const std::vector<int32_t> dims = {2, 3};
  const std::vector<int64_t> indices = {1, 2, 0, 0, 1, 0};
  std::vector<int16_t> y(3 * 4);
  EXPECT_EQ(RunGatherNd(dims, 8, indices, 3, Bytes(table.data()),
                        reinterpret_cast<std::byte*>(y.data())),
            3u);
  EXPECT_EQ(y,
            std::vector<int16_t>({20, 21, 22, 23, 0, 1, 2, 3, 12, 13, 14, 15}));
}

TEST(GatherNd, NamesTheFirstBadRowAndWritesNothing) {
  const std::vector<int32_t> dims = {2, 3};
  const int64_t table[6] = {};
  for (const int64_t bad : {int64_t{-1}, int64_t{3}, INT64_MAX, INT64_MIN}) {
    const std::vector<int64_t> indices = {1, 2, 0, bad};
    int64_t y[2] = {-5, -5};
    EXPECT_EQ(RunGatherNd(dims, 8, indices, 2, Bytes(table),
                          reinterpret_cast<std::byte*>(y)),
              1u);
    EXPECT_EQ(y[0], -5);
  }
}

TEST(OneHot, SetsOneOfDepthAndNoneForBadIndices) {
  const int64_t indices[] = {2, 0, -1, 7};  // outer 2, inner 2
  const float on = 5, off = -1;
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    std::vector<float> y(2 * 3 * 2);
    RunOneHot(2, 3, 2, 4, indices, Bytes(&on), Bytes(&off),
              reinterpret_cast<std::byte*>(y.data()), pool);
    EXPECT_EQ(
        y, std::vector<float>({-1, 5, -1, -1, 5, -1, -1, -1, -1, -1, -1, -1}));
  }
}

TEST(MirrorPad, RepeatsTheEdgeOrNot) {
  ThreadPool pool(1);
  const std::vector<int32_t> shape = {3};
  const uint8_t x[] = {1, 2, 3};
  const auto pad = [&](int32_t before, int32_t after, bool reflect) {
    std::vector<int> out;
    std::vector<uint8_t> y(static_cast<size_t>(3 + before + after));
    const std::vector<int32_t> b = {before}, a = {after};
    RunMirrorPad(shape, b, a, reflect, 1, Bytes(x),
                 reinterpret_cast<std::byte*>(y.data()), pool);
    return std::vector<int>(y.begin(), y.end());
  };
  EXPECT_EQ(pad(2, 2, true), std::vector<int>({3, 2, 1, 2, 3, 2, 1}));
  EXPECT_EQ(pad(3, 3, false), std::vector<int>({3, 2, 1, 1, 2, 3, 3, 2, 1}));
  EXPECT_EQ(pad(0, 0, true), std::vector<int>({1, 2, 3}));
}

TEST(MirrorPad, PadsEveryDimForAnyThreads) {
  const std::vector<int32_t> shape = {40, 50}, before = {3, 2}, after = {1, 9};
  std::vector<int32_t> x(40 * 50);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<int32_t>(i);
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    std::vector<int32_t> y(44 * 61);
    RunMirrorPad(shape, before, after, true, 4, Bytes(x.data()),
                 reinterpret_cast<std::byte*>(y.data()), pool);
    for (int i = 0; i < 44; ++i) {
      for (int j = 0; j < 61; ++j) {
        const auto mirror = [](int k, int n) {
          return k < 0 ? -k : k >= n ? 2 * n - 2 - k : k;
        };
        ASSERT_EQ(y[static_cast<size_t>(i * 61 + j)],
                  mirror(i - 3, 40) * 50 + mirror(j - 2, 50));
      }
    }
  }
}

TEST(ReverseSequence, TurnsTheHeadOfEachBatch) {
  // [outer 2, first 3, middle 2, second 4, inner 1]
  std::vector<int16_t> x(48), y(48);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<int16_t>(i);
  for (const bool sequence_first : {false, true}) {
    const std::vector<int64_t> lengths = sequence_first
                                             ? std::vector<int64_t>{0, 1, 2, 3}
                                             : std::vector<int64_t>{0, 3, 4};
    for (const int threads : {1, 3}) {
      ThreadPool pool(threads);
      RunReverseSequence({2, 3, 2, 4, 2, sequence_first}, lengths.data(),
                         reinterpret_cast<const std::byte*>(x.data()),
                         reinterpret_cast<std::byte*>(y.data()), pool);
      for (int o = 0; o < 2; ++o) {
        for (int a = 0; a < 3; ++a) {
          for (int m = 0; m < 2; ++m) {
            for (int b = 0; b < 4; ++b) {
              const int64_t length = lengths[sequence_first ? b : a];
              int from_a = a, from_b = b;
              int& place = sequence_first ? from_a : from_b;
              if (place < length) place = static_cast<int>(length) - 1 - place;
              ASSERT_EQ(y[((o * 3 + a) * 2 + m) * 4 + b],
                        ((o * 3 + from_a) * 2 + m) * 4 + from_b);
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace lathe::kernels
