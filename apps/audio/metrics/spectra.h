// Distances of short-time magnitude spectra. Frames are centred at multiples of
// the hop, with silence around the sound; windows are Hann; |X| is the plain
// transform of the windowed samples. All channels count alike.

#ifndef LATHE_APPS_AUDIO_METRICS_SPECTRA_H_
#define LATHE_APPS_AUDIO_METRICS_SPECTRA_H_

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "apps/audio/audio_file.h"
#include "lathe/result.h"

namespace lathe::audio {

struct Stft {
  int size = 1024, hop = 256, window = 1024;  // window <= size, size even.
};

// Calls work(reference, other) with size / 2 + 1 magnitudes of each frame of
// each channel; sounds of one shape. Errors: kSystem.
using SpectrumPair =
    std::function<void(std::span<const float>, std::span<const float>)>;
Status ForEachSpectrum(const SoundView& reference, const SoundView& other,
                       const Stft& stft, const SpectrumPair& work);

struct StftDistance {
  double spectral_convergence = 0;  // |R - O| / |R| (Frobenius).
  double log_magnitude = 0;         // Mean of |ln R - ln O|.
};

// Means over three resolutions: 512 / 50 / 240, 1024 / 120 / 600 and 2048 / 240
// / 1200 (size / hop / window), magnitudes at least sqrt(1e-7), as in Parallel
// WaveGAN (Yamamoto et al., arXiv 1910.11480). 0 for equal sounds.
Result<StftDistance> MultiResolutionDistance(const SoundView& reference,
                                             const SoundView& other);

// Mean of |ln max(M r, 1e-5) - ln max(M o, 1e-5)|: 80 mel bands from 0 to half
// the rate, windows of 2048 every 512.
Result<double> LogMelDistance(const SoundView& reference,
                              const SoundView& other);

// Cosine of the levels in dB above -80 dB, where a sine of amplitude 1 is 0 dB;
// lower levels are 0. Windows of 1024 every 256. 1 when both have none, 0 when
// one has.
Result<double> LogMagnitudeCosine(const SoundView& reference,
                                  const SoundView& other);

// Triangles in mel (Slaney's scale: linear to 1 kHz, then logarithmic), each
// divided by half its width in Hz, so that bands of noise are alike; row-major
// [bands, size / 2 + 1].
std::vector<float> MelWeights(int bands, int size, int sample_rate);

}  // namespace lathe::audio

#endif  // LATHE_APPS_AUDIO_METRICS_SPECTRA_H_
