#include "apps/audio/metrics/waveform.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace lathe::audio {
namespace {

using Samples = std::vector<float>;

TEST(Snr, ByHand) {
  // |r|^2 = 25, |r - o|^2 = 0.25: 20 dB.
  EXPECT_NEAR(SnrDb(Samples{3, 4}, Samples{3, 3.5f}), 20, 1e-9);
  EXPECT_EQ(SnrDb(Samples{3, 4}, Samples{3, 4}), 200);
  EXPECT_EQ(SnrDb(Samples{0, 0}, Samples{0, 0}), 200);
  EXPECT_EQ(SnrDb(Samples{0, 0}, Samples{1, 0}), -200);
  EXPECT_NEAR(SnrDb(Samples{1, 0}, Samples{0, 0}), 0, 1e-12);
}

TEST(SiSdr, IgnoresTheLevelOnly) {
  const Samples r = {1, -2, 0.5f, 4};
  EXPECT_EQ(SiSdrDb(r, Samples{0.5f, -1, 0.25f, 2}), 200);
  // o = r + n with n perpendicular to r: |r|^2 / |n|^2 = 2 / 0.02.
  EXPECT_NEAR(SiSdrDb(Samples{1, 1}, Samples{1.1f, 0.9f}), 20, 1e-4);
  EXPECT_NEAR(SiSdrDb(Samples{1, 1}, Samples{11, 9}), 20, 1e-4);
  EXPECT_EQ(SiSdrDb(Samples{1, 1}, Samples{1, -1}), -200);
  EXPECT_EQ(SiSdrDb(Samples{0, 0}, Samples{0, 0}), 200);
  EXPECT_EQ(SiSdrDb(Samples{0, 0}, Samples{1, 0}), -200);
  EXPECT_EQ(SiSdrDb(Samples{1, 0}, Samples{0, 0}), -200);
}

TEST(Null, TakesTheOtherAwayWithItsGain) {
  EXPECT_EQ(NullDb(Samples{2, -4}, Samples{1, -2}, 2), -200);
  EXPECT_NEAR(NullDb(Samples{2, 0}, Samples{1, 0.1f}, 2), -20, 1e-5);
  EXPECT_EQ(NullDb(Samples{0, 0}, Samples{1, 0}, 1), 200);
}

TEST(Envelope, ComparesWhereSoundIs) {
  Samples early(44100), late(44100);
  for (size_t i = 0; i < 10000; ++i) {
    early[i] = i % 2 == 0 ? 0.5f : -0.5f;
    late[i + 30000] = early[i];
  }
  EXPECT_NEAR(EnvelopeCosine(early, early, 1), 1, 1e-12);
  EXPECT_EQ(EnvelopeCosine(early, late, 1), 0);
  // Another sound of the same envelope.
  Samples steady(44100);
  for (size_t i = 0; i < 10000; ++i) steady[i] = 0.25f;
  EXPECT_NEAR(EnvelopeCosine(early, steady, 1), 1, 1e-12);
  const Samples silence(44100);
  EXPECT_EQ(EnvelopeCosine(silence, silence, 2), 1);
  EXPECT_EQ(EnvelopeCosine(early, silence, 2), 0);
}

}  // namespace
}  // namespace lathe::audio
