#include "apps/audio/metrics/spectra.h"

#include <kiss_fftr.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numbers>

#include "apps/audio/errors.h"
#include "apps/audio/metrics/waveform.h"

namespace lathe::audio {
namespace {

struct FreeTransform {
  void operator()(kiss_fftr_state* state) const { ::kiss_fftr_free(state); }
};
using Transform = std::unique_ptr<kiss_fftr_state, FreeTransform>;

std::vector<float> Hann(int n) {
  std::vector<float> window(static_cast<size_t>(n));
  for (size_t i = 0; i < window.size(); ++i) {
    window[i] =
        static_cast<float>(0.5 - 0.5 * std::cos(2 * std::numbers::pi *
                                                static_cast<double>(i) / n));
  }
  return window;
}

double SlaneyMel(double hz) {
  constexpr double kLinear = 200.0 / 3, kBreak = 1000;
  if (hz < kBreak) return hz / kLinear;
  return kBreak / kLinear + std::log(hz / kBreak) / (std::log(6.4) / 27);
}

double SlaneyHz(double mel) {
  constexpr double kLinear = 200.0 / 3, kBreak = 1000;
  const double at_break = kBreak / kLinear;
  if (mel < at_break) return mel * kLinear;
  return kBreak * std::exp((mel - at_break) * (std::log(6.4) / 27));
}

}  // namespace

Status ForEachSpectrum(const SoundView& reference, const SoundView& other,
                       const Stft& stft, const SpectrumPair& work) {
  const Transform transform(::kiss_fftr_alloc(stft.size, 0, nullptr, nullptr));
  if (!transform) return Fail(ErrorCode::kSystem, "out of memory");
  const std::vector<float> window = Hann(stft.window);
  const auto size = static_cast<size_t>(stft.size);
  std::vector<kiss_fft_scalar> samples(size);
  std::vector<kiss_fft_cpx> bins(size / 2 + 1);
  std::vector<float> a(bins.size()), b(bins.size());
  const int channels = reference.channels;
  const int64_t frames =
      static_cast<int64_t>(reference.samples.size()) / channels;

  const auto transform_at = [&](std::span<const float> x, int channel,
                                int64_t middle, std::vector<float>& out) {
    std::ranges::fill(samples, 0.0f);
    const int64_t first = middle - stft.window / 2;
    const int64_t begin = std::max<int64_t>(0, -first);
    const int64_t end = std::min<int64_t>(stft.window, frames - first);
    for (int64_t i = begin; i < end; ++i) {
      samples[static_cast<size_t>(i)] =
          window[static_cast<size_t>(i)] *
          x[static_cast<size_t>((first + i) * channels + channel)];
    }
    ::kiss_fftr(transform.get(), samples.data(), bins.data());
    for (size_t k = 0; k < bins.size(); ++k) {
      out[k] = std::sqrt(bins[k].r * bins[k].r + bins[k].i * bins[k].i);
    }
  };
  for (int channel = 0; channel < channels; ++channel) {
    for (int64_t middle = 0; middle < frames; middle += stft.hop) {
      transform_at(reference.samples, channel, middle, a);
      transform_at(other.samples, channel, middle, b);
      work(a, b);
    }
  }
  return {};
}

Result<StftDistance> MultiResolutionDistance(const SoundView& reference,
                                             const SoundView& other) {
  constexpr Stft kResolutions[] = {{.size = 512, .hop = 50, .window = 240},
                                   {.size = 1024, .hop = 120, .window = 600},
                                   {.size = 2048, .hop = 240, .window = 1200}};
  constexpr float kLeast = 3.16227766e-4f;  // sqrt(1e-7)
  StftDistance mean;
  for (const Stft& stft : kResolutions) {
    double difference = 0, energy = 0, logs = 0, count = 0;
    AUDIO_TRY(ForEachSpectrum(
        reference, other, stft,
        [&](std::span<const float> r, std::span<const float> o) {
          for (size_t k = 0; k < r.size(); ++k) {
            const auto a = static_cast<double>(std::max(r[k], kLeast));
            const auto b = static_cast<double>(std::max(o[k], kLeast));
            difference += (a - b) * (a - b);
            energy += a * a;
            logs += std::abs(std::log(a / b));
          }
          count += static_cast<double>(r.size());
        }));
    mean.spectral_convergence += std::sqrt(difference / energy) / 3;
    mean.log_magnitude += logs / count / 3;
  }
  return mean;
}

std::vector<float> MelWeights(int bands, int size, int sample_rate) {
  const size_t bins = static_cast<size_t>(size) / 2 + 1;
  std::vector<float> weights(static_cast<size_t>(bands) * bins);
  const double top = SlaneyMel(sample_rate / 2.0);
  const auto edge = [&](int i) { return SlaneyHz(top * i / (bands + 1)); };
  for (int band = 0; band < bands; ++band) {
    const double low = edge(band), middle = edge(band + 1);
    const double high = edge(band + 2);
    for (size_t k = 0; k < bins; ++k) {
      const double hz = static_cast<double>(k) * sample_rate / size;
      const double rise = (hz - low) / (middle - low);
      const double fall = (high - hz) / (high - middle);
      const double height = std::max(0.0, std::min(rise, fall));
      weights[static_cast<size_t>(band) * bins + k] =
          static_cast<float>(height * 2 / (high - low));
    }
  }
  return weights;
}

Result<double> LogMelDistance(const SoundView& reference,
                              const SoundView& other) {
  constexpr int kBands = 80;
  constexpr Stft kStft = {.size = 2048, .hop = 512, .window = 2048};
  const std::vector<float> weights =
      MelWeights(kBands, kStft.size, reference.sample_rate);
  double sum = 0, count = 0;
  AUDIO_TRY(ForEachSpectrum(
      reference, other, kStft,
      [&](std::span<const float> r, std::span<const float> o) {
        for (size_t band = 0; band < kBands; ++band) {
          const float* w = &weights[band * r.size()];
          double a = 0, b = 0;
          for (size_t k = 0; k < r.size(); ++k) {
            if (w[k] == 0) continue;
            a += static_cast<double>(w[k] * r[k]);
            b += static_cast<double>(w[k] * o[k]);
          }
          sum += std::abs(std::log(std::max(a, 1e-5) / std::max(b, 1e-5)));
        }
        count += kBands;
      }));
  return sum / count;
}

Result<double> LogMagnitudeCosine(const SoundView& reference,
                                  const SoundView& other) {
  constexpr Stft kStft;
  constexpr double kFloorDb = -80;
  // A sine of amplitude 1 has half the sum of the window, window / 4.
  const auto level = [](float magnitude) {
    const double amplitude = static_cast<double>(magnitude) * 4 / kStft.window;
    return std::max(0.0,
                    20 * std::log10(std::max(amplitude, 1e-12)) - kFloorDb);
  };
  double ab = 0, aa = 0, bb = 0;
  AUDIO_TRY(
      ForEachSpectrum(reference, other, kStft,
                      [&](std::span<const float> r, std::span<const float> o) {
                        for (size_t k = 0; k < r.size(); ++k) {
                          const double a = level(r[k]), b = level(o[k]);
                          ab += a * b;
                          aa += a * a;
                          bb += b * b;
                        }
                      }));
  return Cosine(ab, aa, bb);
}

}  // namespace lathe::audio
