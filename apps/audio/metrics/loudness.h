// Loudness and true peak as broadcasters measure them, by libebur128.

#ifndef LATHE_APPS_AUDIO_METRICS_LOUDNESS_H_
#define LATHE_APPS_AUDIO_METRICS_LOUDNESS_H_

#include "apps/audio/audio_file.h"
#include "lathe/result.h"

namespace lathe::audio {

struct Broadcast {
  // Integrated loudness (ITU-R BS.1770), at least -70, the gate below which
  // nothing counts. A sound below 400 ms, the length of a measured block, is
  // followed by silence up to there.
  double lufs = -70;
  double true_peak_dbtp = -200;  // Of all channels, oversampled; at least -200.
};

// Finite samples; 1 to 64 channels, the first of which are left, right, centre
// and surround as BS.1770 weighs them. Errors: kInvalidInput, kSystem.
Result<Broadcast> MeasureBroadcast(const SoundView& sound);

}  // namespace lathe::audio

#endif  // LATHE_APPS_AUDIO_METRICS_LOUDNESS_H_
