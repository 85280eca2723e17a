// The public face of quant/.

#include "lathe/quantize.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "src/api/state.h"
#include "src/base/mapped_file.h"
#include "src/format/tflite/tflite.h"
#include "src/quant/presets.h"
#include "src/quant/quantize.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

// Bytes of all constants that a file of the graph would hold.
uint64_t ConstantBytes(const graph::Graph& graph) {
  std::vector<bool> used(graph.buffers.size(), false);
  for (const graph::Subgraph& subgraph : graph.subgraphs) {
    for (const graph::Tensor& tensor : subgraph.tensors) {
      used[tensor.buffer] = true;
    }
  }
  for (const graph::Metadata& metadata : graph.metadata) {
    used[metadata.buffer] = true;
  }
  uint64_t bytes = 0;
  for (size_t i = 0; i < used.size(); ++i) {
    if (used[i]) bytes += graph.buffers[i].size();
  }
  return bytes;
}

// Whether every constant lies in a mapped file: the reader copies those that
// are not aligned, and their pages must stay.
bool AllMapped(const graph::Graph& graph, const void* file,
               const format::ExternalFiles& external) {
  return std::ranges::all_of(graph.buffers, [&](const graph::Buffer& buffer) {
    return buffer.empty() || buffer.owner.get() == file ||
           std::ranges::any_of(external.files(), [&](const auto& entry) {
             return buffer.owner.get() == entry.second.get();
           });
  });
}

QuantizeReport Report(const quant::Quantized& quantized) {
  QuantizeReport report;
  for (const quant::OpReport& op : quantized.ops) {
    report.ops.push_back({static_cast<uint32_t>(op.subgraph),
                          static_cast<uint32_t>(op.index), op.name, op.type,
                          op.quantized, op.rule, op.reason});
    ++(op.quantized ? report.ops_quantized : report.ops_float);
  }
  for (const quant::RuleReport& rule : quantized.rules) {
    report.rules.push_back(
        {rule.rule, rule.matched, rule.chosen, rule.problem});
  }
  return report;
}

}  // namespace

Result<QuantizeReport> Quantize(const std::string& model,
                                const std::string& out,
                                const QuantizeOptions& options) {
  return Guarded([&]() -> Result<QuantizeReport> {
    const auto behaviour =
        options.compat ? quant::Behaviour::kCompat : quant::Behaviour::kCorrect;
    LATHE_ASSIGN(const quant::Recipe recipe,
                 quant::LoadRecipe(options.recipe, behaviour));
    quant::Statistics statistics;
    if (!options.stats.empty()) {
      LATHE_ASSIGN(statistics, quant::ReadStatistics(options.stats));
    }
    LATHE_ASSIGN(const std::shared_ptr<const MappedFile> file,
                 MappedFile::Open(model));
    format::ExternalFiles external(model);
    LATHE_ASSIGN(const graph::Graph graph,
                 format::ReadTflite(file->bytes(), file, model, &external));

    std::optional<Threads> own;
    if (options.threads == nullptr) own.emplace();
    const Threads& threads = own ? *own : *options.threads;
    // Finding the scales reads the weights once, writing reads them again.
    const auto progress = [&](double half, double fraction) {
      if (options.progress) options.progress(half + fraction / 2);
    };
    quant::QuantizeOptions converted;
    converted.behaviour = behaviour;
    converted.in_mapping = AllMapped(graph, file.get(), external);
    converted.pool = &threads.state()->pool;
    converted.stop = options.stop;
    converted.progress = [&](double fraction) { progress(0, fraction); };
    LATHE_ASSIGN(const quant::Quantized quantized,
                 quant::QuantizeGraph(
                     graph, recipe,
                     options.stats.empty() ? nullptr : &statistics, converted));
    QuantizeReport report = Report(quantized);
    report.input_bytes = file->bytes().size();
    for (const auto& [name, part] : external.files()) {
      report.input_bytes += part->bytes().size();
    }
    const uint64_t structure =
        report.input_bytes - std::min(report.input_bytes, ConstantBytes(graph));
    report.output_bytes = structure + ConstantBytes(quantized.graph);
    if (out.empty()) return report;
    LATHE_TRY(format::WriteTflite(quantized.graph, out, options.stop));
    progress(0.5, 1);
    std::error_code code;
    if (fs::is_regular_file(out, code)) {
      report.output_bytes = fs::file_size(out, code);
    }
    return report;
  });
}

std::vector<std::string> RecipeNames() {
  const auto names = quant::PresetNames();
  return {names.begin(), names.end()};
}

}  // namespace lathe
