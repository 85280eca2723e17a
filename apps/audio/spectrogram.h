// A picture of a sound: time to the right, pitch upwards, loudness as colour.

#ifndef LATHE_APPS_AUDIO_SPECTROGRAM_H_
#define LATHE_APPS_AUDIO_SPECTROGRAM_H_

#include <cstddef>
#include <string>
#include <vector>

#include "apps/audio/audio_file.h"
#include "lathe/result.h"

namespace lathe::audio {

struct SpectrogramOptions {
  int width = 800, height = 400;  // Of each channel; channels are stacked.
  double floor_db = -90;          // Black; 0 dBFS sine is white.
  double lowest_hz = 40;          // The axis is logarithmic up to rate / 2.
};

// PNG bytes. Hann windows of 2048 samples. Equal sound, equal bytes. Errors:
// kInvalidInput for an empty sound or a size outside 16..8192.
Result<std::vector<std::byte>> SpectrogramPng(
    const SoundView& sound, const SpectrogramOptions& options = {});

// Checked and written as in output_target.h; the path must end in .png.
Status WriteSpectrogram(const std::string& path, const SoundView& sound,
                        const SpectrogramOptions& options = {});

}  // namespace lathe::audio

#endif  // LATHE_APPS_AUDIO_SPECTROGRAM_H_
