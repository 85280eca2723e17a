// The public face of report/: times of steps.

#include "lathe/profile.hpp"

#include <chrono>

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

Status Profiler::Run(Session& session) {
  return Guarded([&]() -> Status {
    const Clock::time_point start = Clock::now();
    if (state_->run_ms.empty()) state_->first = start;
    state_->recording = true;
    const size_t events = state_->events.size();
    const Status status = session.Run();
    state_->recording = false;
    if (!status) {
      state_->events.resize(events);
      return status;
    }
    state_->run_ms.push_back(Milliseconds(Clock::now() - start));
    return {};
  });
}

ProfileFacts Profiler::Facts(const Session& session) const {
  return report::SumUp(state_->run_ms, state_->events, session.steps());
}

}  // namespace lathe
