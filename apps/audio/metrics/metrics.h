// How far one sound is from another, by formulas: no trained weights, equal
// sounds give equal numbers.

#ifndef LATHE_APPS_AUDIO_METRICS_METRICS_H_
#define LATHE_APPS_AUDIO_METRICS_METRICS_H_

#include <span>
#include <string_view>

#include "apps/audio/audio_file.h"
#include "lathe/result.h"

namespace lathe::audio {

// dB values are kept within +-200, which stands for an exact match or nothing
// in common. Formulas stand at the functions named.
struct SoundDistance {
  double snr_db = 0;     // waveform.h
  double si_sdr_db = 0;  // waveform.h
  double null_db = 0;    // waveform.h; after the loudness was matched
  double spectral_convergence = 0;    // spectra.h
  double log_magnitude_distance = 0;  // spectra.h
  double log_mel_distance = 0;        // spectra.h
  double log_magnitude_cosine = 0;    // spectra.h
  double envelope_cosine = 0;         // waveform.h
  double nsim = 0;                    // gammatone.h
  double loudness_difference_lu = 0;  // Other minus reference.
  double true_peak_difference_db = 0;

  double reference_lufs = 0, other_lufs = 0;            // loudness.h
  double reference_peak_dbtp = 0, other_peak_dbtp = 0;  // loudness.h
};

// One number of a SoundDistance that limits can be set on.
struct Metric {
  std::string_view name;  // As in JSON and on the command line.
  double SoundDistance::* value;
  std::string_view says;  // With the value of an exact match.
};
std::span<const Metric> Metrics();

// Errors: kInvalidInput, naming both values, when rates, channels or lengths
// differ; for a sound without samples; for a sample that is not finite.
// Cost: 0.15 s for each second of stereo at 44.1 kHz, measured on one 2.3 GHz
// core; half of it is NSIM.
Result<SoundDistance> CompareSounds(const SoundView& reference,
                                    const SoundView& other);

// `log_mel_distance` from the reference as a fraction of the mean log-mel
// distance from the reference to `seeds`: sounds of the same prompt and other
// seeds, for which waveforms say nothing. 0: the same sound; 1: as far as
// another draw. Errors: as CompareSounds, and kInvalidInput without seeds or
// when all of them equal the reference.
Result<double> Drift(const SoundView& reference, double log_mel_distance,
                     std::span<const SoundView> seeds);

}  // namespace lathe::audio

#endif  // LATHE_APPS_AUDIO_METRICS_METRICS_H_
