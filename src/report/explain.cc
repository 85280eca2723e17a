#include "src/report/explain.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "fmt/ranges.h"
#include "src/base/cpu.h"
#include "src/graph/verify_parts.h"

namespace lathe::report {
namespace {

std::string OpName(const graph::Op& op) {
  return op.code == graph::OpCode::kCustom ? op.custom_name
                                           : std::string(Name(op.code));
}

std::string Place(const graph::Subgraph& subgraph, size_t op) {
  const graph::Op& at = subgraph.ops[op];
  return fmt::format(
      "operator {} {} \"{}\"", op, OpName(at),
      at.outputs.empty() ? "" : subgraph.tensors[at.outputs[0]].name);
}

// Kernels end in their level: "conv_f32_6x64_avx512/direct".
std::string IsaOf(std::string_view kernel) {
  for (size_t i = 0; i < kernel.size();) {
    size_t end = i;
    while (end < kernel.size() &&
           std::isalnum(static_cast<unsigned char>(kernel[end]))) {
      ++end;
    }
    if (const auto isa = IsaNamed(kernel.substr(i, end - i))) {
      return std::string(Name(*isa));
    }
    i = end + 1;
  }
  return {};
}

PlannedStep Describe(const graph::Subgraph& subgraph, const plan::Plan& plan,
                     const plan::Step& step) {
  PlannedStep facts;
  facts.name = step.name;
  facts.kernel = step.kernel;
  facts.isa = IsaOf(step.kernel);
  facts.ops = step.ops;
  for (const uint32_t op : step.ops) {
    facts.op_names.push_back(OpName(subgraph.ops[op]));
  }
  if (!step.outputs.empty()) {
    facts.tensor = step.outputs[0];
    facts.tensor_name = plan.tensors[step.outputs[0]].name;
  }
  facts.flops = step.flops;
  facts.scratch_bytes = step.scratch_bytes;
  facts.packed_bytes = step.packed_bytes;
  return facts;
}

PlannedStep DescribeBetween(const graph::Subgraph& subgraph, size_t index) {
  const graph::Op& op = subgraph.ops[index];
  PlannedStep facts;
  facts.name = OpName(op);
  facts.ops = {static_cast<uint32_t>(index)};
  facts.op_names = {facts.name};
  if (!op.outputs.empty()) {
    facts.tensor = op.outputs[0];
    facts.tensor_name = subgraph.tensors[op.outputs[0]].name;
  }
  for (const int64_t called : graph::CalledSubgraphs(op)) {
    facts.calls.push_back(static_cast<uint32_t>(called));
  }
  return facts;
}

// Bytes alive in each step of a stage go into `live`, by the session's steps.
void AddArena(const plan::Plan& plan, size_t stage, size_t first_step,
              PlanFacts& facts, std::vector<uint64_t>& live) {
  std::vector<ArenaBlock> blocks;
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    const plan::PlanTensor& tensor = plan.tensors[i];
    if (tensor.home != plan::Home::kArena ||
        tensor.root != static_cast<int32_t>(i) ||
        tensor.first_step > tensor.last_step) {
      continue;
    }
    blocks.push_back({.stage = stage,
                      .tensor = static_cast<int32_t>(i),
                      .name = tensor.name,
                      .type = static_cast<ElementType>(tensor.type),
                      .shape = tensor.shape,
                      .offset = tensor.offset,
                      .bytes = tensor.bytes,
                      .first_step = first_step + tensor.first_step,
                      .last_step = first_step + tensor.last_step});
  }
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const plan::Step& step = plan.steps[i];
    if (step.scratch_bytes == 0) continue;
    blocks.push_back({.stage = stage,
                      .name = fmt::format("scratch of {}", step.name),
                      .type = ElementType::kUint8,
                      .shape = {},
                      .offset = step.scratch_offset,
                      .bytes = step.scratch_bytes,
                      .first_step = first_step + i,
                      .last_step = first_step + i});
  }
  for (const plan::SharedSpace& space : plan.shared) {
    blocks.push_back({.stage = stage,
                      .name = "kept for later steps",
                      .type = ElementType::kUint8,
                      .shape = {},
                      .offset = space.offset,
                      .bytes = space.bytes,
                      .first_step = first_step + space.first_step,
                      .last_step = first_step + space.last_step});
  }
  std::ranges::stable_sort(blocks, [](const auto& a, const auto& b) {
    return std::pair(a.offset, a.first_step) <
           std::pair(b.offset, b.first_step);
  });
  for (const ArenaBlock& block : blocks) {
    if (live.size() <= block.last_step) live.resize(block.last_step + 1);
    for (size_t i = block.first_step; i <= block.last_step; ++i) {
      live[i] += block.bytes;
    }
  }
  facts.arena.insert(facts.arena.end(), blocks.begin(), blocks.end());
}

