// The noise against numbers that PyTorch printed.

#include "apps/audio/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace lathe::audio {
namespace {

TEST(TorchNormal, GivesTheNumbersOfTorchRandnForSeedZero) {
  TorchNormal normal(0);
  std::vector<float> draw(64 * 256);
  normal.Fill(draw);
  const float first[] = {-1.1258398294448853f,  -1.152360200881958f,
                         -0.2505785822868347f,  -0.4338788092136383f,
                         0.8487103581428528f,   0.6920091509819031f,
                         -0.31601276993751526f, -2.1152193546295166f};
  for (int i = 0; i < 8; ++i) EXPECT_NEAR(draw[i], first[i], 2e-6) << i;
  EXPECT_NEAR(draw[draw.size() - 2], -1.3664697408676147f, 2e-6);
  EXPECT_NEAR(draw[draw.size() - 1], -1.0782079696655273f, 2e-6);
  normal.Fill(draw);
  const float second[] = {-0.5518360733985901f, 1.5398073196411133f,
                          1.0035587549209595f, -0.7947894334793091f};
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(draw[i], second[i], 2e-6) << i;
}

TEST(TorchNormal, SeesOnlyTheLow32BitsOfTheSeed) {
  TorchNormal a(99), b((uint64_t{1} << 32) + 99);
  std::vector<float> x(32), y(32);
  a.Fill(x);
  b.Fill(y);
  EXPECT_EQ(x, y);
  EXPECT_NEAR(x[0], 0.2994611f, 2e-6);
  EXPECT_NEAR(x[1], -2.6428585f, 2e-6);
}

TEST(TorchNormal, MakesTheLast16AnewWhenTheSizeIsNoMultipleOf16) {
  std::vector<float> short_draw(20), whole(48);
  TorchNormal(5).Fill(short_draw);
  TorchNormal(5).Fill(whole);
  // Values 0..3 come from the first block; outputs 16..19 are thrown away, so
  // the last block is made of outputs 20..35.
  for (int i = 0; i < 4; ++i) EXPECT_EQ(short_draw[i], whole[i]);
  std::mt19937 generator(5);
  generator.discard(20);
  std::vector<double> u(16);
  for (double& x : u) x = (generator() & 0xFFFFFF) / 16777216.0;
  EXPECT_NEAR(short_draw[4],
              std::sqrt(-2 * std::log(1 - u[0])) *
                  std::cos(2 * 3.14159265358979323846 * u[8]),
              1e-6);
}

TEST(TorchNormal, FillsFewerThan16ValuesAndNone) {
  TorchNormal normal(1);
  std::vector<float> three(3), none;
  normal.Fill(three);
  normal.Fill(none);
  EXPECT_NE(three[0], three[1]);
}

}  // namespace
}  // namespace lathe::audio
