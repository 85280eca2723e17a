#include "src/kernels/indexing/scatter.h"

#include <cmath>
#include <limits>
#include <vector>

#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

TEST(ScatterNd, AddsWhatMeetsAtOnePlace) {
  const int32_t dims[] = {3};
  const int64_t indices[] = {2, 0, 2};
  const int32_t updates[] = {1, 2, 3, 4, 5, 6};
  std::vector<int32_t> y(6, 99);
  EXPECT_EQ(
      RunScatterNd(Number::kInt32, dims, 2, indices, 3, updates, 6, y.data()),
      3u);
  EXPECT_EQ(y, (std::vector<int32_t>{3, 4, 0, 0, 6, 8}));
}

TEST(ScatterNd, WrapsIntegersAndJoinsTruths) {
  const int32_t dims[] = {1};
  const int64_t indices[] = {0, 0};
  const int8_t bytes[] = {127, 1};
  int8_t y = 0;
  RunScatterNd(Number::kInt8, dims, 1, indices, 2, bytes, 1, &y);
  EXPECT_EQ(y, -128);
  const uint8_t truths[] = {1, 1};
  uint8_t truth = 0;
  RunScatterNd(Number::kBool, dims, 1, indices, 2, truths, 1, &truth);
  EXPECT_EQ(truth, 1);
}

TEST(ScatterNd, NamesTheRowThatIsOutOfRange) {
  const int32_t dims[] = {2, 2};
  const float updates[] = {1, 2};
  std::vector<float> y(4, 7);
  for (const int64_t bad : {-1, 2}) {
    const int64_t indices[] = {0, 1, 1, bad};
    EXPECT_EQ(RunScatterNd(Number::kFloat32, dims, 1, indices, 2, updates, 4,
                           y.data()),
              1u);
    EXPECT_EQ(y, std::vector<float>(4, 7));
  }
}

TEST(SparseToDense, FillsTheRest) {
  const int32_t dims[] = {2, 3};
  const int64_t indices[] = {1, 2, 0, 0};
  const int16_t values[] = {5, 6}, filler = -1;
  std::vector<int16_t> y(6);
  const auto run = [&](bool one) {
    return RunSparseToDense(dims, 2, indices, 2,
                            reinterpret_cast<const std::byte*>(values), one,
                            reinterpret_cast<const std::byte*>(&filler), 6,
                            reinterpret_cast<std::byte*>(y.data()));
  };
  EXPECT_EQ(run(false), 2u);
  EXPECT_EQ(y, (std::vector<int16_t>{6, -1, -1, -1, -1, 5}));
  EXPECT_EQ(run(true), 2u);
  EXPECT_EQ(y, (std::vector<int16_t>{5, -1, -1, -1, -1, 5}));
}

TEST(Segments, StartFromTheirNeutralNumber) {
  const int64_t ids[] = {2, -1, 2, 0};
  const int32_t x[] = {3, 100, -4, 5};
  const auto run = [&](Segments kind) {
    std::vector<int32_t> y(3);
    EXPECT_EQ(RunSegments(kind, Number::kInt32, ids, 3, 1, x, y.data()), 4u);
    return y;
  };
  using L = std::numeric_limits<int32_t>;
  EXPECT_EQ(run(Segments::kSum), (std::vector<int32_t>{5, 0, -1}));
  EXPECT_EQ(run(Segments::kProd), (std::vector<int32_t>{5, 1, -12}));
  EXPECT_EQ(run(Segments::kMax), (std::vector<int32_t>{5, L::min(), 3}));
  EXPECT_EQ(run(Segments::kMin), (std::vector<int32_t>{5, L::max(), -4}));
  std::vector<int32_t> y(2);
  EXPECT_EQ(RunSegments(Segments::kSum, Number::kInt32, ids, 2, 1, x, y.data()),
            0u);
}

TEST(EmbeddingSums, DivideByTheirWeights) {
  const int64_t buckets[] = {1, 1, 2};
  const int32_t ids[] = {0, 1, 1};
  const float weights[] = {3, 4, 0};
  const float table[] = {1, 10, 2, 20};
  const auto run = [&](Combiner combiner) {
    std::vector<float> y(6, 9);
    RunEmbeddingSums(combiner, buckets, ids, weights, 2, table, 6, y.data());
    return y;
  };
  EXPECT_EQ(run(Combiner::kSum), (std::vector<float>{0, 0, 11, 110, 0, 0}));
  EXPECT_NEAR(run(Combiner::kMean)[3], 110.0f / 7, 1e-5);
  EXPECT_NEAR(run(Combiner::kSqrtN)[3], 22, 1e-5);
  EXPECT_EQ(run(Combiner::kMean)[4], 0);  // A weight of 0 divides nothing.
}

}  // namespace
}  // namespace lathe::kernels
