// lathe profile: the time of each step, as a table and as a trace.

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "apps/audio/output_target.h"
#include "cli/command.h"
#include "cli/input_values.h"
#include "cli/open_session.h"
#include "lathe/machine.hpp"
#include "lathe/profile.hpp"

namespace lathe::cli {
namespace {

// The trace event format of Chrome and Perfetto: one complete event ("X") for
// each step of each run, in microseconds.
std::string Trace(const std::string& path, const ProfileFacts& facts,
                  std::span<const StepInfo> steps) {
  Json events = Json::array();
  events.push_back({{"ph", "M"},
                    {"pid", 1},
                    {"tid", 1},
                    {"name", "process_name"},
                    {"args", {{"name", "lathe " + path}}}});
  events.push_back({{"ph", "M"},
                    {"pid", 1},
                    {"tid", 1},
                    {"name", "thread_name"},
                    {"args", {{"name", "steps"}}}});
  for (const StepEvent& event : facts.events) {
    const StepInfo& step = steps[event.step];
    events.push_back({{"ph", "X"},
                      {"pid", 1},
                      {"tid", 1},
                      {"name", step.name},
                      {"cat", "step"},
                      {"ts", event.start_ms * 1e3},
                      {"dur", event.ms * 1e3},
                      {"args",
                       {{"run", event.run},
                        {"step", event.step},
                        {"tensor", step.tensor},
                        {"kernel", step.kernel},
                        {"flops", step.flops}}}});
  }
  return Json({{"displayTimeUnit", "ms"}, {"traceEvents", events}})
             .dump(-1, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

double GigaflopsPerSecond(uint64_t flops, double ms) {
  return ms > 0 ? static_cast<double>(flops) / ms / 1e6 : 0;
}

std::string SpeedWords(uint64_t flops, double ms) {
  if (flops == 0 || !(ms > 0)) return "";
  return fmt::format("{:.1f}", GigaflopsPerSecond(flops, ms));
}

void PrintFacts(const std::string& path, const ProfileFacts& facts, bool group,
                size_t most) {
  fmt::print("{}: {} runs, median {:.3f} ms (min {:.3f}, max {:.3f})\n", path,
             facts.runs, facts.median_ms, facts.min_ms, facts.max_ms);
  std::vector<std::vector<std::string>> rows;
  size_t left = 0;
  if (group) {
    rows = {{"share", "ms", "GFLOP/s", "steps", "name", "kernel"}};
    for (const KindTimes& kind : facts.kinds) {
      rows.push_back({fmt::format("{:5.1f} %", 100 * kind.share),
                      fmt::format("{:.3f}", kind.mean_ms),
                      SpeedWords(kind.flops, kind.mean_ms),
                      std::to_string(kind.steps), kind.name, kind.kernel});
    }
  } else {
    std::vector<StepTimes> steps = facts.steps;
    std::ranges::stable_sort(steps, std::ranges::greater(), &StepTimes::share);
    if (most > 0 && steps.size() > most) {
      left = steps.size() - most;
      steps.resize(most);
    }
    rows = {{"share", "median ms", "min ms", "max ms", "GFLOP/s", "step",
             "name", "kernel", "tensor"}};
    for (const StepTimes& step : steps) {
      rows.push_back({fmt::format("{:5.1f} %", 100 * step.share),
                      fmt::format("{:.3f}", step.median_ms),
                      fmt::format("{:.3f}", step.min_ms),
                      fmt::format("{:.3f}", step.max_ms),
                      SpeedWords(step.info.flops, step.median_ms),
                      std::to_string(step.step), step.info.name,
                      step.info.kernel, step.info.tensor});
    }
  }
  PrintTable(rows);
  if (left > 0) fmt::print("and {} shorter steps\n", left);
  fmt::print("outside the steps: {:.3f} ms\n", facts.outside_ms);
}

// Steps inside loops and branches, whose time is part of the table above.
void PrintInner(const ProfileFacts& facts, size_t most) {
  if (facts.inner.empty()) return;
  std::vector<InnerTimes> inner = facts.inner;
  std::ranges::stable_sort(inner, std::ranges::greater(), &InnerTimes::share);
  if (most > 0 && inner.size() > most) inner.resize(most);
  std::vector<std::vector<std::string>> rows = {
      {"share", "ms", "times", "inside", "step", "name", "kernel", "tensor"}};
  for (const InnerTimes& one : inner) {
    rows.push_back({fmt::format("{:5.1f} %", 100 * one.share),
                    fmt::format("{:.3f}", one.mean_ms),
                    fmt::format("{:g}", one.times),
                    fmt::format("{} {}", one.subgraph, one.subgraph_name),
                    std::to_string(one.step), one.info.name, one.info.kernel,
                    one.info.tensor});
  }
  fmt::print("\ninside called subgraphs, per run:\n");
  PrintTable(rows);
}

Json FactsJson(const ProfileFacts& facts) {
  Json steps = Json::array(), kinds = Json::array(), inner = Json::array();
  for (const StepTimes& step : facts.steps) {
    steps.push_back({{"step", step.step},
                     {"name", step.info.name},
                     {"kernel", step.info.kernel},
                     {"tensor", step.info.tensor},
                     {"flops", step.info.flops},
                     {"share", step.share},
                     {"median_ms", step.median_ms},
                     {"mean_ms", step.mean_ms},
                     {"min_ms", step.min_ms},
                     {"max_ms", step.max_ms}});
  }
  for (const KindTimes& kind : facts.kinds) {
    kinds.push_back({{"name", kind.name},
                     {"kernel", kind.kernel},
                     {"steps", kind.steps},
                     {"flops", kind.flops},
                     {"share", kind.share},
                     {"mean_ms", kind.mean_ms}});
  }
  for (const InnerTimes& one : facts.inner) {
    inner.push_back({{"subgraph", one.subgraph},
                     {"subgraph_name", one.subgraph_name},
                     {"step", one.step},
                     {"name", one.info.name},
                     {"kernel", one.info.kernel},
                     {"tensor", one.info.tensor},
                     {"flops", one.info.flops},
                     {"times", one.times},
                     {"share", one.share},
                     {"mean_ms", one.mean_ms}});
  }
  return {{"runs", facts.runs},
          {"median_ms", facts.median_ms},
          {"mean_ms", facts.mean_ms},
          {"min_ms", facts.min_ms},
          {"max_ms", facts.max_ms},
          {"outside_ms", facts.outside_ms},
          {"steps", steps},
          {"kinds", kinds},
          {"inner", inner}};
}

}  // namespace

int CmdProfile(std::vector<std::string> args) {
  CLI::App app(
      "Times each step of a .tflite file over several runs. Inputs that are "
      "not named are random:0.",
      "lathe profile");
  Common common;
  std::string path, signature, output;
  std::vector<std::string> inputs, resize;
  int runs = 10, warmup = 1;
  size_t most = 0;
  bool group = false;
  app.add_option("MODEL", path, "A .tflite file")->required();
  app.add_option("-o,--output", output,
                 "Write a trace (.json) for ui.perfetto.dev or "
                 "chrome://tracing (default: none)");
  app.add_option("--signature", signature,
                 "Signature to run (default: subgraph 0)");
  app.add_option("--input", inputs, kInputHelp)->allow_extra_args(false);
  app.add_option("--resize", resize,
                 "NAME=D,D,...: gives a resizable input this shape")
      ->allow_extra_args(false);
  app.add_option("--runs", runs, "Timed runs, 1 to 10000 (default 10)")
      ->check(CLI::Range(1, 10000));
  app.add_option("--warmup", warmup, "Runs before them, 0 to 10000 (default 1)")
      ->check(CLI::Range(0, 10000));
  app.add_flag("--group", group, "Steps of one name and kernel together");
  app.add_option("--top", most,
                 "Show only the longest steps in the table, 0 to 1000000 "
                 "(default 0: all)")
      ->check(CLI::Range(0, 1000000));
  SetUp(app,
        "lathe profile build/release/models/nano/decoder.tflite -o "
        "/tmp/trace.json",
        common, Runs::kYes);
  if (const auto code = Parse(app, std::move(args), common)) return *code;

  std::optional<audio::OutputTarget> target;
  if (app.get_option("--output")->count() > 0) {
    if (output == "-") {
      return ReportUsage("-o -: the trace needs a file's name");
    }
    auto checked =
        audio::CheckTarget(output, ".json", audio::Existing::kReplace);
    if (!checked) return Report(checked.error());
    target = *std::move(checked);
  }
  Threads threads(common.threads);
  Profiler profiler;
  SessionOptions options;
  options.signature = signature;
  options.on_step = profiler.OnStep();
  options.on_inner_step = profiler.OnInnerStep();
  auto opened = OpenSession(path, common, threads, options);
  if (!opened) return Report(opened.error());
  Session& session = opened->session;
  if (const Status s = ApplyResize(session, resize); !s) {
    return Report(s.error());
  }
  const auto values = InputValues::Parse(session, inputs);
  if (!values) return Report(values.error());
  if (const Status s = values->Apply(session); !s) return Report(s.error());
  ProgressLine progress(common.quiet);
  for (int i = 0; i < warmup + runs; ++i) {
    progress.Show(i < warmup ? "warm up" : "profile",
                  fmt::format("{}/{}", i + 1, warmup + runs));
    const Status s = i < warmup ? session.Run() : profiler.Run(session);
    if (!s) {
      progress.Clear();
      return Report(s.error());
    }
  }
  progress.Clear();
  const ProfileFacts facts = profiler.Facts(session);
  if (target) {
    const std::string trace = Trace(path, facts, session.steps());
    const Status s =
        audio::WriteTarget(*target, std::as_bytes(std::span(trace)));
    if (!s) return Report(s.error());
  }

  const MemoryUse memory = MeasureMemory();
  const std::vector<std::string> filled = values->Filled(session);
  if (common.json) {
    Json fields = {{"model", path},
                   {"signature", signature},
                   {"threads", threads.count()},
                   {"isa", IsaInUse(common)},
                   {"precision", "f32"},
                   {"filled", filled},
                   {"load_ms", opened->load_ms}};
    fields.update(FactsJson(facts));
    fields["trace"] = output;
    fields["arena_bytes"] = session.stats().arena_bytes;
    fields["peak_rss_bytes"] = memory.peak_rss_bytes;
    fields["peak_private_bytes"] = memory.peak_private_bytes;
    PrintJson("profile", fields);
    return 0;
  }
  PrintFacts(path, facts, group, most);
  PrintInner(facts, most);
  fmt::print("{} threads, {}\n", threads.count(), IsaInUse(common));
  if (target) fmt::print("trace: {}\n", output);
  return 0;
}

}  // namespace lathe::cli
