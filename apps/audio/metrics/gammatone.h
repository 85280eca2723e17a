// Similarity as an ear would see it: bands of a cochlea, then the structural
// similarity of the two pictures. What ViSQOL (Chinen et al., arXiv 2004.09584)
// computes before its trained mapping to opinion scores, for sounds that are
// aligned already.

#ifndef LATHE_APPS_AUDIO_METRICS_GAMMATONE_H_
#define LATHE_APPS_AUDIO_METRICS_GAMMATONE_H_

#include <array>
#include <complex>
#include <cstddef>
#include <span>
#include <vector>

#include "apps/audio/audio_file.h"

namespace lathe::audio {

constexpr size_t kEarBands = 32;

// Centres of bands of equal width on the ear's scale (ERB, Glasberg and Moore:
// f / 9.26449 + 24.7 Hz), from 50 Hz up to half the rate, which is not reached.
std::array<double, kEarBands> EarCentres(double sample_rate);

// Gammatone filters of fourth order as four sections of second order (Slaney,
// Apple Technical Report 35), of gain 1 at the centre.
struct EarFilters {
  explicit EarFilters(double sample_rate);

  // All bands over one frame from rest: out[band] = root mean square.
  void Rms(std::span<const float> frame,
           std::array<double, kEarBands>& out) const;
  // What band `band` does to a sine of `hz`.
  std::complex<double> Response(size_t band, double hz) const;

  double rate;
  // x[t] is gain times the sample; each section makes of it
  // y[t] = x[t] + zero x[t-1] - pole1 y[t-1] - pole2 y[t-2], the next one's x.
  std::array<double, kEarBands> gain, pole1, pole2;
  std::array<std::array<double, kEarBands>, 4> zero;
};

// [frames, kEarBands] of one channel: Hann windows of 80 ms every 20 ms, at
// least one, which is padded with silence.
std::vector<std::array<double, kEarBands>> EarSpectrogram(
    const EarFilters& filters, const SoundView& sound, int channel);

// Neurogram similarity (Hines and Harte 2012) of two [rows, columns], averaged:
//   (2 mr mo + C1) / (mr^2 + mo^2 + C1) * (sro + C3) / (sr so + C3),
// means, deviations and covariance over 3 x 3 with Gaussian weights, edges
// repeated; C1 = 0.01^2, C3 = 0.03^2 / 2. 1 for equal pictures.
double NeurogramSimilarity(std::span<const double> reference,
                           std::span<const double> other, size_t columns);

// Mean over channels of the similarity of ear spectrograms: 10 log10 of the
// RMS, raised to -45 and, in each frame, to 45 below the louder of the two;
// then the lowest of both is 0. Sounds of one shape.
double EarSimilarity(const SoundView& reference, const SoundView& other);

}  // namespace lathe::audio

#endif  // LATHE_APPS_AUDIO_METRICS_GAMMATONE_H_
