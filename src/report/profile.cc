#include "src/report/profile.h"

#include <algorithm>
#include <numeric>

namespace lathe::report {
namespace {

struct Spread {
  double median = 0, mean = 0, min = 0, max = 0;
};

Spread SpreadOf(std::vector<double> times) {
  if (times.empty()) return {};
  std::ranges::sort(times);
  const size_t middle = times.size() / 2;
  Spread spread;
  spread.median = times.size() % 2 == 1
                      ? times[middle]
                      : (times[middle - 1] + times[middle]) / 2;
  spread.mean = std::accumulate(times.begin(), times.end(), 0.0) /
                static_cast<double>(times.size());
  spread.min = times.front();
  spread.max = times.back();
  return spread;
}

}  // namespace

ProfileFacts SumUp(std::span<const double> run_ms,
                   std::span<const StepEvent> events,
                   std::span<const StepInfo> steps) {
  ProfileFacts facts;
  facts.runs = run_ms.size();
  const Spread runs = SpreadOf({run_ms.begin(), run_ms.end()});
  facts.median_ms = runs.median;
  facts.mean_ms = runs.mean;
  facts.min_ms = runs.min;
  facts.max_ms = runs.max;

  std::vector<std::vector<double>> times(steps.size());
  for (const StepEvent& event : events) {
    if (event.step >= steps.size()) continue;
    times[event.step].push_back(event.ms);
    facts.events.push_back(event);
  }
  const double run_count = std::max<double>(1, static_cast<double>(facts.runs));
  double inside_ms = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (times[i].empty()) continue;
    // A step that did not run in every run weighs less.
    const double per_run =
        std::accumulate(times[i].begin(), times[i].end(), 0.0) / run_count;
    const Spread spread = SpreadOf(std::move(times[i]));
    StepTimes step;
    step.step = i;
    step.info = steps[i];
    step.median_ms = spread.median;
    step.mean_ms = spread.mean;
    step.min_ms = spread.min;
    step.max_ms = spread.max;
    step.share = runs.mean > 0 ? per_run / runs.mean : 0;
    inside_ms += per_run;
    const auto same = [&](const KindTimes& kind) {
      return kind.name == step.info.name && kind.kernel == step.info.kernel;
    };
    auto kind = std::ranges::find_if(facts.kinds, same);
    if (kind == facts.kinds.end()) {
      kind = facts.kinds.insert(
          kind, KindTimes{.name = step.info.name, .kernel = step.info.kernel});
    }
    ++kind->steps;
    kind->flops += step.info.flops;
    kind->mean_ms += per_run;
    kind->share += step.share;
    facts.steps.push_back(std::move(step));
  }
  facts.outside_ms = std::max(0.0, runs.mean - inside_ms);
  std::ranges::stable_sort(facts.kinds, std::ranges::greater(),
                           &KindTimes::mean_ms);
  return facts;
}

}  // namespace lathe::report
