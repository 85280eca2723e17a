#include "src/kernels/indexing/suppression.h"

#include <vector>

#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

// Three boxes on top of each other but for a shift, one far away, one empty.
const float kBoxes[] = {0, 0,     1, 1, 0, 0.1f, 1, 1.1f, 1, 0.9f,
                        0, -0.1f, 5, 5, 6, 6,    2, 2,    2, 3};
const float kScores[] = {0.9f, 0.75f, 0.6f, 0.95f, 0.9f};

std::vector<int32_t> Chosen(const SuppressionLimits& limits, size_t count,
                            std::vector<float>* scores = nullptr) {
  std::vector<int32_t> chosen(limits.most, -1);
  std::vector<Candidate> scratch(5);
  std::vector<float> kept(limits.most, -1);
  EXPECT_EQ(RunSuppression(5, kBoxes, kScores, limits, chosen.data(),
                           kept.data(), scratch.data()),
            count);
  if (scores != nullptr) *scores = kept;
  return chosen;
}

TEST(Suppression, DropsWhatOverlaps) {
  EXPECT_EQ(Chosen({5, 0.5f, 0, 0}, 3), (std::vector<int32_t>{3, 0, 4, 0, 0}));
  EXPECT_EQ(Chosen({2, 0.5f, 0, 0}, 2), (std::vector<int32_t>{3, 0}));
  EXPECT_EQ(Chosen({5, 1, 0, 0}, 5), (std::vector<int32_t>{3, 0, 4, 1, 2}));
}

TEST(Suppression, AsksForMoreThanTheScoreThreshold) {
  EXPECT_EQ(Chosen({5, 1, 0.9f, 0}, 1), (std::vector<int32_t>{3, 0, 0, 0, 0}));
  EXPECT_EQ(Chosen({0, 1, 0, 0}, 0), std::vector<int32_t>());
}

TEST(Suppression, LowersScoresWhenSoft) {
  std::vector<float> scores;
  const auto chosen = Chosen({5, 1, 0, 0.5f}, 5, &scores);
  EXPECT_EQ(chosen[0], 3);
  EXPECT_EQ(chosen[1], 0);
  EXPECT_EQ(scores[0], 0.95f);
  EXPECT_EQ(scores[1], 0.9f);
  EXPECT_LT(scores[4], 0.6f);
  for (size_t i = 1; i < 5; ++i) EXPECT_LE(scores[i], scores[i - 1]);
}

}  // namespace
}  // namespace lathe::kernels
