#include "apps/audio/metrics/gammatone.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

namespace lathe::audio {
namespace {

constexpr double kEarQ = 9.26449, kLeastWidth = 24.7;  // Hz
constexpr double kTau = 2 * std::numbers::pi;

}  // namespace

std::array<double, kEarBands> EarCentres(double sample_rate) {
  constexpr double kLowest = 50, kShift = kEarQ * kLeastWidth;
  const double top = sample_rate / 2 + kShift;
  const double step =
      std::log((kLowest + kShift) / top) / static_cast<double>(kEarBands);
  std::array<double, kEarBands> centres;
  for (size_t i = 0; i < kEarBands; ++i) {  // From the lowest up.
    centres[i] =
        top * std::exp(static_cast<double>(kEarBands - i) * step) - kShift;
  }
  return centres;
}

EarFilters::EarFilters(double sample_rate) : rate(sample_rate) {
  const std::array<double, kEarBands> centres = EarCentres(sample_rate);
  for (size_t band = 0; band < kEarBands; ++band) {
    const double hz = centres[band], angle = kTau * hz / rate;
    const double width = 1.019 * kTau * (hz / kEarQ + kLeastWidth);
    const double decay = std::exp(-width / rate);
    pole1[band] = -2 * std::cos(angle) * decay;
    pole2[band] = decay * decay;
    // cos -+ sqrt(3 +- 2^1.5) sin.
    const double root = std::pow(2.0, 1.5);
    const double wide = std::sqrt(3 + root), narrow = std::sqrt(3 - root);
    const double factors[] = {wide, -wide, narrow, -narrow};
    for (size_t s = 0; s < 4; ++s) {
      zero[s][band] = -(std::cos(angle) + factors[s] * std::sin(angle)) * decay;
    }
    gain[band] = 1;
    gain[band] = 1 / std::abs(Response(band, hz));
  }
}

std::complex<double> EarFilters::Response(size_t band, double hz) const {
  const std::complex<double> back = std::polar(1.0, -kTau * hz / rate);
  std::complex<double> response = gain[band];
  for (const auto& section : zero) {
    response *= (1.0 + section[band] * back) /
                (1.0 + pole1[band] * back + pole2[band] * back * back);
  }
  return response;
}

void EarFilters::Rms(std::span<const float> frame,
                     std::array<double, kEarBands>& out) const {
  // Bands side by side, so that the inner loops are vectors.
  using Bands = std::array<double, kEarBands>;
  struct Section {
    Bands x1{}, y1{}, y2{};  // Last input, last two outputs.
  };
  std::array<Section, 4> sections;
  Bands energy{};
  for (const float sample : frame) {
    Bands x;
    for (size_t b = 0; b < kEarBands; ++b) {
      x[b] = gain[b] * static_cast<double>(sample);
    }
    for (size_t s = 0; s < 4; ++s) {
      Section& section = sections[s];
      for (size_t b = 0; b < kEarBands; ++b) {
        const double y = x[b] + zero[s][b] * section.x1[b] -
                         pole1[b] * section.y1[b] - pole2[b] * section.y2[b];
        section.x1[b] = x[b];
        section.y2[b] = section.y1[b];
        section.y1[b] = y;
        x[b] = y;
      }
    }
    for (size_t b = 0; b < kEarBands; ++b) energy[b] += x[b] * x[b];
  }
  for (size_t b = 0; b < kEarBands; ++b) {
    out[b] = std::sqrt(energy[b] / static_cast<double>(frame.size()));
  }
}

std::vector<std::array<double, kEarBands>> EarSpectrogram(
    const EarFilters& filters, const SoundView& sound, int channel) {
  const auto channels = static_cast<size_t>(sound.channels);
  const size_t frames = sound.samples.size() / channels;
  const auto window = static_cast<size_t>(std::lround(0.08 * filters.rate));
  const size_t hop = std::max<size_t>(1, window / 4);
  const size_t columns = frames <= window ? 1 : 1 + (frames - window) / hop;
  std::vector<std::array<double, kEarBands>> result(columns);
  std::vector<float> frame(window);
  for (size_t column = 0; column < columns; ++column) {
    for (size_t i = 0; i < window; ++i) {
      const size_t at = column * hop + i;
      const double hann = 0.5 - 0.5 * std::cos(kTau * static_cast<double>(i) /
                                               static_cast<double>(window - 1));
      frame[i] =
          at >= frames
              ? 0.0f
              : static_cast<float>(hann) *
                    sound.samples[at * channels + static_cast<size_t>(channel)];
    }
    filters.Rms(frame, result[column]);
  }
  return result;
}

double NeurogramSimilarity(std::span<const double> reference,
                           std::span<const double> other, size_t columns) {
  // A Gaussian of deviation 0.5: its corner, edge and middle.
  constexpr double kWeights[] = {0.0113033910173052, 0.0838251475442633,
                                 0.619485845753726};
  constexpr double kC1 = 0.01 * 0.01, kC3 = 0.03 * 0.03 / 2;
  const auto rows = static_cast<int64_t>(reference.size() / columns);
  const auto width = static_cast<int64_t>(columns);
  double sum = 0;
  for (int64_t y = 0; y < rows; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      double mr = 0, mo = 0, rr = 0, oo = 0, ro = 0;
      for (int64_t dy = -1; dy <= 1; ++dy) {
        for (int64_t dx = -1; dx <= 1; ++dx) {
          const auto at = static_cast<size_t>(
              std::clamp<int64_t>(y + dy, 0, rows - 1) * width +
              std::clamp<int64_t>(x + dx, 0, width - 1));
          const double w = kWeights[(dy == 0 ? 1 : 0) + (dx == 0 ? 1 : 0)];
          const double r = reference[at], o = other[at];
          mr += w * r;
          mo += w * o;
          rr += w * r * r;
          oo += w * o * o;
          ro += w * r * o;
        }
      }
      const double spread = (rr - mr * mr) * (oo - mo * mo);
      const double structure =
          (ro - mr * mo + kC3) / (std::sqrt(std::max(0.0, spread)) + kC3);
      sum += (2 * mr * mo + kC1) / (mr * mr + mo * mo + kC1) * structure;
    }
  }
  return sum / static_cast<double>(reference.size());
}

