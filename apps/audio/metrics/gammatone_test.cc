#include "apps/audio/metrics/gammatone.h"

#include <cmath>

#include "apps/audio/metrics/test_sounds.h"
#include "gtest/gtest.h"

namespace lathe::audio {
namespace {

TEST(EarCentres, RiseInEqualStepsOfTheEarsScale) {
  const auto centres = EarCentres(48000);
  EXPECT_NEAR(centres[0], 50, 1e-9);
  EXPECT_LT(centres.back(), 24000);
  const auto scale = [](double hz) { return std::log(hz + 9.26449 * 24.7); };
  const double step = scale(centres[1]) - scale(centres[0]);
  for (size_t i = 1; i < centres.size(); ++i) {
    EXPECT_NEAR(scale(centres[i]) - scale(centres[i - 1]), step, 1e-9);
  }
}

TEST(EarFilters, PassTheirCentreAndWeakenTheRest) {
  const EarFilters filters(48000);
  const auto centres = EarCentres(48000);
  for (size_t band = 0; band < kEarBands; ++band) {
    EXPECT_NEAR(std::abs(filters.Response(band, centres[band])), 1, 1e-9);
    // Fourth order falls fast; the highest bands meet the end of the spectrum.
    if (band + 4 < kEarBands) {
      EXPECT_LT(std::abs(filters.Response(band, centres[band + 4])), 0.05);
    }
    if (band >= 4) {
      EXPECT_LT(std::abs(filters.Response(band, centres[band - 4])), 0.1);
    }
  }
}

TEST(EarFilters, AreTheDifferenceEquationOfTheirResponse) {
  const EarFilters filters(48000);
  const auto centres = EarCentres(48000);
  for (const size_t band : {3u, 15u, 28u}) {
    // One second: what swings in at the start is small beside it.
    const StoredSound sine = Sine(centres[band], 1, 1);
    std::array<double, kEarBands> rms;
    filters.Rms(sine.samples, rms);
    EXPECT_NEAR(rms[band], std::sqrt(0.5), 0.02);
    EXPECT_NEAR(
        rms[band + 2],
        std::sqrt(0.5) * std::abs(filters.Response(band + 2, centres[band])),
        0.02);
  }
}

TEST(Neurogram, OfConstantPicturesByHand) {
  // No structure: only (2 a b + C1) / (a^2 + b^2 + C1), C1 = 1e-4.
  const std::vector<double> a(20, 1.0), b(20, 3.0);
  EXPECT_NEAR(NeurogramSimilarity(a, b, 5), 6.0001 / 10.0001, 1e-9);
  EXPECT_NEAR(NeurogramSimilarity(a, a, 5), 1, 1e-12);
}

TEST(Neurogram, OfOppositePicturesIsNegative) {
  std::vector<double> a(64), b(64);
  for (size_t i = 0; i < a.size(); ++i) {
    const double up = (i + i / 8) % 2 == 0 ? 1 : -1;
    a[i] = 10 + up;
    b[i] = 10 - up;
  }
  // Means are nearly equal, deviations cancel.
  EXPECT_NEAR(NeurogramSimilarity(a, b, 8), -1, 0.01);
  EXPECT_NEAR(NeurogramSimilarity(a, a, 8), 1, 1e-12);
}

TEST(EarSimilarity, FallsWithNoise) {
  const StoredSound music = Sine(440, 0.3, 1, 44100, 2);
  const auto with_noise = [&](double deviation) {
    StoredSound sum = Noise(deviation, 1, 7, 44100, 2);
    for (size_t i = 0; i < sum.samples.size(); ++i) {
      sum.samples[i] += music.samples[i];
    }
    return EarSimilarity(music.view(), sum.view());
  };
  EXPECT_NEAR(EarSimilarity(music.view(), music.view()), 1, 1e-9);
  const double little = with_noise(0.001), much = with_noise(0.1);
  EXPECT_LT(little, 1);
  EXPECT_LT(much, little);
  EXPECT_LT(much, 0.6);
  const StoredSound silence = Noise(0, 1, 1, 44100, 2);
  EXPECT_NEAR(EarSimilarity(silence.view(), silence.view()), 1, 1e-9);
  EXPECT_LT(EarSimilarity(music.view(), silence.view()), 0.8);
}

TEST(EarSimilarity, AShortSoundIsOneFrame) {
  const StoredSound click = Sine(1000, 0.5, 0.01);
  EXPECT_EQ(EarSpectrogram(EarFilters(48000), click.view(), 0).size(), 1u);
  EXPECT_NEAR(EarSimilarity(click.view(), click.view()), 1, 1e-9);
}

}  // namespace
}  // namespace lathe::audio
