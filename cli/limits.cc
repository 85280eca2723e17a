#include "cli/limits.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "cli/problem.h"
#include "fmt/ranges.h"

namespace lathe::cli {

Result<std::vector<Limit>> LimitsOf(const CLI::App& app,
                                    const std::vector<std::string>& names) {
  std::vector<Limit> limits;
  std::map<const CLI::Option*, size_t> used;
  for (const CLI::Option* option : app.parse_order()) {
    const std::string name = option->get_name();
    if (name != "--metric" && name != "--min" && name != "--max") continue;
    const std::string text = option->results()[used[option]++];
    if (name == "--metric") {
      if (std::ranges::find(names, text) == names.end()) {
        const std::string nearest = NearestOf(text, names);
        return Usage("--metric: unknown \"{}\"{}", text,
                     nearest.empty()
                         ? fmt::format("; known are {}", fmt::join(names, ", "))
                         : nearest);
      }
      limits.push_back({.metric = text});
      continue;
    }
    const auto value = ParseNumber(text);
    if (!value || !std::isfinite(*value)) {
      return Usage("{}: expected a number, found \"{}\"", name, text);
    }
    if (limits.empty()) {
      return Usage("{} {}: expected --metric NAME before it", name, text);
    }
    (name == "--min" ? limits.back().min : limits.back().max) = *value;
  }
  for (const Limit& limit : limits) {
    if (limit.min || limit.max) continue;
    return Usage("--metric {}: expected --min X or --max X after it",
                 limit.metric);
  }
  return limits;
}

Json LimitJson(const Limit& limit, bool within) {
  Json entry = {{"metric", limit.metric},
                {"min", nullptr},
                {"max", nullptr},
                {"within", within}};
  if (limit.min) entry["min"] = *limit.min;
  if (limit.max) entry["max"] = *limit.max;
  return entry;
}

}  // namespace lathe::cli