double EarSimilarity(const SoundView& reference, const SoundView& other) {
  constexpr double kFloorDb = -45, kBelowPeakDb = 45;
  const EarFilters filters(reference.sample_rate);
  double sum = 0;
  for (int channel = 0; channel < reference.channels; ++channel) {
    const auto r = EarSpectrogram(filters, reference, channel);
    const auto o = EarSpectrogram(filters, other, channel);
    std::vector<double> a(r.size() * kEarBands), b(a.size());
    double lowest = std::numeric_limits<double>::infinity();
    for (size_t t = 0; t < r.size(); ++t) {
      const auto db = [&](double rms) {
        return std::max(kFloorDb, 10 * std::log10(std::max(rms, 1e-16)));
      };
      double peak = kFloorDb;
      for (size_t band = 0; band < kEarBands; ++band) {
        peak = std::max({peak, db(r[t][band]), db(o[t][band])});
      }
      for (size_t band = 0; band < kEarBands; ++band) {
        const size_t at = t * kEarBands + band;
        a[at] = std::max(peak - kBelowPeakDb, db(r[t][band]));
        b[at] = std::max(peak - kBelowPeakDb, db(o[t][band]));
        lowest = std::min({lowest, a[at], b[at]});
      }
    }
    for (double& x : a) x -= lowest;
    for (double& x : b) x -= lowest;
    sum += NeurogramSimilarity(a, b, kEarBands);
  }
  return sum / reference.channels;
}

}  // namespace lathe::audio
