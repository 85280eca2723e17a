// lathe validate: how far a quantized model is from its float model.

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "apps/audio/metrics/metrics.h"
#include "apps/audio/output_target.h"
#include "cli/command.h"
#include "cli/limits.h"
#include "cli/open_session.h"
#include "cli/overlay.h"
#include "cli/problem.h"
#include "cli/samples.h"
#include "cli/waveform_output.h"
#include "fmt/ranges.h"
#include "lathe/inspect.hpp"
#include "lathe/machine.hpp"
#include "lathe/validate.hpp"

namespace lathe::cli {
namespace {

// Metrics that limits may name: ours, two by a shorter name, and with --audio
// those of sounds.
std::vector<std::string> LimitNames(bool audio) {
  std::vector<std::string> names;
  for (const AccuracyMetric& m : AccuracyMetrics()) names.emplace_back(m.name);
  names.insert(names.end(), {"cosine", "kl"});
  for (const audio::Metric& m : audio::Metrics()) {
    if (audio) names.push_back(fmt::format("audio.{}", m.name));
  }
  return names;
}

const AccuracyMetric* MetricNamed(std::string_view name) {
  if (name == "cosine") name = "cosine_similarity";
  if (name == "kl") name = "kl_divergence";
  const auto all = AccuracyMetrics();
  const auto found = std::ranges::find(all, name, &AccuracyMetric::name);
  return found == all.end() ? nullptr : &*found;
}

// Whether every output keeps to a limit, in its mean over samples; one that
// could not be compared does not.
bool Keeps(const Limit& limit, const ValidateReport& report,
           const std::vector<WaveformOutput>& sounds) {
  const AccuracyMetric* metric = MetricNamed(limit.metric);
  if (metric == nullptr) {
    bool any = false;
    for (const WaveformOutput& sound : sounds) {
      if (!sound.problem.empty()) continue;
      any = true;
      if (!limit.within(sound.Mean(limit.metric.substr(6)))) return false;
    }
    return any;
  }
  if (report.outputs.empty()) return false;
  return std::ranges::all_of(report.outputs, [&](const TensorAccuracy& o) {
    return o.problem.empty() && limit.within(o.mean.*metric->value);
  });
}

Json AccuracyJson(const Accuracy& accuracy) {
  Json json;
  for (const AccuracyMetric& m : AccuracyMetrics()) {
    json[m.name] = accuracy.*m.value;
  }
  return json;
}

Json RowsJson(const std::vector<TensorAccuracy>& rows) {
  constexpr const char* kRoles[] = {"input", "output", "between", "constant"};
  Json list = Json::array();
  for (const TensorAccuracy& row : rows) {
    Json fields = {{"name", row.name},
                   {"tensor", row.tensor},
                   {"role", kRoles[static_cast<size_t>(row.role)]},
                   {"signature", row.signature},
                   {"subgraph", row.subgraph},
                   {"index", row.index},
                   {"op", row.op},
                   {"op_type", row.op_type},
                   {"type", Name(row.type)},
                   {"elements", row.elements},
                   {"comparisons", row.comparisons},
                   {"not_finite", row.not_finite},
                   {"mean", AccuracyJson(row.mean)},
                   {"worst", AccuracyJson(row.worst)},
                   {"problem", row.problem}};
    list.push_back(std::move(fields));
  }
  return list;
}

void PrintRows(std::string_view what, const std::vector<TensorAccuracy>& rows) {
  std::vector<std::vector<std::string>> table = {
      {std::string(what), "SNR dB", "cosine", "mse", "median ratio", "kl",
       "max abs", "operator", ""}};
  for (const TensorAccuracy& row : rows) {
    const Accuracy& a = row.mean;
    table.push_back(
        {row.name, fmt::format("{:.2f}", a.snr_db),
         fmt::format("{:.6f}", a.cosine_similarity),
         fmt::format("{:.3g}", a.mse),
         fmt::format("{:.3g}", a.median_diff_ratio),
         fmt::format("{:.3g}", a.kl_divergence),
         fmt::format("{:.3g}", a.max_abs_diff),
         row.op < 0 ? "" : fmt::format("{} {}", row.op, row.op_type),
         row.problem});
  }
  PrintTable(table);
}

// The `most` tensors of least SNR.
std::vector<TensorAccuracy> Worst(std::vector<TensorAccuracy> rows,
                                  size_t most) {
  std::erase_if(rows, [](const TensorAccuracy& row) {
    return row.comparisons == 0 && row.problem.empty();
  });
  std::ranges::stable_sort(rows, {}, [](const TensorAccuracy& row) {
    return row.problem.empty() ? row.mean.snr_db : -1e9;
  });
  if (rows.size() > most) rows.resize(most);
  return rows;
}

}  // namespace

int CmdValidate(std::vector<std::string> args) {
  CLI::App app(
      "Runs a float .tflite model and what was made of it on the same samples "
      "and compares outputs and all tensors of one name. Exit code 1 when an "
      "output does not keep to a limit.",
      "lathe validate");
  Common common;
  ValidateOptions options;
  std::string reference, quantized, signature, overlay;
  std::string overlay_metric = "snr_db";
  std::vector<std::string> data = {"random"}, metrics, least, most;
  size_t top = 10;
  int rate = 44100;
  bool audio = false;
  app.add_option("FLOAT", reference, "The float model (.tflite)")->required();
  app.add_option("QUANTIZED", quantized, "The model made of it")->required();
  app.add_option("--data", data, fmt::format("{}; default random", kDataHelp));
  app.add_option("--signature", signature,
                 "The signature that --data is about (default: the first; for "
                 "random and folders all)");
  app.add_option("--metric", metrics,
                 fmt::format("What the next --min and --max are for, in every "
                             "output, mean over samples: {}; with --audio "
                             "audio.NAME of lathe listen-test. Of snr, snr_db "
                             "and cosine more is better: give --min",
                             fmt::join(LimitNames(false), ", ")))
      ->allow_extra_args(false);
  app.add_option("--min", least, "Least value of the --metric before it")
      ->allow_extra_args(false);
  app.add_option("--max", most, "Greatest value of the --metric before it")
      ->allow_extra_args(false);
  app.add_flag("--outputs-only", options.outputs_only,
               "Compare outputs alone: faster, and less memory");
  app.add_option("--top", top,
                 "Tensors of least SNR in the table, 0 to 1000000 (default "
                 "10); JSON has all")
      ->check(CLI::Range(0, 1000000));
  app.add_option("--overlay", overlay,
                 "Write data on nodes (.json) for Model Explorer: a value for "
                 "each operator (default: none)");
  app.add_option("--overlay-metric", overlay_metric,
                 "The metric that it shows (default snr_db)");
  app.add_flag("--audio", audio,
               "Also the distances of lathe listen-test of outputs that are "
               "waveforms: [..., channels, samples]");
  app.add_option("--rate", rate,
                 "Samples of these sounds in a second, 8000 to 384000 (default "
                 "44100)")
      ->check(CLI::Range(8000, 384000));
  SetUp(app,
        "lathe quantize build/release/models/nano/decoder.tflite --recipe "
        "dynamic_wi8_afp32 -o /tmp/decoder8.tflite\n"
        "  lathe validate build/release/models/nano/decoder.tflite "
        "/tmp/decoder8.tflite --metric snr_db --min 10",
        common, Runs::kYes);
  if (const auto code = Parse(app, std::move(args), common)) return *code;
  const auto limits = LimitsOf(app, LimitNames(audio));
  if (!limits) return Report(limits.error());
  const AccuracyMetric* shown = MetricNamed(overlay_metric);
  if (shown == nullptr) {
    return ReportUsage(fmt::format("--overlay-metric {}: known are {}",
                                   overlay_metric,
                                   fmt::join(LimitNames(false), ", ")));
  }
  if (!overlay.empty() && options.outputs_only) {
    return ReportUsage("--overlay needs all tensors, not --outputs-only");
  }
  audio::OutputTarget target;
  if (!overlay.empty()) {
    auto checked =
        audio::CheckTarget(overlay, ".json", audio::Existing::kReplace);
    if (!checked) return Report(checked.error());
    target = *std::move(checked);
  }

  const auto start = std::chrono::steady_clock::now();
  const auto facts = Inspect(reference);
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
    progress.Show("validate", fmt::format("{}/{}", done, of));
  };
  std::vector<WaveformOutput> sounds;
  if (audio) {
    options.on_output = [&](const TensorInfo& output, std::span<const float> r,
                            std::span<const float> t) -> Status {
      AddWaveform(output, r, t, rate, sounds);
      return {};
    };
  }
  const auto report = Validate(reference, quantized, *samples, options);
  progress.Clear();
  if (!report) return Report(report.error());
  if (!overlay.empty()) {
    const std::string text = Overlay(*report, *shown).dump(1) + "\n";
    if (const Status s = WriteTarget(
            target, std::as_bytes(std::span(text.data(), text.size())));
        !s) {
      return Report(s.error());
    }
  }
  const double ms = MillisecondsSince(start);
  const MemoryUse memory = MeasureMemory();
  if (report->outputs.empty()) {
    Warn("the signature has no outputs; no limit is kept");
  }
  for (const TensorAccuracy& row : report->outputs) {
    if (row.not_finite == 0) continue;
    Warn(
        fmt::format("output \"{}\" of the quantized model holds {} values "
                    "that are not finite; NaN counts as 1e-9, infinity as 1e9",
                    row.name, row.not_finite));
  }
  Json kept = Json::array();
  bool within = true;
  for (const Limit& limit : *limits) {
    const bool fine = Keeps(limit, *report, sounds);
    within = within && fine;
    kept.push_back(LimitJson(limit, fine));
  }
  if (common.json) {
    Json fields = {{"float", reference},
                   {"quantized", quantized},
                   {"float_bytes", report->reference_bytes},
                   {"quantized_bytes", report->quantized_bytes},
                   {"samples", report->samples},
                   {"isa", IsaInUse(common)},
                   {"threads", threads.count()},
                   {"within", within},
                   {"limits", kept},
                   {"outputs", RowsJson(report->outputs)}};
    if (audio) fields["audio"] = WaveformsJson(sounds);
    if (!options.outputs_only) {
      fields["tensors"] = RowsJson(report->tensors);
      fields["constants"] = RowsJson(report->constants);
    }
    fields.update({{"unmatched", report->unmatched},
                   {"overlay", overlay},
                   {"times_ms", {{"total", ms}}},
                   {"kept_bytes", report->kept_bytes},
                   {"peak_rss_bytes", memory.peak_rss_bytes},
                   {"peak_private_bytes", memory.peak_private_bytes}});
    PrintJson("validate", fields);
    return within ? 0 : 1;
  }
  if (!options.outputs_only && top > 0) {
    PrintRows("worst tensors", Worst(report->tensors, top));
    fmt::print("\n");
    if (!report->constants.empty()) {
      PrintRows("worst weights", Worst(report->constants, top));
      fmt::print("\n");
    }
  }
  PrintRows("output", report->outputs);
  for (const WaveformOutput& sound : sounds) PrintWaveform(sound);
  fmt::print(
      "{} samples, {} tensors compared, {} without a counterpart; {} to {}\n"
      "{:.1f} s, memory {} ({} private), {} of it values kept\n",
      report->samples, report->tensors.size() + report->outputs.size(),
      report->unmatched, Bytes(report->reference_bytes),
      Bytes(report->quantized_bytes), ms / 1e3, Bytes(memory.peak_rss_bytes),
      Bytes(memory.peak_private_bytes), Bytes(report->kept_bytes));
  for (const Json& limit : kept) {
    if (limit["within"] == true) continue;
    fmt::print("beyond: {}{}{}\n", limit["metric"].get<std::string>(),
               limit["min"].is_null() ? "" : " --min " + limit["min"].dump(),
               limit["max"].is_null() ? "" : " --max " + limit["max"].dump());
  }
  if (!limits->empty() && within) fmt::print("within the limits\n");
  return within ? 0 : 1;
}

}  // namespace lathe::cli
