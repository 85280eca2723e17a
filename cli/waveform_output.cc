#include "cli/waveform_output.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "apps/audio/audio_file.h"
#include "cli/open_session.h"

namespace lathe::cli {
namespace {

constexpr int32_t kMostChannels = 8, kLeastFrames = 1024;

// Channels one behind the other to frames.
audio::StoredSound SoundOf(std::span<const float> x, int32_t channels,
                           int rate) {
  audio::StoredSound sound;
  sound.sample_rate = rate;
  sound.channels = channels;
  const size_t width = static_cast<size_t>(channels);
  const size_t frames = x.size() / width;
  sound.frames = static_cast<int64_t>(frames);
  sound.samples.resize(x.size());
  for (size_t c = 0; c < width; ++c) {
    for (size_t i = 0; i < frames; ++i) {
      sound.samples[i * width + c] = x[c * frames + i];
    }
  }
  return sound;
}

}  // namespace

double WaveformOutput::Mean(std::string_view metric) const {
  if (distances.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto value =
      std::ranges::find(audio::Metrics(), metric, &audio::Metric::name)->value;
  double sum = 0;
  for (const audio::SoundDistance& d : distances) sum += d.*value;
  return sum / static_cast<double>(distances.size());
}

void AddWaveform(const TensorInfo& output, std::span<const float> reference,
                 std::span<const float> other, int rate,
                 std::vector<WaveformOutput>& outputs) {
  auto at = std::ranges::find(outputs, output.name, &WaveformOutput::name);
  if (at == outputs.end()) {
    outputs.push_back({.name = output.name, .problem = {}, .distances = {}});
    at = outputs.end() - 1;
  }
  const size_t rank = output.shape.size();
  const int32_t channels = rank < 2 ? 0 : output.shape[rank - 2];
  const int32_t frames = rank < 2 ? 0 : output.shape[rank - 1];
  if (channels < 1 || channels > kMostChannels || frames < kLeastFrames) {
    at->problem = fmt::format(
        "shape {} is no waveform: expected [..., channels, samples], 1 to {} "
        "channels and at least {} samples",
        ShapeWords(output.shape), kMostChannels, kLeastFrames);
    return;
  }
  const size_t each = static_cast<size_t>(channels) * frames;
  for (size_t begin = 0; begin + each <= reference.size(); begin += each) {
    const auto r = SoundOf(reference.subspan(begin, each), channels, rate);
    const auto o = SoundOf(other.subspan(begin, each), channels, rate);
    const auto distance = audio::CompareSounds(r.view(), o.view());
    if (!distance) {
      at->problem = distance.error().message;
      return;
    }
    at->distances.push_back(*distance);
  }
}

Json WaveformsJson(const std::vector<WaveformOutput>& outputs) {
  Json list = Json::array();
  for (const WaveformOutput& output : outputs) {
    Json metrics = nullptr;
    if (output.problem.empty()) {
      for (const audio::Metric& m : audio::Metrics()) {
        metrics[m.name] = output.Mean(m.name);
      }
    }
    list.push_back({{"name", output.name},
                    {"sounds", output.distances.size()},
                    {"metrics", std::move(metrics)},
                    {"problem", output.problem}});
  }
  return list;
}

void PrintWaveform(const WaveformOutput& output) {
  if (!output.problem.empty()) {
    fmt::print("\noutput \"{}\" as a sound: {}\n", output.name, output.problem);
    return;
  }
  fmt::print("\n");
  std::vector<std::vector<std::string>> table = {
      {fmt::format("\"{}\" as a sound", output.name), "mean", ""}};
  for (const audio::Metric& m : audio::Metrics()) {
    table.push_back({std::string(m.name),
                     fmt::format("{:.6g}", output.Mean(m.name)),
                     std::string(m.says)});
  }
  PrintTable(table);
}

}  // namespace lathe::cli
