// lathe listen-test: how far one sound is from another, by formulas.

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/audio/audio_file.h"
#include "apps/audio/metrics/metrics.h"
#include "cli/command.h"
#include "cli/limits.h"
#include "cli/problem.h"
#include "lathe/machine.hpp"

namespace lathe::cli {
namespace {

using audio::Metric;
using audio::SoundDistance;
using audio::StoredSound;

std::vector<std::string> MetricNames() {
  std::vector<std::string> names;
  for (const Metric& metric : audio::Metrics()) names.emplace_back(metric.name);
  names.emplace_back("drift");
  return names;
}

// A number that is told and that a limit may be set on.
struct Value {
  std::string_view name;
  double value;
  std::string_view says;
};

std::vector<Value> ValuesOf(const SoundDistance& d,
                            const std::optional<double>& drift) {
  std::vector<Value> values;
  for (const Metric& metric : audio::Metrics()) {
    values.push_back({metric.name, d.*metric.value, metric.says});
  }
  if (drift) {
    values.push_back(
        {"drift", *drift,
         "of the distance to other seeds; 0 when equal, 1 another draw"});
  }
  return values;
}

bool Keeps(const std::vector<Value>& values, const Limit& limit) {
  return limit.within(
      std::ranges::find(values, limit.metric, &Value::name)->value);
}

Json SoundJson(const std::string& path, const StoredSound& sound, double lufs,
               double peak) {
  return {{"path", path},
          {"rate", sound.sample_rate},
          {"channels", sound.channels},
          {"frames", sound.frames},
          {"lufs", lufs},
          {"true_peak_dbtp", peak}};
}

void PrintResult(const SoundDistance& d, const std::vector<Value>& values,
                 const std::vector<Limit>& limits, bool within) {
  std::vector<std::vector<std::string>> table = {
      {"metric", "value", "", ""},
      {"loudness, LUFS",
       fmt::format("{:.2f}, {:.2f}", d.reference_lufs, d.other_lufs), "",
       "reference, other"},
      {"true peak, dBTP",
       fmt::format("{:.2f}, {:.2f}", d.reference_peak_dbtp, d.other_peak_dbtp),
       "", "reference, other"}};
  for (const Value& value : values) {
    std::string verdict;
    for (const Limit& limit : limits) {
      if (limit.metric == value.name && !limit.within(value.value)) {
        verdict = "beyond";
      }
    }
    table.push_back({std::string(value.name),
                     fmt::format("{:.6g}", value.value), verdict,
                     std::string(value.says)});
  }
  PrintTable(table);
  if (limits.empty()) return;
  fmt::print("{}\n", within ? "within the limits" : "beyond the limits");
}

}  // namespace

int CmdListenTest(std::vector<std::string> args) {
  CLI::App app(
      "How far a sound is from a reference of the same rate, length and number "
      "of channels: in time, in spectra, in loudness, and to an ear. Exit code "
      "1 when a limit is not kept.",
      "lathe listen-test");
  Common common;
  std::string reference_path, other_path;
  std::vector<std::string> metrics, least, most, seed_paths;
  app.add_option("REFERENCE", reference_path, "A sound file, as it should be")
      ->required();
  app.add_option("OTHER", other_path, "A sound file")->required();
  app.add_option("--metric", metrics,
                 fmt::format("What the next --min and --max are for: {}",
                             fmt::join(MetricNames(), ", ")))
      ->allow_extra_args(false);
  app.add_option("--min", least, "Least value of the --metric before it")
      ->allow_extra_args(false);
  app.add_option("--max", most, "Greatest value of the --metric before it")
      ->allow_extra_args(false);
  app.add_option("--seeds", seed_paths,
                 "Sounds of the reference's prompt and other seeds: drift is "
                 "told as a fraction of the distance to them");
  SetUp(app,
        "lathe generate rain --seconds 2 --seed 1 -o a.wav\n"
        "  lathe generate rain --seconds 2 --seed 1 --steps 4 -o b.wav\n"
        "  lathe listen-test a.wav b.wav --metric nsim --min 0.5",
        common, Runs::kNo);
  if (const auto code = Parse(app, std::move(args), common)) return *code;
  const auto limits = LimitsOf(app, MetricNames());
  if (!limits) return Report(limits.error());
  if (seed_paths.empty()) {
    for (const Limit& limit : *limits) {
      if (limit.metric != "drift") continue;
      return ReportUsage("--metric drift: expected --seeds FILE");
    }
  }

  Problems problems;
  auto reference = audio::ReadSound(reference_path);
  problems.Add(reference);
  auto other = audio::ReadSound(other_path);
  problems.Add(other);
  std::vector<StoredSound> seeds;
  for (const std::string& path : seed_paths) {
    auto seed = audio::ReadSound(path);
    problems.Add(seed);
    if (seed) seeds.push_back(*std::move(seed));
  }
  if (const Status s = problems.Finish(); !s) return Report(s.error());
  const StopsAtOnce stops;
  const auto d = audio::CompareSounds(reference->view(), other->view());
  if (!d) {
    return Report({d.error().code, fmt::format("{}, {}: {}", reference_path,
                                               other_path, d.error().message)});
  }
  std::optional<double> drift;
  if (!seeds.empty()) {
    std::vector<audio::SoundView> views;
    for (const StoredSound& seed : seeds) views.push_back(seed.view());
    const auto found =
        audio::Drift(reference->view(), d->log_mel_distance, views);
    if (!found) {
      return Report({found.error().code,
                     fmt::format("--seeds: {}", found.error().message)});
    }
    drift = *found;
  }
  const std::vector<Value> values = ValuesOf(*d, drift);
  const bool within = std::ranges::all_of(
      *limits, [&](const Limit& limit) { return Keeps(values, limit); });
  if (!common.json) {
    PrintResult(*d, values, *limits, within);
    return within ? 0 : 1;
  }
  Json numbers, kept = Json::array();
  for (const Value& value : values) numbers[value.name] = value.value;
  for (const Limit& limit : *limits) {
    kept.push_back(LimitJson(limit, Keeps(values, limit)));
  }
  const MemoryUse memory = MeasureMemory();
  PrintJson(
      "listen-test",
      {{"reference", SoundJson(reference_path, *reference, d->reference_lufs,
                               d->reference_peak_dbtp)},
       {"other",
        SoundJson(other_path, *other, d->other_lufs, d->other_peak_dbtp)},
       {"metrics", numbers},
       {"limits", kept},
       {"within", within},
       {"peak_rss_bytes", memory.peak_rss_bytes},
       {"peak_private_bytes", memory.peak_private_bytes}});
  return within ? 0 : 1;
}

}  // namespace lathe::cli
