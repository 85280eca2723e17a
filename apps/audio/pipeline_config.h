// pipeline.json: what `lathe convert` wrote about a model folder.

#ifndef LATHE_APPS_AUDIO_PIPELINE_CONFIG_H_
#define LATHE_APPS_AUDIO_PIPELINE_CONFIG_H_

#include <cstdint>
#include <string>

#include "lathe/result.h"

namespace lathe::audio {

// Schema "lathe.pipeline/1". Every number is bounded when this struct exists.
struct PipelineConfig {
  std::string objective;  // "rf_denoiser" or "rectified_flow".
  int32_t sample_rate = 0, channels = 0;
  int32_t hop = 0;  // Samples of one latent frame.
  int32_t latent_channels = 0, frames = 0;
  int32_t token_window = 0;  // Ids of a prompt, the end mark included.
  int32_t cond_width = 0;
  double seconds_min = 0, seconds_max = 0;     // Of the seconds embedder.
  int32_t decoder_halo = 0, encoder_halo = 0;  // Latent frames on each side.
  struct {
    std::string name;
    int32_t steps = 0;
    double cfg = 1;
  } sampler;
  // Whole paths: the folder and the name in the file.
  struct {
    std::string conditioner, dit, decoder, encoder, tokenizer;
  } files;

  int64_t samples() const { return int64_t{frames} * hop; }
  double seconds() const {
    return static_cast<double>(samples()) / sample_rate;
  }
};

// Reads FOLDER/pipeline.json. Errors (kInvalidInput) name the file and each
// field that is missing, of the wrong kind or out of bounds, one a line; file
// names must be plain names inside the folder. The files themselves are not
// looked at. kSystem: not readable.
Result<PipelineConfig> ReadPipelineConfig(const std::string& folder);

}  // namespace lathe::audio

#endif  // LATHE_APPS_AUDIO_PIPELINE_CONFIG_H_
