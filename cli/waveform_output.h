// Outputs of a model that are sounds, compared as lathe listen-test does.

#ifndef LATHE_CLI_WAVEFORM_OUTPUT_H_
#define LATHE_CLI_WAVEFORM_OUTPUT_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/audio/metrics/metrics.h"
#include "cli/command.h"

namespace lathe::cli {

struct WaveformOutput {
  std::string name;
  std::string problem;  // Not empty: why it was not compared.
  std::vector<audio::SoundDistance> distances;  // Of sounds of all samples.

  // Of a metric of audio::Metrics; NaN without distances.
  double Mean(std::string_view metric) const;
};

// Adds the distances of an output that has the shape [..., channels, samples]
// with 1 to 8 channels and at least 1024 samples, or says why not. Dims in
// front count sounds.
void AddWaveform(const TensorInfo& output, std::span<const float> reference,
                 std::span<const float> other, int rate,
                 std::vector<WaveformOutput>& outputs);

Json WaveformsJson(const std::vector<WaveformOutput>& outputs);
void PrintWaveform(const WaveformOutput& output);

}  // namespace lathe::cli

#endif  // LATHE_CLI_WAVEFORM_OUTPUT_H_
