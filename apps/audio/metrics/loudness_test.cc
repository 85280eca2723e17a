#include "apps/audio/metrics/loudness.h"

#include <algorithm>
#include <numbers>

#include "apps/audio/metrics/test_sounds.h"
#include "gtest/gtest.h"

namespace lathe::audio {
namespace {

Broadcast Measured(const StoredSound& sound) {
  const auto result = MeasureBroadcast(sound.view());
  EXPECT_TRUE(result);
  return result.value_or(Broadcast{});
}

TEST(Loudness, OfTheSineThatDefinesTheScale) {
  // BS.1770: a 997 Hz sine of full scale in one front channel is -3.01 LKFS.
  EXPECT_NEAR(Measured(Sine(997, 1, 5)).lufs, -3.01, 0.02);
  EXPECT_NEAR(Measured(Sine(997, 1, 5, 44100, 2)).lufs, 0, 0.03);
  EXPECT_NEAR(Measured(Sine(997, 0.1, 5)).lufs, -23.01, 0.02);
}

TEST(Loudness, OfSilenceIsTheGate) {
  const Broadcast silent = Measured(Noise(0, 1, 1));
  EXPECT_EQ(silent.lufs, -70);
  EXPECT_EQ(silent.true_peak_dbtp, -200);
}

TEST(Loudness, OfAShortSoundIsThatOfItsBlock) {
  // 100 ms of 400: 6.02 dB less than a long sine.
  EXPECT_NEAR(Measured(Sine(997, 1, 0.1)).lufs, -3.01 - 6.02, 0.3);
}

TEST(TruePeak, LiesBetweenTheSamples) {
  // A quarter of the rate, 45 degrees off: samples reach 0.7071 only.
  const StoredSound sound = Sine(12000, 1, 1, 48000, 1, std::numbers::pi / 4);
  EXPECT_LT(*std::ranges::max_element(sound.samples), 0.71f);
  EXPECT_NEAR(Measured(sound).true_peak_dbtp, 0, 0.4);
  EXPECT_NEAR(Measured(Times(sound, 0.5f)).true_peak_dbtp, -6.02, 0.4);
}

}  // namespace
}  // namespace lathe::audio
