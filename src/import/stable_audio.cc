// Reads the sources, authors the graphs and puts the files in place.

#include "src/import/stable_audio.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <utility>

#include "nlohmann/json.hpp"
#include "src/base/mapped_file.h"
#include "src/format/checkpoint.h"
#include "src/format/tflite/tflite.h"
#include "src/import/models/conditioner.h"
#include "src/import/models/dit.h"
#include "src/import/models/oobleck.h"

namespace lathe::importer {
namespace {

namespace fs = std::filesystem;

// Removes what was written unless Keep is called.
class Pending {
 public:
  Pending(fs::path dir, bool made) : dir_(std::move(dir)), made_(made) {}
  ~Pending() {
    std::error_code ignored;
    for (const auto& [temporary, name] : files_) {
      fs::remove(temporary, ignored);
    }
    if (made_ && !kept_) fs::remove(dir_, ignored);
  }
  // Where to write the file that will be called `name`.
  std::string Add(const std::string& name) {
    files_.emplace_back(dir_ / ("." + name + ".part"), dir_ / name);
    return files_.back().first.string();
  }
  Status Keep() {
    for (const auto& [temporary, name] : files_) {
      std::error_code error;
      fs::rename(temporary, name, error);
      if (error) {
        return SystemError("{}: cannot be put in place: {}", name.string(),
                           error.message());
      }
    }
    files_.clear();
    kept_ = true;
    return {};
  }

 private:
  fs::path dir_;
  bool made_, kept_ = false;
  std::vector<std::pair<fs::path, fs::path>> files_;
};

Status WriteBytes(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) return SystemError("{}: cannot be written", path);
  return {};
}

Result<bool> MakeFolder(const std::string& dir) {
  std::error_code error;
  if (fs::is_directory(dir, error)) {
    if (::access(dir.c_str(), W_OK | X_OK) != 0) {
      return SystemError("{}: cannot be written to: {}", dir,
                         std::strerror(errno));
    }
    return false;
  }
  if (fs::exists(dir, error)) {
    return Invalid("{}: exists and is not a folder", dir);
  }
  if (::mkdir(dir.c_str(), 0777) != 0) {
    const int code = errno;
    if (code == ENOENT || code == ENOTDIR) {
      return Invalid("{}: its parent folder does not exist", dir);
    }
    return SystemError("{}: cannot be made: {}", dir, std::strerror(code));
  }
  return true;
}

std::string T5Weights(const std::string& dir) {
  for (const char* name :
       {"model.safetensors", "pytorch_model.bin", "model.ckpt"}) {
    const std::string path = dir + "/" + name;
    std::error_code error;
    if (fs::exists(path, error)) return path;
  }
  return dir + "/model.safetensors";
}

uint32_t CountTensors(const graph::Graph& graph) {
  size_t count = 0;
  for (const graph::Subgraph& s : graph.subgraphs) count += s.tensors.size();
  return static_cast<uint32_t>(count);
}
uint32_t CountOps(const graph::Graph& graph) {
  size_t count = 0;
  for (const graph::Subgraph& s : graph.subgraphs) count += s.ops.size();
  return static_cast<uint32_t>(count);
}

}  // namespace

std::string PipelineJson(const StableAudioConfig& c) {
  const nlohmann::ordered_json json = {
      {"schema", "lathe.pipeline/1"},
      {"model_type", "stable-audio"},
      {"objective", c.objective},
      {"sample_rate", c.sample_rate},
      {"channels", c.audio_channels},
      {"hop", c.hop},
      {"latent_channels", c.latents},
      {"frames", c.frames()},
      {"token_window", c.token_window},
      {"cond_width", c.cond_width},
      {"seconds", {{"min", c.seconds_min}, {"max", c.seconds_max}}},
      {"halo",
       {{"decoder", DecoderHalo(c.decoder)},
        {"encoder", EncoderHalo(c.encoder)}}},
      {"sampler",
       {{"name", c.sampler.name},
        {"steps", c.sampler.steps},
        {"cfg", c.sampler.cfg}}},
      {"files",
       {{"conditioner", "conditioner.tflite"},
        {"dit", "dit.tflite"},
        {"decoder", "decoder.tflite"},
        {"encoder", "encoder.tflite"},
        {"tokenizer", "tokenizer.model"}}}};
  return json.dump(2) + "\n";
}

