// From a prompt to sound: tokenizer, conditioner, sampler with the DiT, tiled
// decoder.
//
//   auto pipeline = Pipeline::Open("models/nano", {.threads = 2});
//   auto sound = pipeline->Generate({.prompt = "kick drum", .seed = 7});

#ifndef LATHE_APPS_AUDIO_PIPELINE_H_
#define LATHE_APPS_AUDIO_PIPELINE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apps/audio/pipeline_config.h"
#include "apps/audio/settings.h"
#include "lathe/lathe.hpp"

namespace lathe::audio {

struct PipelineOptions {
  int threads = 0;  // 0: one per physical core this process may use.
  std::string isa;  // Empty: the CPU's best.
  // Looked at between steps, tiles and operators; must outlive the pipeline.
  const std::atomic<bool>* stop = nullptr;
  uint64_t memory_limit_bytes = uint64_t{2} << 30;  // Of each model.
  // Most latent frames that the decoder (or encoder) sees at once, halo
  // included; its arena grows with it. Smaller than 2 * halo + 1 counts as
  // that.
  int tile_frames = 128;
};

enum class Stage : uint8_t {
  kLoad,
  kTokenize,
  kCondition,
  kEncode,  // Only with Request::init.
  kDiffuse,
  kDecode,
};
// "load", "tokenize", "condition", "encode", "diffuse", "decode".
std::string_view Name(Stage stage);

struct Progress {
  Stage stage = Stage::kLoad;
  double fraction =
      0;  // Of the stage; 1 comes once, before its model is freed.
  int step = 0,
      steps = 0;  // Sampler steps or tiles done, and how many there are.
};
// Runs on the caller's thread, up to some thousand times for one sound. The
// moment of fraction 1 is the one to call MeasureMemory().
using ProgressFn = std::function<void(const Progress&)>;

struct StageTimes {
  // load_ms: hashing, opening, planning and packing of all models together.
  double load_ms = 0, tokenize_ms = 0, condition_ms = 0, encode_ms = 0;
  double diffuse_ms = 0, decode_ms = 0;
};

struct Sound {
  std::vector<float> samples;  // Interleaved; may exceed +-1.
  int sample_rate = 0, channels = 0;
  int64_t frames() const {
    return static_cast<int64_t>(samples.size()) / channels;
  }
  Settings settings;
  std::vector<std::string> warnings;  // "prompt cut: ...", one sentence each.
  StageTimes times;
  std::string model_hash;  // 16 hex digits; see Pipeline::ModelHash.
  int prompt_tokens = 0;   // Without the end mark, after cutting.
  // Of the stage that needed most.
  uint64_t arena_bytes = 0, packed_bytes = 0;
};

// One thread at a time. Holds the tokenizer and a pool of threads; models are
// opened and freed stage by stage, so that the peak is that of the largest one.
class Pipeline {
 public:
  // Errors: those of ReadPipelineConfig; kInvalidInput for a missing model file
  // or a bad tokenizer; kUsage for a tile size or thread count below 0.
  static Result<Pipeline> Open(const std::string& folder,
                               const PipelineOptions& options = {});
  Pipeline(Pipeline&&) noexcept;
  Pipeline& operator=(Pipeline&&) noexcept;
  ~Pipeline();

  const PipelineConfig& config() const;
  int threads() const;  // As resolved.

  // Checks all of a request except what needs a model to run, as Generate does
  // first: call it before long work. Errors: kInvalidInput for a blank prompt,
  // invalid UTF-8, seconds outside (0, config().seconds()], cfg or strength out
  // of range; kUsage for an unknown sampler or a step count outside 1..1000.
  Status Check(const Request& request) const;

  // floor(seconds * rate) frames of sound (at least one). The bytes depend on
  // the request, the model, the ISA and tile_frames (tiles agree to float
  // rounding), never on threads. Errors: those of Check, of the models, and
  // kInterrupted.
  Result<Sound> Generate(const Request& request,
                         const ProgressFn& progress = {});

  // XXH3 over the XXH3s of conditioner, DiT, decoder and tokenizer: what the
  // model is, wherever it lies. Reads the files on first use.
  Result<std::string> ModelHash();

  struct State;

 private:
  explicit Pipeline(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lathe::audio

#endif  // LATHE_APPS_AUDIO_PIPELINE_H_
