// --metric NAME --min X --max X: what numbers must keep to.

#ifndef LATHE_CLI_LIMITS_H_
#define LATHE_CLI_LIMITS_H_

#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"

namespace lathe::cli {

struct Limit {
  std::string metric;
  std::optional<double> min = {}, max = {};

  // NaN is beyond every limit.
  bool within(double value) const {
    return (!min || value >= *min) && (!max || value <= *max);
  }
};

// The limits in the order in which they were written: --min and --max belong
// to the --metric before them. Errors: kUsage for a metric that is none of
// `names` (with the nearest), one without a limit, a limit that is no number.
Result<std::vector<Limit>> LimitsOf(const CLI::App& app,
                                    const std::vector<std::string>& names);

// {metric min max within}
Json LimitJson(const Limit& limit, bool within);

}  // namespace lathe::cli

#endif  // LATHE_CLI_LIMITS_H_
