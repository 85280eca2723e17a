// lathe bench: how long one model takes, with what it ran on.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/input_values.h"
#include "cli/open_session.h"
#include "lathe/machine.hpp"

namespace lathe::cli {
int CmdBench(std::vector<std::string> args) {
  CLI::App app(
      "Times a .tflite file: load, first run, median of several. "
      "Inputs are random:0.",
      "lathe bench");
  Common common;
  std::string path, signature;
  int runs = 10, warmup = 1;
  bool steps = false;
  std::vector<std::string> resize;
  app.add_option("MODEL", path, "A .tflite file")->required();
  app.add_option("--signature", signature, "Signature to run (default: first)");
  app.add_option("--runs", runs, "Timed runs, 1 to 100000 (default 10)")
      ->check(CLI::Range(1, 100000));
  app.add_option("--warmup", warmup, "Runs before them (default 1)")
      ->check(CLI::Range(0, 100000));
  app.add_option("--resize", resize,
                 "NAME=D,D,...: gives a resizable input this shape")
      ->allow_extra_args(false);
  app.add_flag("--steps", steps, "Add the time of each kind of step");
  SetUp(app,
        "lathe bench build/release/models/nano/dit.tflite --runs 20 --json",
        common, Runs::kYes);
  if (const auto code = Parse(app, std::move(args), common)) return *code;

  const auto start = std::chrono::steady_clock::now();
  ModelOptions model_options;
  model_options.memory_limit_bytes = common.memory_limit_bytes;
  const auto model = Model::Open(path, model_options);
  if (!model) return Report(model.error());
  Threads threads(common.threads);
  std::vector<double> step_ms;
  SessionOptions options;
  options.signature = signature;
  options.threads = &threads;
  options.isa = common.isa;
  options.stop = StopFlag();
  if (steps) {
    options.on_step = [&](size_t step, double ms) {
      if (step >= step_ms.size()) step_ms.resize(step + 1);
      step_ms[step] += ms;
    };
  }
  auto session = Session::Create(*model, options);
  if (!session) return Report(session.error());
  if (const Status s = ApplyResize(*session, resize); !s) {
    return Report(s.error());
  }
  const double load_ms = MillisecondsSince(start);
  const auto values = InputValues::Parse(*session, {});
  if (!values) return Report(values.error());
  if (const Status s = values->Apply(*session); !s) return Report(s.error());

  double first_ms = 0;
  std::vector<double> times;
  for (int i = 0; i < 1 + warmup + runs; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    if (const Status s = session->Run(); !s) return Report(s.error());
    const double ms = MillisecondsSince(begin);
    if (i == 0) first_ms = ms;
    if (i > warmup) times.push_back(ms);
    if (i == warmup) std::ranges::fill(step_ms, 0.0);
  }
  std::ranges::sort(times);
  const size_t middle = times.size() / 2;
  const double median = times.size() % 2 == 1
                            ? times[middle]
                            : (times[middle - 1] + times[middle]) / 2;
  const MemoryUse memory = MeasureMemory();
  const MachineInfo machine = DescribeMachine();
  double load = 0;
  if (::getloadavg(&load, 1) != 1) load = -1;

  // Times of the same kind of step together, longest first.
  struct Kind {
    std::string name;
    double ms = 0, gflop = 0;
    int count = 0;
  };
  std::vector<Kind> kinds;
  for (size_t i = 0; i < step_ms.size(); ++i) {
    const StepInfo& step = session->steps()[i];
    const std::string name = step.name + " " + step.kernel;
    auto kind = std::ranges::find(kinds, name, &Kind::name);
    if (kind == kinds.end()) kind = kinds.insert(kind, Kind{name});
    kind->ms += step_ms[i] / runs;
    kind->gflop += static_cast<double>(step.flops) / 1e9;
    ++kind->count;
  }
  std::ranges::sort(kinds, std::ranges::greater(), &Kind::ms);

  const std::string isa = common.isa.empty() ? machine.best_isa : common.isa;
  if (common.json) {
    Json fields = {{"model", path},
                   {"signature", signature},
                   {"threads", threads.count()},
                   {"isa", isa},
                   {"precision", "f32"},
                   {"load_ms", load_ms},
                   {"first_ms", first_ms},
                   {"median_ms", median},
                   {"min_ms", times.front()},
                   {"max_ms", times.back()},
                   {"runs", runs},
                   {"peak_rss_bytes", memory.peak_rss_bytes},
                   {"peak_private_bytes", memory.peak_private_bytes},
                   {"arena_bytes", session->stats().arena_bytes},
                   {"weights_bytes", session->stats().packed_bytes},
                   {"machine",
                    {{"cpu", machine.cpu},
                     {"cores", machine.cores},
                     {"isa", machine.best_isa},
                     {"compiler", machine.compiler},
                     {"commit", machine.commit},
                     {"load_average", load}}}};
    for (const Kind& kind : kinds) {
      fields["steps"].push_back({{"name", kind.name},
                                 {"count", kind.count},
                                 {"ms", kind.ms},
                                 {"gflop", kind.gflop}});
    }
    PrintJson("bench", fields);
    return 0;
  }
  fmt::print("{}: median {:.3f} ms (min {:.3f}, max {:.3f}) of {} runs\n", path,
             median, times.front(), times.back(), runs);
  fmt::print("load {:.1f} ms, first run {:.1f} ms\n", load_ms, first_ms);
  fmt::print(
      "{} threads, {}, f32; arena {}, packed weights {}, memory {} ({} "
      "private)\n",
      threads.count(), isa, Bytes(session->stats().arena_bytes),
      Bytes(session->stats().packed_bytes), Bytes(memory.peak_rss_bytes),
      Bytes(memory.peak_private_bytes));
  fmt::print("{}, {} cores, {}, commit {}, load average {:.2f}\n", machine.cpu,
             machine.cores, machine.compiler, machine.commit, load);
  if (steps) {
    std::vector<std::vector<std::string>> rows = {
        {"steps", "ms", "GFLOP/s", "kind"}};
    for (const Kind& kind : kinds) {
      rows.push_back(
          {std::to_string(kind.count), fmt::format("{:.3f}", kind.ms),
           kind.gflop > 0 ? fmt::format("{:.1f}", kind.gflop / kind.ms * 1e3)
                          : "",
           kind.name});
    }
    PrintTable(rows);
  }
  return 0;
}

}  // namespace lathe::cli