Result<StableAudioGraphs> AuthorStableAudio(const StableAudioConfig& config,
                                            const T5Config& t5_config,
                                            TensorSource checkpoint,
                                            TensorSource t5,
                                            const std::string& checkpoint_name,
                                            const std::string& t5_name) {
  Weights weights(std::move(checkpoint), checkpoint_name);
  Weights text(std::move(t5), t5_name);
  StableAudioGraphs graphs;
  for (graph::Graph* graph :
       {&graphs.conditioner, &graphs.dit, &graphs.decoder, &graphs.encoder}) {
    *graph = graph::Graph::Empty();
  }
  LATHE_TRY(
      AuthorConditioner(config, t5_config, weights, text, graphs.conditioner));
  LATHE_TRY(AuthorDit(config, weights, graphs.dit));
  LATHE_TRY(AuthorDecoder(config, weights, graphs.decoder));
  LATHE_TRY(AuthorEncoder(config, weights, graphs.encoder));
  const Status ours = weights.Check();
  // A whole T5 has a decoder and a head as well.
  const Status theirs = text.Check({"decoder.", "lm_head."});
  if (ours && theirs) return graphs;
  std::string message = ours ? "" : ours.error().message;
  if (!theirs) {
    message += (message.empty() ? "" : "\n") + theirs.error().message;
  }
  return std::unexpected(Error{ErrorCode::kInvalidInput, std::move(message)});
}

namespace {

Result<std::vector<Written>> Convert(const Sources& sources,
                                     const std::string& out_dir,
                                     const Conversion& conversion) {
  LATHE_ASSIGN(const bool made, MakeFolder(out_dir));
  Pending pending(out_dir, made);
  // First: of what the user named, then of what is looked for beside it.
  LATHE_ASSIGN(auto checkpoint, format::Checkpoint::Open(sources.checkpoint));
  LATHE_ASSIGN(const StableAudioConfig config,
               ReadStableAudioConfig(sources.config));
  LATHE_ASSIGN(const T5Config t5_config,
               ReadT5Config(sources.t5_dir + "/config.json"));
  LATHE_ASSIGN(const auto tokenizer,
               MappedFile::Open(sources.t5_dir + "/spiece.model"));
  const std::string t5_path = T5Weights(sources.t5_dir);
  LATHE_ASSIGN(auto t5, format::Checkpoint::Open(t5_path));
  LATHE_ASSIGN(
      StableAudioGraphs graphs,
      AuthorStableAudio(config, t5_config, SourceOf(std::move(checkpoint)),
                        SourceOf(std::move(t5)), sources.checkpoint, t5_path));
  graph::Graph* const models[] = {&graphs.conditioner, &graphs.dit,
                                  &graphs.decoder, &graphs.encoder};
  static_assert(std::size(models) == kStableAudioModels.size());
  std::vector<Written> written;
  for (size_t i = 0; i < std::size(models); ++i) {
    const std::string name = fmt::format("{}.tflite", kStableAudioModels[i]);
    if (conversion.progress) {
      conversion.progress(name, static_cast<double>(i) / std::size(models));
    }
    std::optional<graph::Graph> rewritten;
    const graph::Graph* graph = models[i];
    if (conversion.rewrite) {
      LATHE_ASSIGN(rewritten,
                   conversion.rewrite(kStableAudioModels[i], *graph));
      if (rewritten) graph = &*rewritten;
    }
    const std::string path = pending.Add(name);
    LATHE_TRY(format::WriteTflite(*graph, path, conversion.stop));
    written.push_back({.path = (fs::path(out_dir) / name).string(),
                       .bytes = fs::file_size(path),
                       .ops = CountOps(*graph),
                       .tensors = CountTensors(*graph)});
    // Its producers keep the checkpoint's tensors.
    *models[i] = graph::Graph::Empty();
  }
  const std::string json = PipelineJson(config);
  const std::pair<const char*, std::span<const std::byte>> others[] = {
      {"tokenizer.model", tokenizer->bytes()},
      {"pipeline.json", std::as_bytes(std::span(json))}};
  for (const auto& [name, bytes] : others) {
    LATHE_TRY(WriteBytes(pending.Add(name), bytes));
    written.push_back(
        {.path = (fs::path(out_dir) / name).string(), .bytes = bytes.size()});
  }
  LATHE_TRY(pending.Keep());
  if (conversion.progress) conversion.progress("done", 1.0);
  return written;
}

}  // namespace

Result<std::vector<Written>> ConvertStableAudio(const Sources& sources,
                                                const std::string& out_dir,
                                                const Conversion& conversion) {
  try {
    return Convert(sources, out_dir, conversion);
  } catch (const std::bad_alloc&) {
    return SystemError("{}: out of memory", sources.checkpoint);
  } catch (const std::exception& e) {
    return SystemError("{}: {}", sources.checkpoint, e.what());
  }
}

}  // namespace lathe::importer
