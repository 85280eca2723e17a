// lathe calibrate: a float model and samples to statistics of its tensors.

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "apps/audio/output_target.h"
#include "cli/command.h"
#include "cli/open_session.h"
#include "cli/samples.h"
#include "fmt/ranges.h"
#include "lathe/calibrate.hpp"
#include "lathe/inspect.hpp"
#include "lathe/machine.hpp"

namespace lathe::cli {
namespace {

std::vector<std::string> MethodNames() {
  std::vector<std::string> names;
  for (const CalibrationMethod method : CalibrationMethods()) {
    names.emplace_back(Name(method));
  }
  return names;
}

void WarnAboutSuspects(const CalibrateReport& report) {
  constexpr size_t kMost = 5;
  std::vector<std::string> nans;
  for (const TensorRange& tensor : report.tensors) {
    if (tensor.nans == 0) continue;
    if (nans.size() < kMost) {
      nans.push_back(fmt::format("\"{}\" ({})", tensor.name, tensor.nans));
    } else if (nans.size() == kMost) {
      nans.emplace_back("...");
    }
  }
  if (!nans.empty()) {
    Warn(fmt::format("NaN, left out of ranges, in {}", fmt::join(nans, ", ")));
  }
  if (!report.not_reached.empty()) {
    Warn(fmt::format("no sample reached: {}; their tensors have no statistics",
                     fmt::join(report.not_reached, ", ")));
  }
}

}  // namespace

int CmdCalibrate(std::vector<std::string> args) {
  CLI::App app(
      "Runs a float .tflite model on samples and writes which values its "
      "tensors take, for lathe quantize --stats.",
      "lathe calibrate");
  Common common;
  CalibrateOptions options;
  std::string model, out, method(Name(options.method)), signature;
  std::vector<std::string> data;
  app.add_option("MODEL", model, "The float model (.tflite)")->required();
  app.add_option("--data", data, kDataHelp)->required();
  app.add_option("--signature", signature,
                 "The signature that --data is about (default: the first; for "
                 "random and folders all)");
  app.add_option(
         "--method", method,
         "What a range is: minmax, the extremes of all samples (default); "
         "moving-average, 0.95 old + 0.05 new of each sample's, as AI Edge "
         "Quantizer; percentile, all but some values; entropy, the clip that "
         "changes the distribution least")
      ->check(CLI::IsMember(MethodNames()));
  auto* percentile =
      app.add_option("--percentile", options.percentile,
                     "For --method percentile: the part of the values inside "
                     "each end, 50 to 100 (default 99.99)")
          ->check(CLI::Range(50.0, 100.0));
  app.add_flag("--moments", options.moments,
               "Also mean squares of the inputs of FULLY_CONNECTED, for OSCAR");
  app.add_flag("--hessians", options.hessians,
               "Also X^T X of these inputs, for GPTQ: width^2 floats for each "
               "tensor, at most 4 GiB in all");
  app.add_option("-o,--output", out, "File to write (.json)")->required();
  SetUp(app,
        "lathe calibrate build/release/models/nano/decoder.tflite --data "
        "random:8 -o /tmp/stats.json",
        common, Runs::kYes);
  if (const auto code = Parse(app, std::move(args), common)) return *code;
  options.method =
      *std::ranges::find(CalibrationMethods(), method,
                         [](CalibrationMethod each) { return Name(each); });
  if (percentile->count() > 0 &&
      options.method != CalibrationMethod::kPercentile) {
    return ReportUsage("--percentile needs --method percentile");
  }
  const auto target =
      audio::CheckTarget(out, ".json", audio::Existing::kReplace);
  if (!target) return Report(target.error());

  const auto start = std::chrono::steady_clock::now();
  const auto facts = Inspect(model);
  if (!facts) return Report(facts.error());
  const auto samples = ReadSamples(facts->signatures, data, signature);
  if (!samples) return Report(samples.error());
  ProgressLine progress(common.quiet);
  const Threads threads(common.threads);
  options.threads = &threads;
  options.isa = common.isa;
  options.memory_limit_bytes = common.memory_limit_bytes;
  options.stop = StopFlag();
  options.progress = [&](uint64_t done, uint64_t of) {
    MeasureMemory();
    progress.Show("calibrate", fmt::format("{}/{}", done, of));
  };
  const auto report = Calibrate(model, *samples, out, options);
  progress.Clear();
  if (!report) return Report(report.error());
  const double ms = MillisecondsSince(start);
  const MemoryUse memory = MeasureMemory();
  WarnAboutSuspects(*report);
  std::error_code ignored;
  const uint64_t bytes = std::filesystem::is_regular_file(out, ignored)
                             ? std::filesystem::file_size(out, ignored)
                             : 0;
  if (common.json) {
    Json tensors = Json::array();
    for (const TensorRange& tensor : report->tensors) {
      tensors.push_back({{"name", tensor.name},
                         {"min", tensor.low},
                         {"max", tensor.high},
                         {"seen", tensor.values_seen},
                         {"nans", tensor.nans}});
    }
    PrintJson("calibrate", {{"model", model},
                            {"method", method},
                            {"output", out},
                            {"output_bytes", bytes},
                            {"samples", report->samples},
                            {"moments", report->moments},
                            {"hessians", report->hessians},
                            {"not_reached", report->not_reached},
                            {"isa", IsaInUse(common)},
                            {"threads", threads.count()},
                            {"times_ms", {{"total", ms}}},
                            {"statistics_bytes", report->statistics_bytes},
                            {"peak_rss_bytes", memory.peak_rss_bytes},
                            {"peak_private_bytes", memory.peak_private_bytes},
                            {"tensors", tensors}});
    return 0;
  }
  fmt::print("{} tensors over {} samples ({}){} to {}\n",
             report->tensors.size(), report->samples, method,
             report->moments + report->hessians == 0
                 ? ""
                 : fmt::format(", {} with mu2, {} with Hessians",
                               report->moments, report->hessians),
             out);
  fmt::print("{:.1f} s, memory {} ({} private), {} of it statistics\n",
             ms / 1e3, Bytes(memory.peak_rss_bytes),
             Bytes(memory.peak_private_bytes), Bytes(report->statistics_bytes));
  return 0;
}

}  // namespace lathe::cli
