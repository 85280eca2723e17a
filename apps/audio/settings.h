// Everything that decides what a generated sound is, apart from the model.

#ifndef LATHE_APPS_AUDIO_SETTINGS_H_
#define LATHE_APPS_AUDIO_SETTINGS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lathe::audio {

// What a user asks for; what is not given comes from the model's defaults.
struct Request {
  std::string prompt;
  std::string negative;           // Empty: none. Used only when cfg is not 1.
  std::optional<double> seconds;  // Default: the model's length.
  uint64_t seed = 0;  // The generator sees its low 32 bits, as in PyTorch.
  std::optional<int> steps;
  std::optional<std::string> sampler;  // See SamplerNames().
  std::optional<double> cfg;
  // Sound to start from, interleaved, at the model's rate and channels (see
  // ReadAudio); cut or padded with silence to the model's length.
  std::vector<float> init;
  double strength = 0.7;   // Noise on `init`, 0.01 to 1; 1 ignores it.
  bool normalize = false;  // Scale the peak to 1 (0 dBFS).
};

// What was really used: all that a repetition needs.
struct Settings {
  std::string prompt, negative;
  double seconds = 0;
  uint64_t seed = 0;
  int steps = 0;
  std::string sampler;
  double cfg = 1;
  bool normalize = false;
  // Empty without init; else XXH3 of its samples and how much noise it got.
  std::string init_hash;
  double strength = 1;
};

}  // namespace lathe::audio

#endif  // LATHE_APPS_AUDIO_SETTINGS_H_
