// From a Stable Audio checkpoint to a folder that `lathe generate` runs.

#ifndef LATHE_IMPORT_STABLE_AUDIO_H_
#define LATHE_IMPORT_STABLE_AUDIO_H_

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"
#include "src/base/stop_token.h"
#include "src/graph/graph.h"
#include "src/import/stable_audio_config.h"
#include "src/import/weights.h"

namespace lathe::importer {

struct Sources {
  std::string checkpoint, config, t5_dir;
};

struct Written {
  std::string path;
  uint64_t bytes = 0;
  uint32_t ops = 0, tensors = 0;
};

struct Conversion {
  StopToken stop = nullptr;
  // Called before each file with how many of all are done.
  std::function<void(std::string_view file, double fraction)> progress;
  // What to write instead of a graph, if anything; `model` is "dit" for
  // dit.tflite. The graph lives until the result is written.
  std::function<Result<std::optional<graph::Graph>>(std::string_view model,
                                                    const graph::Graph& graph)>
      rewrite;
};

// The models of a folder, in the order in which they are written.
inline constexpr std::array<std::string_view, 4> kStableAudioModels = {
    "conditioner", "dit", "decoder", "encoder"};

// Authors and writes everything (include/lathe/convert.hpp says what). Files
// are written beside their names and renamed when all are there.
Result<std::vector<Written>> ConvertStableAudio(const Sources& sources,
                                                const std::string& out_dir,
                                                const Conversion& conversion);

// The four graphs without writing them. Nothing large is read yet. Errors list
// every missing, extra and misshapen tensor, under the names of the files.
struct StableAudioGraphs {
  graph::Graph conditioner, dit, decoder, encoder;
};
Result<StableAudioGraphs> AuthorStableAudio(const StableAudioConfig& config,
                                            const T5Config& t5_config,
                                            TensorSource checkpoint,
                                            TensorSource t5,
                                            const std::string& checkpoint_name,
                                            const std::string& t5_name);

// The text of pipeline.json.
std::string PipelineJson(const StableAudioConfig& config);

}  // namespace lathe::importer

#endif  // LATHE_IMPORT_STABLE_AUDIO_H_
