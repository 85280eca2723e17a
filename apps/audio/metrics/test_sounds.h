// Sounds of known shape, for the tests of metrics.

#ifndef LATHE_APPS_AUDIO_METRICS_TEST_SOUNDS_H_
#define LATHE_APPS_AUDIO_METRICS_TEST_SOUNDS_H_

#include <cmath>
#include <cstddef>
#include <numbers>
#include <random>
#include <vector>

#include "apps/audio/audio_file.h"

namespace lathe::audio {

inline StoredSound Sine(double hz, double amplitude, double seconds,
                        int rate = 48000, int channels = 1, double phase = 0) {
  StoredSound sound;
  sound.sample_rate = rate;
  sound.channels = channels;
  sound.frames = std::lround(seconds * rate);
  for (int64_t i = 0; i < sound.frames; ++i) {
    const double angle =
        2 * std::numbers::pi * hz * static_cast<double>(i) / rate + phase;
    for (int c = 0; c < channels; ++c) {
      sound.samples.push_back(static_cast<float>(amplitude * std::sin(angle)));
    }
  }
  return sound;
}

inline StoredSound Noise(double deviation, double seconds, unsigned seed,
                         int rate = 48000, int channels = 1) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0, static_cast<float>(deviation));
  StoredSound sound = Sine(1, 0, seconds, rate, channels);
  for (float& x : sound.samples) x = normal(rng);
  return sound;
}

inline StoredSound Times(StoredSound sound, float gain) {
  for (float& x : sound.samples) x *= gain;
  return sound;
}

}  // namespace lathe::audio

#endif  // LATHE_APPS_AUDIO_METRICS_TEST_SOUNDS_H_
