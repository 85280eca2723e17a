// model_config.json of the Stable Audio family, and T5's config.json.

#ifndef LATHE_IMPORT_STABLE_AUDIO_CONFIG_H_
#define LATHE_IMPORT_STABLE_AUDIO_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "src/base/result.h"

namespace lathe::importer {

struct OobleckConfig {
  int32_t audio_channels = 2, channels = 128, latent_dim = 64;
  std::vector<int32_t> multipliers, strides;
};

struct DitConfig {
  int32_t channels = 64, width = 1024, depth = 16, heads = 8;
  int32_t cond_width = 768, global_width = 768;
};

struct T5Config {
  int32_t vocabulary = 32128, width = 768, d_kv = 64, heads = 12, d_ff = 3072;
  int32_t depth = 12, buckets = 32, furthest = 128;
  float epsilon = 1e-6f;
};

struct SamplerDefaults {
  std::string name = "pingpong";
  int32_t steps = 8;
  double cfg = 1.0;
};

struct StableAudioConfig {
  std::string objective;  // rf_denoiser or rectified_flow
  int32_t sample_rate = 44100, sample_size = 0, audio_channels = 2;
  int32_t latents = 64, hop = 2048;
  int32_t token_window = 64, cond_width = 768;
  double seconds_min = 0, seconds_max = 256;
  OobleckConfig encoder, decoder;
  DitConfig dit;
  SamplerDefaults sampler;

  int32_t frames() const { return sample_size / hop; }
};

// Every value that is missing, of the wrong kind or not supported is one line
// of the error: its path in the file, what was found, what is allowed. Sizes
// are bounded.
Result<StableAudioConfig> ReadStableAudioConfig(const std::string& path);
Result<T5Config> ReadT5Config(const std::string& path);

}  // namespace lathe::importer

#endif  // LATHE_IMPORT_STABLE_AUDIO_CONFIG_H_
