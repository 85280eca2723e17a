// Weights that follow from their names alone, so that tests, benchmarks and
// other programs agree on them without a file (reference
// stable-audio-open-small.md, section 7.2).

#ifndef LATHE_IMPORT_TESTING_NAME_KEYED_H_
#define LATHE_IMPORT_TESTING_NAME_KEYED_H_

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/import/stable_audio_config.h"
#include "src/import/weights.h"

namespace lathe::importer {

// Elements [first, first + out.size()) of the tensor `name` with this shape.
void NameKeyedWeights(const std::string& name,
                      const std::vector<int64_t>& shape, uint64_t first,
                      std::span<float> out);
// The same stream for an input: scale * u.
std::vector<float> NameKeyedInput(const std::string& name, size_t count,
                                  float scale = 1.0f);

using Shapes = std::map<std::string, std::vector<int64_t>>;
// Every tensor of the checkpoint, and of the T5 encoder, for a configuration.
Shapes CheckpointShapes(const StableAudioConfig& config);
Shapes T5Shapes(const T5Config& config);

TensorSource NameKeyedSource(const Shapes& shapes);

// The text of a model_config.json.
std::string ConfigText(const StableAudioConfig& config);

enum class ModelSize : uint8_t { kTiny, kFull };
StableAudioConfig NameKeyedConfig(ModelSize size);
T5Config NameKeyedT5Config(ModelSize size);

// Writes model.safetensors, model_config.json and t5/ into `dir`, which must
// exist; the tokenizer is copied from `spiece_model`.
Status WriteNameKeyedModel(ModelSize size, const std::string& dir,
                           const std::string& spiece_model);

}  // namespace lathe::importer

#endif  // LATHE_IMPORT_TESTING_NAME_KEYED_H_
