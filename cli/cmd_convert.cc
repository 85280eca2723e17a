// lathe convert: a Stable Audio checkpoint to a pipeline folder, its weights
// made smaller on the way if so wanted.

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/open_session.h"
#include "lathe/convert.hpp"
#include "lathe/machine.hpp"

namespace lathe::cli {
namespace {

// "dit=dynamic_wi8_afp32": of one model; "dynamic_wi8_afp32": of all.
ModelRecipe RecipeOf(const std::string& text) {
  const size_t equal = text.find('=');
  if (equal == std::string::npos) return {"", text};
  return {text.substr(0, equal), text.substr(equal + 1)};
}

}  // namespace

int CmdConvert(std::vector<std::string> args) {
  CLI::App app(
      "Converts a Stable Audio checkpoint (.safetensors, .ckpt, .pt) "
      "to a folder of .tflite files.",
      "lathe convert");
  Common common;
  StableAudioSources sources;
  std::string out;
  std::vector<std::string> recipes;
  app.add_option("CHECKPOINT", sources.checkpoint, "The weights")->required();
  app.add_option("--config", sources.config,
                 "model_config.json (default: beside the checkpoint)");
  app.add_option("--t5", sources.t5_dir,
                 "Folder with the T5 encoder: config.json, model.safetensors, "
                 "spiece.model (default: t5 beside the checkpoint)");
  app.add_option("--recipe", recipes,
                 "Quantize as this recipe says (a name or a JSON file, as for "
                 "lathe quantize): all models, or with MODEL= one of "
                 "conditioner, dit, decoder, encoder; may come again")
      ->type_name("[MODEL=]NAME|FILE")
      ->allow_extra_args(false);
  app.add_option("-o,--output", out, "Folder to write")->required();
  SetUp(app,
        "lathe convert models/nano/model.safetensors --recipe "
        "dit=dynamic_wi8_afp32 -o /tmp/nano",
        common, Runs::kMeasures);
  if (const auto code = Parse(app, std::move(args), common)) return *code;

  const size_t slash = sources.checkpoint.rfind('/');
  const std::string folder =
      slash == std::string::npos ? "." : sources.checkpoint.substr(0, slash);
  if (sources.config.empty()) sources.config = folder + "/model_config.json";
  if (sources.t5_dir.empty()) sources.t5_dir = folder + "/t5";

  const auto start = std::chrono::steady_clock::now();
  ProgressLine progress(common.quiet);
  ConvertOptions options;
  std::optional<Threads> threads;  // Only quantizing uses them.
  if (!recipes.empty()) options.threads = &threads.emplace(common.threads);
  for (const std::string& text : recipes) {
    options.recipes.push_back(RecipeOf(text));
  }
  options.stop = StopFlag();
  options.progress = [&](std::string_view file, double fraction) {
    MeasureMemory();
    progress.Show("convert", fmt::format("{:3.0f} % {}", 100 * fraction, file));
  };
  const auto files = ConvertStableAudio(sources, out, options);
  progress.Clear();
  if (!files) return Report(files.error());
  const double ms = MillisecondsSince(start);
  const MemoryUse memory = MeasureMemory();
  if (common.json) {
    Json outputs = Json::array();
    for (const ConvertedFile& file : *files) {
      outputs.push_back({{"path", file.path},
                         {"bytes", file.bytes},
                         {"ops", file.ops},
                         {"tensors", file.tensors},
                         {"ops_quantized", file.ops_quantized}});
    }
    PrintJson("convert", {{"outputs", outputs},
                          {"times_ms", {{"total", ms}}},
                          {"peak_rss_bytes", memory.peak_rss_bytes},
                          {"peak_private_bytes", memory.peak_private_bytes}});
    return 0;
  }
  std::vector<std::vector<std::string>> rows = {
      {"file", "size", "operators", "quantized", "tensors"}};
  for (const ConvertedFile& file : *files) {
    rows.push_back({file.path, Bytes(file.bytes),
                    file.ops ? std::to_string(file.ops) : "",
                    file.ops ? std::to_string(file.ops_quantized) : "",
                    file.tensors ? std::to_string(file.tensors) : ""});
  }
  PrintTable(rows);
  fmt::print("{:.1f} s, memory {} ({} private)\n", ms / 1e3,
             Bytes(memory.peak_rss_bytes), Bytes(memory.peak_private_bytes));
  return 0;
}

}  // namespace lathe::cli
