// The public face of report/: times of steps.

#include "lathe/profile.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "src/api/state.h"
#include "src/report/profile.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;

double Milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace

struct Profiler::State {
  bool recording = false;
  Clock::time_point first;  // Start of the first run.
  std::vector<double> run_ms;
  std::vector<StepEvent> events;
  // Sums over runs: `times` and `mean_ms` are divided at the end.
  std::map<std::pair<uint32_t, size_t>, InnerTimes> inner;
};

Profiler::Profiler() : state_(std::make_shared<State>()) {}

std::function<void(size_t, double)> Profiler::OnStep() const {
  return [state = state_](size_t step, double ms) {
    if (!state->recording) return;
    const double end = Milliseconds(Clock::now() - state->first);
    state->events.push_back({.run = state->run_ms.size(),
                             .step = step,
                             .start_ms = std::max(0.0, end - ms),
                             .ms = ms});
  };
}

std::function<void(const InnerStep&, double)> Profiler::OnInnerStep() const {
  return [state = state_](const InnerStep& step, double ms) {
    if (!state->recording) return;
    InnerTimes& times = state->inner[{step.subgraph, step.step}];
    if (times.times == 0) {
      times.subgraph = step.subgraph;
      times.step = step.step;
      times.info = {std::string(step.name), std::string(step.tensor),
                    std::string(step.kernel), step.flops};
    }
    ++times.times;
    times.mean_ms += ms;
  };
}

Status Profiler::Run(Session& session) {
  return Guarded([&]() -> Status {
    const Clock::time_point start = Clock::now();
    if (state_->run_ms.empty()) state_->first = start;
    state_->recording = true;
    const size_t events = state_->events.size();
    const auto inner = state_->inner;
    const Status status = session.Run();
    state_->recording = false;
    if (!status) {
      state_->events.resize(events);
      state_->inner = inner;
      return status;
    }
    state_->run_ms.push_back(Milliseconds(Clock::now() - start));
    return {};
  });
}

ProfileFacts Profiler::Facts(const Session& session) const {
  ProfileFacts facts =
      report::SumUp(state_->run_ms, state_->events, session.steps());
  const graph::Graph& graph = *ViewOf(session).graph;
  const double runs = std::max<double>(1, static_cast<double>(facts.runs));
  for (const auto& [place, sums] : state_->inner) {
    InnerTimes times = sums;
    times.subgraph_name = graph.subgraphs[times.subgraph].name;
    times.times /= runs;
    times.mean_ms /= runs;
    times.share = facts.mean_ms > 0 ? times.mean_ms / facts.mean_ms : 0;
    facts.inner.push_back(std::move(times));
  }
  return facts;
}

}  // namespace lathe
