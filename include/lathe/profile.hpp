// How long each step of a session takes.
//
//   lathe::Profiler profiler;
//   options.on_step = profiler.OnStep();
//   auto session = lathe::Session::Create(model, options);
//   for (int i = 0; i < 10; ++i) profiler.Run(*session);
//   lathe::ProfileFacts facts = profiler.Facts(*session);

#ifndef LATHE_PROFILE_HPP_
#define LATHE_PROFILE_HPP_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lathe/lathe.hpp"

namespace lathe {

struct StepTimes {
  size_t step = 0;  // Index into Session::steps().
  StepInfo info;
  double median_ms = 0, mean_ms = 0, min_ms = 0, max_ms = 0;
  double share = 0;  // Of the mean time of a run.
};

// Steps of one name and kernel.
struct KindTimes {
  std::string name, kernel;
  size_t steps = 0;
  uint64_t flops = 0;
  double mean_ms = 0, share = 0;
};

// A step inside a subgraph that steps run; its time is part of theirs.
struct InnerTimes {
  uint32_t subgraph = 0;
  std::string subgraph_name;
  size_t step = 0;  // Counted in that subgraph.
  StepInfo info;
  double times = 0;               // Per run.
  double mean_ms = 0, share = 0;  // All times of a run together.
};

struct StepEvent {
  size_t run = 0, step = 0;
  double start_ms = 0, ms = 0;  // From the first run's start.
};

struct ProfileFacts {
  size_t runs = 0;
  // Of whole runs.
  double median_ms = 0, mean_ms = 0, min_ms = 0, max_ms = 0;
  double outside_ms = 0;          // Of the mean: not inside any step.
  std::vector<StepTimes> steps;   // In the order in which they run.
  std::vector<KindTimes> kinds;   // Longest first.
  std::vector<InnerTimes> inner;  // By subgraph and step.
  std::vector<StepEvent> events;  // Every step of every run.
};

// Collects times of one session's runs.
class LATHE_EXPORT Profiler {
 public:
  Profiler();
  // For SessionOptions::on_step; may outlive the profiler.
  std::function<void(size_t step, double milliseconds)> OnStep() const;
  // For SessionOptions::on_inner_step, where loops and branches are of
  // interest.
  std::function<void(const InnerStep& step, double milliseconds)> OnInnerStep()
      const;
  // Runs and records; an error is the session's.
  Status Run(Session& session);
  // What the recorded runs say. Steps that only some of the runs had (shapes
  // that depend on values) are counted where they ran.
  ProfileFacts Facts(const Session& session) const;

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace lathe

#endif  // LATHE_PROFILE_HPP_
