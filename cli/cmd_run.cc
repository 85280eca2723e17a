// lathe run: a .tflite file on given inputs.

#include <chrono>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/input_values.h"
#include "cli/open_session.h"
#include "cli/output_folder.h"
#include "cli/problem.h"
#include "lathe/machine.hpp"

namespace lathe::cli {
namespace {

struct Times {
  double load_ms = 0, first_ms = 0, run_ms = 0;  // run: the last one.
};

struct Wanted {
  int steps = 1, repeat = 1;
};

Status RunSteps(Session& session, const InputValues& values,
                const Wanted& wanted, OutputFolder& folder,
                ProgressLine& progress, Times& times) {
  for (int step = 0; step < wanted.steps; ++step) {
    if (wanted.steps > 1) {
      progress.Show("run", fmt::format("{}/{}", step + 1, wanted.steps));
    }
    if (Status s = values.Apply(session, step); !s) return s;
    for (int i = 0; i < wanted.repeat; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      if (Status s = session.Run(); !s) return s;
      times.run_ms = MillisecondsSince(begin);
      if (step == 0 && i == 0) times.first_ms = times.run_ms;
    }
    const std::string suffix =
        wanted.steps > 1 ? fmt::format(".s{}", step) : std::string();
    if (Status s = AddOutputs(session, suffix, folder); !s) return s;
  }
  if (folder.wanted()) {
    const std::string list = DescribeOutputs(session).dump(
        2, ' ', false, Json::error_handler_t::replace);
    const std::string text = list + "\n";
    const auto bytes = std::as_bytes(std::span(text));
    if (Status s = folder.Add("outputs.json", bytes); !s) return s;
  }
  if (StopFlag()->load()) {
    return Trouble(ErrorCode::kInterrupted, "interrupted");
  }
  return folder.Commit();
}

}  // namespace

int CmdRun(std::vector<std::string> args) {
  CLI::App app("Runs a .tflite file. Inputs that are not named are random:0.",
               "lathe run");
  Common common;
  std::string path, signature, dir;
  std::vector<std::string> inputs;
  Wanted wanted;
  app.add_option("MODEL", path, "A .tflite file")->required();
  app.add_option("--signature", signature,
                 "Signature to run (default: subgraph 0, with the order of its "
                 "own lists)");
  app.add_option(
         "--input", inputs,
         std::string(kInputHelp) + "; {step} in a path becomes 0 to N-1")
      ->allow_extra_args(false);
  app.add_option("--steps", wanted.steps,
                 "Runs in one session, state is kept, 1 to 1000000 (default 1)")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--repeat", wanted.repeat,
                 "Times each step is run, 1 to 1000000 (default 1)")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--output", dir,
                 "Folder for out<index>.npy (strings: .json), with several "
                 "steps out<index>.s<step>.npy, and outputs.json");
  SetUp(app,
        "lathe run build/release/models/nano/decoder.tflite --input "
        "latent=random:1 --output /tmp",
        common, Runs::kYes);
  if (const auto code = Parse(app, std::move(args), common)) return *code;

  auto folder = OutputFolder::Check(dir);
  if (!folder) return Report(folder.error());
  Threads threads(common.threads);
  SessionOptions options;
  options.signature = signature;
  auto opened = OpenSession(path, common, threads, options);
  if (!opened) return Report(opened.error());
  Session& session = opened->session;
  const auto values = InputValues::Parse(session, inputs, wanted.steps);
  if (!values) return Report(values.error());
  Times times;
  times.load_ms = opened->load_ms;
  ProgressLine progress(common.quiet);
  if (Status s = RunSteps(session, *values, wanted, *folder, progress, times);
      !s) {
    progress.Clear();
    return Report(s.error());
  }
  progress.Clear();

  const MemoryUse memory = MeasureMemory();
  const std::vector<std::string> filled = values->Filled(session);
  if (common.json) {
    PrintJson("run", {{"model", path},
                      {"signature", signature},
                      {"inputs", values->Describe(session)},
                      {"outputs", DescribeOutputs(session)},
                      {"filled", filled},
                      {"steps", wanted.steps},
                      {"threads", threads.count()},
                      {"isa", IsaInUse(common)},
                      {"precision", "f32"},
                      {"times_ms",
                       {{"load", times.load_ms},
                        {"first", times.first_ms},
                        {"run", times.run_ms}}},
                      {"peak_rss_bytes", memory.peak_rss_bytes},
                      {"peak_private_bytes", memory.peak_private_bytes},
                      {"arena_bytes", session.stats().arena_bytes}});
    return 0;
  }
  for (const std::string& name : filled) {
    fmt::print("input \"{}\" was filled with random:0\n", name);
  }
  for (const TensorInfo& output : session.outputs()) {
    fmt::print("output \"{}\" {} {}\n", output.name, Name(output.type),
               ShapeWords(output.shape));
  }
  fmt::print(
      "load {:.1f} ms, first {:.1f} ms, run {:.1f} ms, {} threads, {}, arena "
      "{}\n",
      times.load_ms, times.first_ms, times.run_ms, threads.count(),
      IsaInUse(common), Bytes(session.stats().arena_bytes));
  return 0;
}

}  // namespace lathe::cli
