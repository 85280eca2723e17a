// lathe quantize: a float model and a recipe to a smaller model.

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/open_session.h"
#include "fmt/ranges.h"
#include "lathe/machine.hpp"
#include "lathe/quantize.hpp"

namespace lathe::cli {
namespace {

namespace fs = std::filesystem;

// Before any work: a target that cannot be written.
std::optional<std::string> WhyNotTarget(const std::string& path) {
  std::error_code code;
  const fs::file_status status = fs::status(path, code);
  if (fs::is_directory(status)) return "is a folder";
  if (fs::exists(status) && !fs::is_regular_file(status)) return std::nullopt;
  if (!path.ends_with(".tflite")) return "unknown ending; allowed: .tflite";
  const fs::path folder = fs::path(path).parent_path();
  if (!folder.empty() && !fs::is_directory(folder, code)) {
    return fmt::format("the folder {} does not exist", folder.string());
  }
  return std::nullopt;
}

Json OpsJson(const QuantizeReport& report) {
  Json ops = Json::array();
  for (const QuantizedOp& op : report.ops) {
    ops.push_back({{"index", op.index},
                   {"subgraph", op.subgraph},
                   {"name", op.name},
                   {"type", op.type},
                   {"quantized", op.quantized},
                   {"rule", op.rule},
                   {"reason", op.reason}});
  }
  return ops;
}

Json RulesJson(const QuantizeReport& report) {
  Json rules = Json::array();
  for (const RecipeRule& rule : report.rules) {
    rules.push_back({{"rule", rule.rule},
                     {"matched", rule.matched},
                     {"chosen", rule.chosen},
                     {"problem", rule.problem}});
  }
  return rules;
}

void PrintExplanation(const QuantizeReport& report) {
  std::vector<std::vector<std::string>> rows = {
      {"operator", "type", "becomes", "rule", "why", "name"}};
  for (const QuantizedOp& op : report.ops) {
    rows.push_back({op.subgraph == 0
                        ? std::to_string(op.index)
                        : fmt::format("{}:{}", op.subgraph, op.index),
                    op.type, op.quantized ? "quantized" : "float",
                    op.rule.empty() ? "-" : op.rule, op.reason, op.name});
  }
  PrintTable(rows);
  rows = {{"rule", "matches", "decides", "problem"}};
  for (const RecipeRule& rule : report.rules) {
    rows.push_back({rule.rule, std::to_string(rule.matched),
                    std::to_string(rule.chosen), rule.problem});
  }
  fmt::print("\n");
  PrintTable(rows);
  fmt::print("\n");
}

}  // namespace

int CmdQuantize(std::vector<std::string> args) {
  CLI::App app("Makes the weights of a .tflite file smaller, as a recipe says.",
               "lathe quantize");
  Common common;
  std::string model, out;
  QuantizeOptions options;
  bool strict = false, explain = false;
  app.add_option("MODEL", model, "The float model (.tflite)")->required();
  app.add_option("--recipe", options.recipe,
                 fmt::format("A recipe's name or a JSON file. Names: {}",
                             fmt::join(RecipeNames(), ", ")))
      ->required();
  app.add_option("--stats", options.stats,
                 "Statistics of calibration (JSON), for static recipes, GPTQ "
                 "and OSCAR");
  auto* strict_flag = app.add_flag(
      "--strict", strict,
      "Refuse recipes with misspelt words and rules that do nothing, and write "
      "what runs right everywhere (default)");
  app.add_flag("--compat", options.compat,
               "Write what AI Edge Quantizer 0.10 writes, mistakes included")
      ->excludes(strict_flag);
  app.add_flag("--explain", explain,
               "Say what each rule did to each operator, and why; without -o "
               "nothing is written");
  app.add_option("-o,--output", out,
                 "File to write (.tflite); needed without --explain");
  SetUp(app,
        "lathe quantize build/release/nano/decoder.tflite --recipe "
        "dynamic_wi8_afp32 -o /tmp/decoder8.tflite",
        common, Runs::kMeasures);
  if (const auto code = Parse(app, std::move(args), common)) return *code;
  if (out.empty() && !explain) {
    return ReportUsage("-o FILE is needed (or --explain, to write nothing)");
  }
  if (!out.empty()) {
    if (const auto why = WhyNotTarget(out)) {
      return ReportUsage(fmt::format("-o {}: {}", out, *why));
    }
  }

  const auto start = std::chrono::steady_clock::now();
  ProgressLine progress(common.quiet);
  const Threads threads(common.threads);
  options.threads = &threads;
  options.stop = StopFlag();
  options.progress = [&](double fraction) {
    MeasureMemory();
    progress.Show("quantize", fmt::format("{:3.0f} %", 100 * fraction));
  };
  const auto report = Quantize(model, out, options);
  progress.Clear();
  if (!report) return Report(report.error());
  const double ms = MillisecondsSince(start);
  const MemoryUse memory = MeasureMemory();
  for (const RecipeRule& rule : report->rules) {
    if (!rule.problem.empty() && !explain) {
      Warn(fmt::format("{}: {}", rule.rule, rule.problem));
    }
  }
  if (report->ops_quantized == 0) {
    Warn("no operator was quantized; --explain says why");
  }
  if (common.json) {
    Json fields = {{"model", model},
                   {"recipe", options.recipe},
                   {"mode", options.compat ? "compat" : "strict"},
                   {"output", out},
                   {"ops_quantized", report->ops_quantized},
                   {"ops_float", report->ops_float},
                   {"input_bytes", report->input_bytes},
                   {"output_bytes", report->output_bytes},
                   {"predicted", out.empty()},
                   {"threads", threads.count()},
                   {"times_ms", {{"total", ms}}},
                   {"peak_rss_bytes", memory.peak_rss_bytes},
                   {"peak_private_bytes", memory.peak_private_bytes}};
    if (explain) {
      fields["ops"] = OpsJson(*report);
      fields["rules"] = RulesJson(*report);
    }
    PrintJson("quantize", fields);
    return 0;
  }
  if (explain) PrintExplanation(*report);
  fmt::print(
      "{} operators quantized, {} stay float; {} to {}{}\n"
      "{:.1f} s, memory {} ({} private)\n",
      report->ops_quantized, report->ops_float, Bytes(report->input_bytes),
      Bytes(report->output_bytes), out.empty() ? " (predicted)" : "", ms / 1e3,
      Bytes(memory.peak_rss_bytes), Bytes(memory.peak_private_bytes));
  return 0;
}

}  // namespace lathe::cli
