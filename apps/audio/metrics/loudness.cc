#include "apps/audio/metrics/loudness.h"

#include <ebur128.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "apps/audio/errors.h"

namespace lathe::audio {
namespace {

struct FreeState {
  void operator()(ebur128_state* state) const { ::ebur128_destroy(&state); }
};

}  // namespace

Result<Broadcast> MeasureBroadcast(const SoundView& sound) {
  const auto channels = static_cast<size_t>(sound.channels);
  const std::unique_ptr<ebur128_state, FreeState> state(
      ::ebur128_init(static_cast<unsigned>(sound.channels),
                     static_cast<unsigned long>(sound.sample_rate),
                     EBUR128_MODE_I | EBUR128_MODE_TRUE_PEAK));
  if (!state) {
    return Fail(ErrorCode::kInvalidInput,
                "loudness of {} channels at {} Hz cannot be measured",
                sound.channels, sound.sample_rate);
  }
  const size_t frames = sound.samples.size() / channels;
  int trouble =
      ::ebur128_add_frames_float(state.get(), sound.samples.data(), frames);
  // A block is 400 ms, rounded up to whole steps of 100 ms.
  const size_t block = static_cast<size_t>(sound.sample_rate) * 2 / 5 + 8;
  if (trouble == EBUR128_SUCCESS && frames < block) {
    const std::vector<float> silence((block - frames) * channels);
    trouble =
        ::ebur128_add_frames_float(state.get(), silence.data(), block - frames);
  }
  Broadcast result;
  double lufs = 0;
  if (trouble == EBUR128_SUCCESS) {
    trouble = ::ebur128_loudness_global(state.get(), &lufs);
  }
  if (trouble == EBUR128_SUCCESS) result.lufs = std::max(result.lufs, lufs);
  for (unsigned c = 0; c < channels && trouble == EBUR128_SUCCESS; ++c) {
    double peak = 0;
    trouble = ::ebur128_true_peak(state.get(), c, &peak);
    if (peak > 0) {
      result.true_peak_dbtp =
          std::max(result.true_peak_dbtp, 20 * std::log10(peak));
    }
  }
  if (trouble != EBUR128_SUCCESS) {
    return Fail(ErrorCode::kSystem, "libebur128 failed with code {}", trouble);
  }
  return result;
}

}  // namespace lathe::audio
