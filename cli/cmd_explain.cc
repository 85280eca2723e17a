// lathe explain: steps, kernels and the arena's map of a model.

#include <algorithm>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/input_values.h"
#include "cli/open_session.h"
#include "fmt/ranges.h"
#include "lathe/explain.hpp"

namespace lathe::cli {
namespace {

// The part that a called subgraph has too.
Json SubgraphJson(const PlanFacts& facts) {
  Json steps = Json::array(), stages = Json::array(), arena = Json::array(),
       none = Json::array();
  for (size_t i = 0; i < facts.steps.size(); ++i) {
    const PlannedStep& step = facts.steps[i];
    steps.push_back({{"index", i},
                     {"name", step.name},
                     {"kernel", step.kernel},
                     {"isa", step.isa},
                     {"ops", step.ops},
                     {"op_names", step.op_names},
                     {"tensor", step.tensor},
                     {"tensor_name", step.tensor_name},
                     {"flops", step.flops},
                     {"scratch_bytes", step.scratch_bytes},
                     {"packed_bytes", step.packed_bytes},
                     {"stage", step.stage},
                     {"calls", step.calls}});
  }
  for (const PlannedStage& stage : facts.stages) {
    stages.push_back({{"first_op", stage.first_op},
                      {"end_op", stage.end_op},
                      {"first_step", stage.first_step},
                      {"steps", stage.steps},
                      {"arena_bytes", stage.arena_bytes},
                      {"peak_step", stage.peak_step},
                      {"waits_for", stage.waits_for}});
  }
  for (const ArenaBlock& block : facts.arena) {
    arena.push_back({{"stage", block.stage},
                     {"tensor", block.tensor},
                     {"name", block.name},
                     {"type", Name(block.type)},
                     {"shape", block.shape},
                     {"offset", block.offset},
                     {"bytes", block.bytes},
                     {"first_step", block.first_step},
                     {"last_step", block.last_step}});
  }
  for (const auto& [op, why] : facts.without_step) {
    none.push_back({{"op", op}, {"why", why}});
  }
  Json called = Json::array();
  for (const PlanFacts& one : facts.called) {
    called.push_back(SubgraphJson(one));
  }
  return {{"subgraph", facts.subgraph},
          {"subgraph_name", facts.subgraph_name},
          {"ops", facts.ops},
          {"arena_bytes", facts.arena_bytes},
          {"peak_step", facts.peak_step},
          {"peak_bytes", facts.peak_bytes},
          {"unplanned", facts.unplanned},
          {"stages", stages},
          {"steps", steps},
          {"without_step", none},
          {"arena", arena},
          {"called", called}};
}

Json FactsJson(const PlanFacts& facts) {
  Json fields = SubgraphJson(facts);
  fields["isa"] = facts.isa;
  fields["threads"] = facts.threads;
  fields["precision"] = "f32";
  fields["packed_bytes"] = facts.packed_bytes;
  return fields;
}

std::string FlopWords(uint64_t flops) {
  if (flops == 0) return "";
  const double value = static_cast<double>(flops);
  return flops >= 1'000'000 ? fmt::format("{:.1f} MFLOP", value / 1e6)
                            : fmt::format("{:.1f} kFLOP", value / 1e3);
}

std::string BytesOrNothing(uint64_t bytes) {
  return bytes == 0 ? "" : Bytes(bytes);
}

void PrintSteps(const PlanFacts& facts) {
  std::vector<std::vector<std::string>> rows = {
      {"step", "name", "kernel", "isa", "operators", "work", "scratch",
       "packed", "tensor"}};
  size_t stage = 0;
  for (size_t i = 0; i < facts.steps.size(); ++i) {
    const PlannedStep& step = facts.steps[i];
    if (step.stage != stage) {
      stage = step.stage;
      PrintTable(rows);
      rows.resize(1);
      fmt::print("\nstage {}: {}\n", stage, facts.stages[stage].waits_for);
    }
    std::string ops = fmt::format("{}", fmt::join(step.ops, " "));
    if (step.ops.size() > 1) {
      ops += fmt::format(" ({})", fmt::join(step.op_names, " "));
    }
    if (!step.calls.empty()) {
      ops += fmt::format(", runs subgraph {}", fmt::join(step.calls, ", "));
    }
    rows.push_back({std::to_string(i), step.name,
                    step.kernel.empty() ? "-" : step.kernel,
                    step.isa.empty() ? "-" : step.isa, ops,
                    FlopWords(step.flops), BytesOrNothing(step.scratch_bytes),
                    BytesOrNothing(step.packed_bytes), step.tensor_name});
  }
  PrintTable(rows);
}

// What steps call, and what that calls.
void PrintCalled(const PlanFacts& facts) {
  for (const PlannedStep& step : facts.steps) {
    for (const uint32_t subgraph : step.calls) {
      const auto found =
          std::ranges::find(facts.called, subgraph, &PlanFacts::subgraph);
      if (found != facts.called.end()) continue;
      fmt::print(
          "\nsubgraph {}, which {} \"{}\" runs, is planned when it first "
          "does\n",
          subgraph, step.name, step.tensor_name);
    }
  }
  for (const PlanFacts& one : facts.called) {
    fmt::print(
        "\nsubgraph {} \"{}\", run by subgraph {}: {} operators in {} "
        "steps and {} stages\n",
        one.subgraph, one.subgraph_name, facts.subgraph, one.ops,
        one.steps.size(), one.stages.size());
    PrintSteps(one);
    if (!one.unplanned.empty()) fmt::print("{}\n", one.unplanned);
    PrintCalled(one);
  }
}

void Print(const std::string& path, const PlanFacts& facts) {
  fmt::print(
      "{}: subgraph {}, {} operators in {} steps and {} stages; {}, {} "
      "threads\n\n",
      path, facts.subgraph, facts.ops, facts.steps.size(), facts.stages.size(),
      facts.isa, facts.threads);
  PrintSteps(facts);
  if (!facts.unplanned.empty()) fmt::print("\n{}\n", facts.unplanned);
  if (!facts.without_step.empty()) {
    fmt::print("\n");
    std::vector<std::vector<std::string>> rows = {
        {"operator", "has no step because its result is"}};
    for (const auto& [op, why] : facts.without_step) {
      rows.push_back({std::to_string(op), why});
    }
    PrintTable(rows);
  }
  if (!facts.arena.empty()) {
    fmt::print("\n");
    std::vector<std::vector<std::string>> rows = {
        {"stage", "offset", "bytes", "steps", "tensor", "type", "name"}};
    for (const ArenaBlock& block : facts.arena) {
      rows.push_back({std::to_string(block.stage), std::to_string(block.offset),
                      std::to_string(block.bytes),
                      fmt::format("{}-{}", block.first_step, block.last_step),
                      block.tensor < 0 ? "-" : std::to_string(block.tensor),
                      block.tensor < 0 ? ""
                                       : fmt::format("{} {}", Name(block.type),
                                                     ShapeWords(block.shape)),
                      block.name});
    }
    PrintTable(rows);
  }
  PrintCalled(facts);
  fmt::print("\narena {}", Bytes(facts.arena_bytes));
  if (!facts.steps.empty()) {
    fmt::print(", most alive in step {} ({})", facts.peak_step,
               Bytes(facts.peak_bytes));
  }
  fmt::print("; packed weights {}\n", Bytes(facts.packed_bytes));
}

}  // namespace

int CmdExplain(std::vector<std::string> args) {
  CLI::App app(
      "Shows what runs for a .tflite file: steps with their kernels and fused "
      "operators, stages, the arena's map, packed weights.",
      "lathe explain");
  Common common;
  std::string path, signature;
  std::vector<std::string> inputs, resize;
  bool run = false;
  app.add_option("MODEL", path, "A .tflite file")->required();
  app.add_option("--signature", signature,
                 "Signature to explain (default: subgraph 0)");
  app.add_option("--resize", resize,
                 "NAME=D,D,...: gives a resizable input this shape")
      ->allow_extra_args(false);
  app.add_flag("--run", run,
               "Run once first, on random:0 unless --input says otherwise: "
               "shows stages that wait for values");
  app.add_option("--input", inputs,
                 std::string("Runs once first. ") + kInputHelp)
      ->allow_extra_args(false);
  SetUp(app, "lathe explain build/release/models/nano/decoder.tflite", common,
        Runs::kYes);
  if (const auto code = Parse(app, std::move(args), common)) return *code;

  Threads threads(common.threads);
  SessionOptions options;
  options.signature = signature;
  auto opened = OpenSession(path, common, threads, options);
  if (!opened) return Report(opened.error());
  Session& session = opened->session;
  if (const Status s = ApplyResize(session, resize); !s) {
    return Report(s.error());
  }
  if (run || !inputs.empty()) {
    const auto values = InputValues::Parse(session, inputs);
    if (!values) return Report(values.error());
    if (const Status s = values->Apply(session); !s) return Report(s.error());
    if (const Status s = session.Run(); !s) return Report(s.error());
  }
  const auto facts = Explain(session);
  if (!facts) return Report(facts.error());
  if (StopFlag()->load()) return Report({ErrorCode::kInterrupted, ""});
  if (common.json) {
    Json fields = {{"model", path}, {"signature", signature}};
    fields.update(FactsJson(*facts));
    PrintJson("explain", fields);
  } else {
    Print(path, *facts);
  }
  return 0;
}

}  // namespace lathe::cli
