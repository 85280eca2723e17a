#include "apps/audio/metrics/metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "apps/audio/errors.h"
#include "apps/audio/metrics/gammatone.h"
#include "apps/audio/metrics/loudness.h"
#include "apps/audio/metrics/spectra.h"
#include "apps/audio/metrics/waveform.h"

namespace lathe::audio {
namespace {

Status CheckSamples(std::string_view which, const SoundView& sound) {
  if (sound.channels < 1 || sound.channels > 64 || sound.sample_rate < 100 ||
      sound.sample_rate > 1536000) {
    return Fail(ErrorCode::kInvalidInput,
                "the {}: {} channels at {} Hz; allowed 1 to 64 at 100 to "
                "1536000",
                which, sound.channels, sound.sample_rate);
  }
  const auto channels = static_cast<size_t>(sound.channels);
  if (sound.samples.size() < channels) {
    return Fail(ErrorCode::kInvalidInput, "the {} holds no sound", which);
  }
  const auto bad = std::ranges::find_if_not(
      sound.samples, [](float x) { return std::isfinite(x); });
  if (bad == sound.samples.end()) return {};
  const auto at = static_cast<size_t>(bad - sound.samples.begin());
  return Fail(ErrorCode::kInvalidInput, "the {}: frame {}, channel {} is {}",
              which, at / channels, at % channels, *bad);
}

Status CheckSame(const SoundView& reference, const SoundView& other) {
  if (reference.sample_rate != other.sample_rate) {
    return Fail(ErrorCode::kInvalidInput,
                "the reference has {} Hz, the other {} Hz",
                reference.sample_rate, other.sample_rate);
  }
  if (reference.channels != other.channels) {
    return Fail(ErrorCode::kInvalidInput,
                "the reference has {} channels, the other {}",
                reference.channels, other.channels);
  }
  if (reference.samples.size() != other.samples.size()) {
    const auto channels = static_cast<size_t>(reference.channels);
    return Fail(
        ErrorCode::kInvalidInput, "the reference has {} frames, the other {}",
        reference.samples.size() / channels, other.samples.size() / channels);
  }
  return {};
}

}  // namespace

std::span<const Metric> Metrics() {
  using D = SoundDistance;
  static constexpr std::array kMetrics = {
      Metric{"snr_db", &D::snr_db, "signal to difference; 200 when equal"},
      Metric{"si_sdr_db", &D::si_sdr_db,
             "the same whatever the level; 200 when equal"},
      Metric{"null_db", &D::null_db,
             "what is left after matching the loudness; -200 when equal"},
      Metric{"spectral_convergence", &D::spectral_convergence,
             "of spectra at three resolutions; 0 when equal"},
      Metric{"log_magnitude_distance", &D::log_magnitude_distance,
             "of the same spectra, in nepers; 0 when equal"},
      Metric{"log_mel_distance", &D::log_mel_distance,
             "of 80 mel bands, in nepers; 0 when equal"},
      Metric{"log_magnitude_cosine", &D::log_magnitude_cosine,
             "of spectra in dB; 1 when equal"},
      Metric{"envelope_cosine", &D::envelope_cosine,
             "of the loudness over time; 1 when equal"},
      Metric{"nsim", &D::nsim, "similarity to an ear; 1 when equal"},
      Metric{"loudness_difference_lu", &D::loudness_difference_lu,
             "other minus reference; 0 when equal"},
      Metric{"true_peak_difference_db", &D::true_peak_difference_db,
             "other minus reference; 0 when equal"},
  };
  return kMetrics;
}

Result<SoundDistance> CompareSounds(const SoundView& reference,
                                    const SoundView& other) {
  return Guarded([&]() -> Result<SoundDistance> {
    AUDIO_TRY(CheckSamples("reference", reference));
    AUDIO_TRY(CheckSamples("other", other));
    AUDIO_TRY(CheckSame(reference, other));
    SoundDistance d;
    AUDIO_ASSIGN(const Broadcast loud_r, MeasureBroadcast(reference));
    AUDIO_ASSIGN(const Broadcast loud_o, MeasureBroadcast(other));
    d.reference_lufs = loud_r.lufs;
    d.other_lufs = loud_o.lufs;
    d.reference_peak_dbtp = loud_r.true_peak_dbtp;
    d.other_peak_dbtp = loud_o.true_peak_dbtp;
    d.loudness_difference_lu = loud_o.lufs - loud_r.lufs;
    d.true_peak_difference_db = loud_o.true_peak_dbtp - loud_r.true_peak_dbtp;

    d.snr_db = SnrDb(reference.samples, other.samples);
    d.si_sdr_db = SiSdrDb(reference.samples, other.samples);
    d.null_db = NullDb(reference.samples, other.samples,
                       std::pow(10, -d.loudness_difference_lu / 20));
    d.envelope_cosine =
        EnvelopeCosine(reference.samples, other.samples, reference.channels);
    AUDIO_ASSIGN(const StftDistance stft,
                 MultiResolutionDistance(reference, other));
    d.spectral_convergence = stft.spectral_convergence;
    d.log_magnitude_distance = stft.log_magnitude;
    AUDIO_ASSIGN(d.log_mel_distance, LogMelDistance(reference, other));
    AUDIO_ASSIGN(d.log_magnitude_cosine, LogMagnitudeCosine(reference, other));
    d.nsim = EarSimilarity(reference, other);
    return d;
  });
}

Result<double> Drift(const SoundView& reference, double log_mel_distance,
                     std::span<const SoundView> seeds) {
  return Guarded([&]() -> Result<double> {
    double sum = 0;
    for (const SoundView& seed : seeds) {
      AUDIO_TRY(CheckSamples("other seed", seed));
      AUDIO_TRY(CheckSame(reference, seed));
      AUDIO_ASSIGN(const double distance, LogMelDistance(reference, seed));
      sum += distance;
    }
    if (sum == 0) {
      return Fail(ErrorCode::kInvalidInput,
                  "expected sounds of other seeds, found {}",
                  seeds.empty() ? "none" : "only the reference itself");
    }
    return log_mel_distance / (sum / static_cast<double>(seeds.size()));
  });
}

}  // namespace lathe::audio
