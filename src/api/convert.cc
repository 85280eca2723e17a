// The public face of import/.

#include "lathe/convert.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <utility>

#include "fmt/ranges.h"
#include "src/api/state.h"
#include "src/import/stable_audio.h"
#include "src/quant/quantize.h"

namespace lathe {
namespace {

constexpr auto kModels = importer::kStableAudioModels;

// What each model is quantized by; none: it stays float.
using Recipes = std::array<std::optional<quant::Recipe>, kModels.size()>;

Result<Recipes> RecipesOf(const std::vector<ModelRecipe>& wanted) {
  constexpr auto kBehaviour = quant::Behaviour::kCorrect;
  Recipes recipes;
  std::optional<quant::Recipe> rest;
  for (const ModelRecipe& one : wanted) {
    const size_t i =
        std::ranges::find(kModels, one.model) - std::begin(kModels);
    if (i == kModels.size() && !one.model.empty()) {
      return Fail(ErrorCode::kUsage,
                  "no model \"{}\" to quantize; the folder has {}", one.model,
                  fmt::join(kModels, ", "));
    }
    std::optional<quant::Recipe>& place = one.model.empty() ? rest : recipes[i];
    if (place) {
      return Fail(ErrorCode::kUsage, "two recipes for {}",
                  one.model.empty() ? "all models" : one.model);
    }
    LATHE_ASSIGN(place, quant::LoadRecipe(one.recipe, kBehaviour));
    if (place->NeedsCalibration(kBehaviour)) {
      return Invalid(
          "{}: needs statistics of calibration; convert first, then calibrate "
          "and quantize",
          one.recipe);
    }
  }
  for (std::optional<quant::Recipe>& recipe : recipes) {
    if (!recipe) recipe = rest;
  }
  return recipes;
}

}  // namespace

Result<std::vector<ConvertedFile>> ConvertStableAudio(
    const StableAudioSources& sources, const std::string& out_dir,
    const ConvertOptions& options) {
  return Guarded([&]() -> Result<std::vector<ConvertedFile>> {
    LATHE_ASSIGN(const Recipes recipes, RecipesOf(options.recipes));
    std::array<uint32_t, kModels.size()> quantized_ops = {};
    importer::Conversion conversion;
    conversion.stop = options.stop;
    conversion.progress = options.progress;
    std::optional<Threads> threads;
    if (!options.recipes.empty()) {
      threads = options.threads ? *options.threads : Threads();
    }
    conversion.rewrite =
        [&](std::string_view model,
            const graph::Graph& graph) -> Result<std::optional<graph::Graph>> {
      const size_t i = std::ranges::find(kModels, model) - std::begin(kModels);
      if (!recipes[i]) return std::nullopt;
      quant::QuantizeOptions how;
      how.pool = &threads->state()->pool;
      how.stop = options.stop;
      auto result = quant::QuantizeGraph(graph, *recipes[i], nullptr, how);
      if (!result) {
        Error error = std::move(result).error();
        error.message = fmt::format("{}.tflite: {}", model, error.message);
        return std::unexpected(std::move(error));
      }
      quantized_ops[i] = static_cast<uint32_t>(
          std::ranges::count_if(result->ops, &quant::OpReport::quantized));
      return std::move(result->graph);
    };
    LATHE_ASSIGN(const std::vector<importer::Written> written,
                 importer::ConvertStableAudio(
                     {sources.checkpoint, sources.config, sources.t5_dir},
                     out_dir, conversion));
    std::vector<ConvertedFile> files;
    for (size_t i = 0; i < written.size(); ++i) {
      const importer::Written& file = written[i];
      files.push_back({file.path, file.bytes, file.ops, file.tensors,
                       i < kModels.size() ? quantized_ops[i] : 0});
    }
    return files;
  });
}

}  // namespace lathe
