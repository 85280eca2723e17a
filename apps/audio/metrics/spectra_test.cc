#include "apps/audio/metrics/spectra.h"

#include <cmath>

#include "apps/audio/metrics/test_sounds.h"
#include "gtest/gtest.h"

namespace lathe::audio {
namespace {

TEST(Spectrum, OfASineIsTheSumOfTheWindow) {
  // 3000 Hz is bin 64 of 1024 at 48 kHz: half of window / 2 = 512.
  const StoredSound sound = Sine(3000, 1, 0.5);
  size_t frame = 0;
  ASSERT_TRUE(ForEachSpectrum(
      sound.view(), sound.view(), {},
      [&](std::span<const float> r, std::span<const float> o) {
        ASSERT_EQ(r.size(), 513u);
        if (frame++ != 20) return;
        EXPECT_NEAR(r[64], 256, 0.1);
        EXPECT_NEAR(r[63], 128, 0.1);  // Hann: half beside the middle.
        EXPECT_NEAR(r[65], 128, 0.1);
        EXPECT_NEAR(r[80], 0, 0.1);
        EXPECT_EQ(r[64], o[64]);
      }));
  EXPECT_EQ(frame, 94u);  // 24000 / 256, rounded up.
}

TEST(MultiResolution, ADoubledSoundIsAllConvergenceAndLogTwo) {
  // Loud noise: no bin is near the floor.
  const StoredSound noise = Noise(0.25, 1, 3, 48000, 2);
  const auto same = MultiResolutionDistance(noise.view(), noise.view());
  ASSERT_TRUE(same);
  EXPECT_EQ(same->spectral_convergence, 0);
  EXPECT_EQ(same->log_magnitude, 0);
  const StoredSound twice = Times(noise, 2);
  const auto distance = MultiResolutionDistance(noise.view(), twice.view());
  ASSERT_TRUE(distance);
  EXPECT_NEAR(distance->spectral_convergence, 1, 1e-5);
  EXPECT_NEAR(distance->log_magnitude, std::log(2), 1e-4);
}

TEST(MultiResolution, SilenceIsFinite) {
  const StoredSound silence = Noise(0, 0.1, 1), noise = Noise(0.1, 0.1, 1);
  const auto both = MultiResolutionDistance(silence.view(), silence.view());
  ASSERT_TRUE(both);
  EXPECT_EQ(both->spectral_convergence, 0);
  const auto one = MultiResolutionDistance(silence.view(), noise.view());
  ASSERT_TRUE(one);
  EXPECT_TRUE(std::isfinite(one->spectral_convergence));
  EXPECT_GT(one->log_magnitude, 5);
}

TEST(Mel, TrianglesHaveAnAreaOfOneHertz) {
  constexpr int kSize = 65536, kRate = 48000;
  const std::vector<float> weights = MelWeights(80, kSize, kRate);
  const size_t bins = kSize / 2 + 1;
  for (size_t band = 0; band < 80; ++band) {
    double area = 0;
    for (size_t k = 0; k < bins; ++k) {
      area += static_cast<double>(weights[band * bins + k]) * kRate / kSize;
    }
    EXPECT_NEAR(area, 1, 0.01) << band;
  }
}

TEST(LogMel, AGainIsItsLogarithm) {
  const StoredSound noise = Noise(0.1, 1, 3);
  const auto same = LogMelDistance(noise.view(), noise.view());
  ASSERT_TRUE(same);
  EXPECT_EQ(*same, 0);
  const StoredSound half = Times(noise, 0.5f);
  const auto distance = LogMelDistance(noise.view(), half.view());
  ASSERT_TRUE(distance);
  EXPECT_NEAR(*distance, std::log(2), 1e-5);
}

TEST(LogMagnitudeCosine, IsOneForEqualAndNearNothingForDistantTones) {
  const StoredSound low = Sine(3000, 0.5, 1), high = Sine(12000, 0.5, 1);
  const StoredSound silence = Noise(0, 1, 1);
  const auto cosine = [](const StoredSound& a, const StoredSound& b) {
    return LogMagnitudeCosine(a.view(), b.view()).value_or(-9);
  };
  EXPECT_NEAR(cosine(low, low), 1, 1e-12);
  EXPECT_LT(cosine(low, high), 0.3);
  EXPECT_EQ(cosine(low, silence), 0);
  EXPECT_EQ(cosine(silence, silence), 1);
}

}  // namespace
}  // namespace lathe::audio
