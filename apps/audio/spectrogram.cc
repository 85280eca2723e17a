// Short Fourier transforms, a logarithmic axis, and a PNG.

#include "apps/audio/spectrogram.h"

#include <kiss_fftr.h>
#include <png.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numbers>

#include "apps/audio/errors.h"

namespace lathe::audio {
namespace {

constexpr int kWindow = 2048;  // 46 ms at 44.1 kHz: 21.5 Hz a bin.
constexpr int kBins = kWindow / 2 + 1;

struct FreeTransform {
  void operator()(kiss_fftr_state* state) const { ::kiss_fftr_free(state); }
};
using Transform = std::unique_ptr<kiss_fftr_state, FreeTransform>;

// Amplitudes of the window around sample `middle`; a sine of 1 gives 1.
std::array<double, kBins> Amplitudes(kiss_fftr_state* transform,
                                     const SoundView& sound, int channel,
                                     int64_t middle) {
  const int64_t frames =
      static_cast<int64_t>(sound.samples.size()) / sound.channels;
  std::array<kiss_fft_scalar, kWindow> x{};
  for (int i = 0; i < kWindow; ++i) {
    const int64_t at = middle - kWindow / 2 + i;
    if (at < 0 || at >= frames) continue;
    const float value = sound.samples[at * sound.channels + channel];
    const double hann =
        0.5 - 0.5 * std::cos(2 * std::numbers::pi * i / kWindow);
    if (std::isfinite(value)) {
      x[i] = static_cast<kiss_fft_scalar>(value * hann);
    }
  }
  std::array<kiss_fft_cpx, kBins> bins;
  ::kiss_fftr(transform, x.data(), bins.data());
  std::array<double, kBins> result;
  // The window's sum is kWindow / 2, and half of a sine is in each sign.
  for (int k = 0; k < kBins; ++k) {
    result[k] = std::hypot(bins[k].r, bins[k].i) * 4 / kWindow;
  }
  return result;
}

// Black, violet, red, yellow, white.
std::array<uint8_t, 3> Colour(double level) {
  static constexpr double kStops[][3] = {{0, 0, 4},
                                         {81, 18, 124},
                                         {183, 55, 121},
                                         {252, 137, 97},
                                         {252, 253, 191}};
  const double at = std::clamp(level, 0.0, 1.0) * 4;
  const int i = std::min(3, static_cast<int>(at));
  std::array<uint8_t, 3> rgb;
  for (int c = 0; c < 3; ++c) {
    rgb[c] = static_cast<uint8_t>(std::lround(
        kStops[i][c] + (kStops[i + 1][c] - kStops[i][c]) * (at - i)));
  }
  return rgb;
}

}  // namespace

Result<std::vector<std::byte>> SpectrogramPng(
    const SoundView& sound, const SpectrogramOptions& options) {
  return Guarded([&]() -> Result<std::vector<std::byte>> {
    const auto fits = [](int size) { return size >= 16 && size <= 8192; };
    if (!fits(options.width) || !fits(options.height)) {
      return Fail(ErrorCode::kInvalidInput,
                  "a picture of {} x {}; allowed 16 to 8192", options.width,
                  options.height);
    }
    const int channels = sound.channels;
    if (sound.samples.empty() || channels < 1 || channels > 8) {
      return Fail(ErrorCode::kInvalidInput, "no sound to draw");
    }
    const int64_t frames =
        static_cast<int64_t>(sound.samples.size()) / channels;
    const double nyquist = sound.sample_rate / 2.0;
    const double lowest = std::clamp(options.lowest_hz, 1.0, nyquist / 2);
    // Edges of the rows in bins, from the top.
    std::vector<double> edges(options.height + 1);
    for (int y = 0; y <= options.height; ++y) {
      const double hz =
          nyquist *
          std::pow(lowest / nyquist, static_cast<double>(y) / options.height);
      edges[y] = hz * kWindow / sound.sample_rate;
    }
    std::vector<uint8_t> rgb(size_t{3} * options.width * options.height *
                             channels);
    const Transform transform(::kiss_fftr_alloc(kWindow, 0, nullptr, nullptr));
    if (!transform) return Fail(ErrorCode::kSystem, "out of memory");
    for (int c = 0; c < channels; ++c) {
      for (int x = 0; x < options.width; ++x) {
        const auto amplitude =
            Amplitudes(transform.get(), sound, c,
                       frames * (2 * int64_t{x} + 1) / (2 * options.width));
        for (int y = 0; y < options.height; ++y) {
          // The loudest bin that the row touches: thin tones stay visible.
          const int low = std::clamp(
              static_cast<int>(std::lround(edges[y + 1])), 0, kBins - 1);
          const int high = std::clamp(static_cast<int>(std::lround(edges[y])),
                                      low, kBins - 1);
          const double loudest = *std::max_element(
              amplitude.begin() + low, amplitude.begin() + high + 1);
          const double db = 20 * std::log10(std::max(loudest, 1e-12));
          const auto colour = Colour(1 - db / options.floor_db);
          const size_t row = size_t(c) * options.height + y;
          std::ranges::copy(colour,
                            rgb.begin() + (row * options.width + x) * 3);
        }
      }
    }
    png_image image = {};
    image.version = PNG_IMAGE_VERSION;
    image.width = static_cast<png_uint_32>(options.width);
    image.height = static_cast<png_uint_32>(options.height * channels);
    image.format = PNG_FORMAT_RGB;
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    std::vector<std::byte> bytes(size);
    if (!::png_image_write_to_memory(&image, bytes.data(), &size, 0, rgb.data(),
                                     0, nullptr)) {
      return Fail(ErrorCode::kSystem, "the picture cannot be made: {}",
                  image.message);
    }
    bytes.resize(size);
    return bytes;
  });
}

Status WriteSpectrogram(const std::string& path, const SoundView& sound,
                        const SpectrogramOptions& options) {
  AUDIO_ASSIGN(const OutputTarget target,
               CheckTarget(path, ".png", Existing::kReplace));
  AUDIO_ASSIGN(const std::vector<std::byte> bytes,
               SpectrogramPng(sound, options));
  return WriteTarget(target, bytes);
}

}  // namespace lathe::audio
