// Sound to and from files, by libsndfile: WAV and FLAC, with settings inside.

#ifndef LATHE_APPS_AUDIO_AUDIO_FILE_H_
#define LATHE_APPS_AUDIO_AUDIO_FILE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "apps/audio/metadata.h"
#include "apps/audio/output_target.h"
#include "lathe/result.h"

namespace lathe::audio {

// Interleaved samples.
struct SoundView {
  std::span<const float> samples;
  int sample_rate = 44100, channels = 2;
};

struct Loudness {
  double peak = 0;         // Largest |sample|.
  double peak_dbfs = 0;    // 20 log10(peak), at least -200.
  int64_t over = 0;        // Samples beyond +-1: clipped in 16 and 24 bits.
  int64_t not_finite = 0;  // Stored as 0 in 16 and 24 bits.
};
Loudness MeasureLoudness(std::span<const float> samples);

// The bytes of a file. 16 or 24 bits: round(x * (2^(bits-1) - 1)), clipped; 32:
// the floats themselves, WAV only. Equal arguments give equal bytes.
// Errors: kUsage for other bits; kInvalidInput for no samples or more than a
// WAV holds (4 GiB).
Result<std::vector<std::byte>> EncodeSound(const SoundView& sound,
                                           Container container, int bits,
                                           const std::string& comment);

struct WrittenSound {
  std::string path;
  int64_t frames = 0;
  int sample_rate = 0, channels = 0;
  uint64_t bytes = 0;
  std::string xxh3;  // Of the file's bytes, 16 hex digits.
  Loudness loudness;
  std::vector<std::string> warnings;  // Clipping, a cut prompt ...
};
// Encodes and writes, with metadata.bits and the metadata as comment.
Result<WrittenSound> WriteSound(const OutputTarget& target,
                                const SoundView& sound,
                                const Metadata& metadata);

struct AudioData {
  std::vector<float> samples;  // Interleaved.
  int64_t frames = 0;          // Of the result.
  int source_rate = 0, source_channels = 0;
};
// Any file that libsndfile reads, as `sample_rate` and `channels`: resampled
// with soxr at high quality; mono is copied to all channels, of more channels
// the first ones are kept; at most `max_frames` frames of the start. Errors:
// kInvalidInput for what is no sound, empty, or not finite; kSystem.
Result<AudioData> ReadAudio(const std::string& path, int sample_rate,
                            int channels, int64_t max_frames);

struct StoredSound {
  std::vector<float> samples;  // Interleaved.
  int sample_rate = 0, channels = 0;
  int64_t frames = 0;

  SoundView view() const { return {samples, sample_rate, channels}; }
};
// Any file that libsndfile reads, as it is stored. Errors: as ReadAudio; also
// kInvalidInput for more than 2^28 samples (1 GiB).
Result<StoredSound> ReadSound(const std::string& path);

}  // namespace lathe::audio

#endif  // LATHE_APPS_AUDIO_AUDIO_FILE_H_