std::string WhyLater(const graph::Subgraph& subgraph,
                     const run::Executor::Stage& stage,
                     const run::Executor::Stage* before) {
  if (before != nullptr && before->between) {
    return "behind " + Place(subgraph, before->next_op - 1);
  }
  std::vector<std::string> tensors;
  for (const auto& reason : stage.reasons) {
    for (const auto& [tensor, value] : reason.values) {
      tensors.push_back(fmt::format("\"{}\"", subgraph.tensors[tensor].name));
    }
  }
  if (tensors.empty()) return Place(subgraph, stage.first_op);
  return fmt::format("{} needs the values of {}",
                     Place(subgraph, stage.first_op), fmt::join(tensors, ", "));
}

// Why an operator of a planned stage has no step of its own.
std::string WhyNone(const graph::Subgraph& subgraph, const plan::Plan& plan,
                    const graph::Op& op) {
  const auto is = [&](const auto& test) {
    return !op.outputs.empty() && std::ranges::all_of(op.outputs, test);
  };
  if (is([&](int32_t t) {
        return plan.tensors[t].home == plan::Home::kConstant;
      })) {
    return "known when planned";
  }
  if (is([&](int32_t t) { return plan.tensors[t].root != t; })) {
    return fmt::format("lies in \"{}\"",
                       subgraph.tensors[plan.tensors[op.outputs[0]].root].name);
  }
  return "nothing to do";
}

}  // namespace

PlanFacts DescribePlan(const graph::Graph& graph, size_t subgraph,
                       const run::Executor& executor) {
  const graph::Subgraph& source = graph.subgraphs[subgraph];
  PlanFacts facts;
  facts.subgraph = subgraph;
  facts.subgraph_name = source.name;
  facts.ops = source.ops.size();
  facts.arena_bytes = executor.memory_bytes();
  std::vector<uint64_t> live;
  size_t end_op = 0;
  const run::Executor::Stage* before = nullptr;
  for (const auto& stage : executor.stages()) {
    const plan::Plan& plan = stage->session.plan();
    const size_t number = facts.stages.size();
    PlannedStage s;
    s.first_op = stage->first_op;
    s.end_op = end_op = stage->next_op;
    s.first_step = facts.steps.size();
    s.arena_bytes = plan.arena_bytes;
    s.peak_step = s.first_step + plan.peak_step;
    if (number > 0) s.waits_for = WhyLater(source, *stage, before);
    AddArena(plan, number, s.first_step, facts, live);
    std::vector<bool> has_step(source.ops.size());
    for (const plan::Step& step : plan.steps) {
      facts.steps.push_back(Describe(source, plan, step));
      for (const uint32_t op : step.ops) has_step[op] = true;
    }
    if (stage->between) {
      facts.steps.push_back(DescribeBetween(source, stage->next_op - 1));
      has_step[stage->next_op - 1] = true;
    }
    s.steps = facts.steps.size() - s.first_step;
    for (size_t i = s.first_step; i < facts.steps.size(); ++i) {
      facts.steps[i].stage = number;
    }
    for (size_t op = s.first_op; op < s.end_op; ++op) {
      if (has_step[op]) continue;
      facts.without_step.emplace_back(static_cast<uint32_t>(op),
                                      WhyNone(source, plan, source.ops[op]));
    }
    facts.stages.push_back(std::move(s));
    before = stage.get();
  }
  if (end_op < source.ops.size()) {
    facts.unplanned = fmt::format(
        "{} and what follows are planned when the values they depend on are "
        "there",
        Place(source, end_op));
  }
  if (!live.empty()) {
    const auto peak = std::ranges::max_element(live);
    facts.peak_step = static_cast<size_t>(peak - live.begin());
    facts.peak_bytes = *peak;
  }
  for (const auto& [called, child] : executor.called()) {
    facts.called.push_back(DescribePlan(graph, called, *child));
  }
  return facts;
}

}  // namespace lathe::report
