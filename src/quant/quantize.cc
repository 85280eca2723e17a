#include "src/quant/quantize.h"

#include <algorithm>
#include <set>
#include <utility>

#include "lathe/words.hpp"
#include "src/quant/assign.h"
#include "src/quant/instructions.h"
#include "src/quant/rewrite.h"

namespace lathe::quant {
namespace {

using graph::Graph;

// Enough to find a misspelt name; each costs a table of edits.
constexpr size_t kMostNames = 2000;

std::string NearestName(const Graph& graph, const std::string& regex) {
  std::vector<std::string_view> names;
  for (const graph::Subgraph& subgraph : graph.subgraphs) {
    for (const graph::Op& op : subgraph.ops) {
      if (op.outputs.empty() || op.outputs[0] < 0) continue;
      const std::string& name = subgraph.tensors[op.outputs[0]].name;
      if (name.size() <= 100 && names.size() < kMostNames) {
        names.push_back(name);
      }
    }
  }
  return DidYouMean(regex, names);
}

bool IsThere(const Graph& graph, Target target) {
  if (target == Target::kAll || target == Target::kInput ||
      target == Target::kOutput) {
    return true;
  }
  return std::ranges::any_of(graph.subgraphs, [&](const auto& subgraph) {
    return std::ranges::any_of(subgraph.ops, [&](const graph::Op& op) {
      return TargetOf(op.code) == target;
    });
  });
}

std::vector<RuleReport> ReportRules(const Graph& graph, const Recipe& recipe,
                                    const Chooser& chooser) {
  std::vector<const Rule*> rules;
  for (const Recipe::Scope& scope : recipe.scopes) {
    for (const Rule& rule : scope.rules) rules.push_back(&rule);
  }
  std::ranges::sort(rules, {}, &Rule::number);
  std::vector<RuleReport> reports;
  for (const Rule* rule : rules) {
    const Chooser::Uses uses = chooser.UsesOf(*rule);
    RuleReport& report = reports.emplace_back();
    report.rule = Describe(*rule);
    report.matched = uses.target;
    report.chosen = uses.chosen;
    report.absent = !IsThere(graph, rule->target);
    if (uses.regex == 0) {
      report.problem = fmt::format("its regex matches no operator{}",
                                   NearestName(graph, rule->regex));
    } else if (uses.target == 0) {
      report.problem = fmt::format(
          "no {} among the {} operators that its "
          "regex matches",
          Name(rule->target), uses.regex);
    } else if (uses.valid == 0) {
      report.problem =
          fmt::format("it suits none of the {} operators that it matches; {}",
                      uses.target, uses.refusal);
    }
  }
  for (const Rule& rule : recipe.erased) {
    if (recipe.is_preset && chooser.UsesOf(rule).valid > 0) continue;
    reports.push_back({.rule = Describe(rule),
                       .problem = "a later rule of the same regex erases it",
                       .erased = true});
  }
  return reports;
}

// Rules that do nothing, before anything is computed. A recipe for many models
// names operators that this one does not have; only where nothing else is left
// of it, or of a preset, it is refused.
Status Judge(const Recipe& recipe, const std::vector<RuleReport>& rules) {
  const auto is_idle = [](const RuleReport& rule) {
    return !rule.problem.empty() && !rule.erased;
  };
  const bool any = std::ranges::any_of(rules, [&](const RuleReport& rule) {
    return !is_idle(rule) && !rule.erased;
  });
  if (any && recipe.is_preset) return {};
  std::string problems;
  for (const RuleReport& rule : rules) {
    if (!is_idle(rule) || (any && rule.absent)) continue;
    problems += fmt::format("{}{}: {}", problems.empty() ? "" : "\n", rule.rule,
                            rule.problem);
  }
  if (problems.empty()) return {};
  return std::unexpected(Error{ErrorCode::kInvalidInput, std::move(problems)});
}

// The older tool knows tensors by their names.
Status CheckNames(const Graph& graph) {
  std::set<std::string_view> names;
  for (const graph::Subgraph& subgraph : graph.subgraphs) {
    for (const graph::Tensor& tensor : subgraph.tensors) {
      if (!names.insert(tensor.name).second) {
        return Invalid(
            "two tensors are named \"{}\"; the older tool takes none of a name "
            "twice",
            tensor.name);
      }
    }
  }
  return {};
}

std::vector<OpReport> ReportOps(const Graph& graph,
                                std::vector<std::vector<OpOutcome>> outcomes) {
  std::vector<OpReport> reports;
  for (size_t s = 0; s < outcomes.size(); ++s) {
    for (size_t i = 0; i < outcomes[s].size(); ++i) {
      OpOutcome& outcome = outcomes[s][i];
      const graph::Op& op = graph.subgraphs[s].ops[i];
      reports.push_back(
          {.subgraph = s,
           .index = i,
           .name = std::move(outcome.name),
           .type = op.custom_name.empty() ? std::string(Name(op.code))
                                          : op.custom_name,
           .quantized = outcome.quantized,
           .rule = outcome.rule == nullptr ? "" : Describe(*outcome.rule),
           .reason = std::move(outcome.reason)});
    }
  }
  return reports;
}

}  // namespace

Result<Quantized> QuantizeGraph(const Graph& graph, const Recipe& recipe,
                                const Statistics* statistics,
                                const QuantizeOptions& options) {
  const Behaviour behaviour = options.behaviour;
  const AssignOptions assign = {.behaviour = behaviour,
                                .in_mapping = options.in_mapping,
                                .pool = options.pool,
                                .stop = options.stop,
                                .progress = options.progress};
  if (behaviour == Behaviour::kCompat) LATHE_TRY(CheckNames(graph));
  if (behaviour == Behaviour::kCorrect) {
    Chooser judged(recipe, behaviour);
    LATHE_TRY(AskAll(graph, judged));
    LATHE_TRY(Judge(recipe, ReportRules(graph, recipe, judged)));
  }
  if (recipe.NeedsCalibration(behaviour) &&
      (statistics == nullptr || statistics->of.empty())) {
    return Invalid("the recipe needs statistics of the activations (--stats)");
  }
  Chooser chooser(recipe, behaviour);
  LATHE_ASSIGN(Assignment assignment,
               Assign(graph, chooser, statistics, assign));
  LATHE_ASSIGN(
      auto instructions,
      PlanInstructions(graph, std::move(assignment.records), behaviour));
  Quantized result;
  LATHE_ASSIGN(result.graph, Rewrite(graph, std::move(instructions), behaviour,
                                     options.pool));
  result.ops = ReportOps(graph, std::move(assignment.ops));
  result.rules = ReportRules(graph, recipe, chooser);
  return result;
}

}  // namespace lathe::quant
