// Times of steps put together: the sums behind lathe/profile.hpp.

#ifndef LATHE_REPORT_PROFILE_H_
#define LATHE_REPORT_PROFILE_H_

#include <span>

#include "lathe/profile.hpp"

namespace lathe::report {

// `run_ms`: whole runs. `steps`: what event.step means; others are left out.
ProfileFacts SumUp(std::span<const double> run_ms,
                   std::span<const StepEvent> events,
                   std::span<const StepInfo> steps);

}  // namespace lathe::report

#endif  // LATHE_REPORT_PROFILE_H_
