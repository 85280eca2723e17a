// From checkpoints to .tflite files.

#ifndef LATHE_CONVERT_HPP_
#define LATHE_CONVERT_HPP_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lathe/lathe.hpp"

namespace lathe {

struct StableAudioSources {
  std::string checkpoint;  // .safetensors, .ckpt or .pt
  std::string config;      // model_config.json
  std::string t5_dir;      // config.json, model.safetensors and spiece.model
};

// Which recipe a model of the folder is quantized by.
struct ModelRecipe {
  std::string model;   // "conditioner", "dit", "decoder", "encoder"; "": each
                       // that is not named by another.
  std::string recipe;  // The name of a recipe or the path of a JSON file, of
                       // one that needs no calibration.
};

struct ConvertOptions {
  // Models without one stay float. No float file is written in between.
  std::vector<ModelRecipe> recipes;
  const Threads* threads = nullptr;  // For quantizing; null: one per core.
  const std::atomic<bool>* stop = nullptr;
  // Called now and then with the file being written and how much of it is done.
  std::function<void(std::string_view file, double fraction)> progress;
};

struct ConvertedFile {
  std::string path;
  uint64_t bytes = 0;
  uint32_t ops = 0, tensors = 0;
  uint32_t ops_quantized = 0;
};

// Writes conditioner.tflite, dit.tflite, decoder.tflite, encoder.tflite,
// tokenizer.model and pipeline.json into `out_dir`, which is made if only its
// last part is missing. Errors list every missing, extra or misshapen tensor;
// kUsage for a recipe of an unknown model; what Quantize says of a recipe.
// Peak private memory: the largest tensor plus at most 300 MB.
LATHE_EXPORT Result<std::vector<ConvertedFile>> ConvertStableAudio(
    const StableAudioSources& sources, const std::string& out_dir,
    const ConvertOptions& options = {});

}  // namespace lathe

#endif  // LATHE_CONVERT_HPP_
