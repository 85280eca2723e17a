#include "cli/overlay.h"

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <string_view>
#include <vector>

namespace lathe::cli {
namespace {

// Good to bad. Six-digit colours: the explorer misreads others.
constexpr std::array<std::string_view, 6> kColours = {
    "#1b7837", "#5aae61", "#d9f0a3", "#fee08b", "#f46d43", "#a50026"};
// The bounds between them, and the last one above (or below) all.
constexpr double kRatios[] = {1e-3, 1e-2, 0.05, 0.2, 1, 1e30};
constexpr double kErrors[] = {1e-6, 1e-4, 1e-2, 0.1, 1, 1e30};
constexpr double kDecibels[] = {0, 10, 20, 30, 40, 200};
constexpr double kPowers[] = {1, 10, 100, 1000, 10000, 1e30};
constexpr double kCosines[] = {0.5, 0.9, 0.99, 0.999, 0.9999, 2};

std::span<const double> BoundsOf(std::string_view metric) {
  if (metric == "snr_db") return kDecibels;
  if (metric == "snr") return kPowers;
  if (metric == "cosine_similarity") return kCosines;
  if (metric == "median_diff_ratio") return kRatios;
  return kErrors;
}

}  // namespace

Json Overlay(const ValidateReport& report, const AccuracyMetric& metric) {
  // A colour is for values up to its threshold, the first that fits.
  Json thresholds = Json::array();
  const std::span<const double> bounds = BoundsOf(metric.name);
  for (size_t i = 0; i < bounds.size(); ++i) {
    const size_t colour = metric.more_is_better ? kColours.size() - 1 - i : i;
    thresholds.push_back({{"value", bounds[i]}, {"bgColor", kColours[colour]}});
  }
  // By subgraph, then by operator: the first output stands for all.
  std::vector<std::map<int32_t, const TensorAccuracy*>> ops(
      report.graphs.size());
  for (const auto* list : {&report.tensors, &report.outputs}) {
    for (const TensorAccuracy& tensor : *list) {
      if (tensor.op < 0 || tensor.comparisons == 0) continue;
      ops[tensor.subgraph].try_emplace(tensor.op, &tensor);
    }
  }
  Json all = Json::object();
  for (size_t s = 0; s < ops.size(); ++s) {
    Json results = Json::object();
    for (const auto& [op, tensor] : ops[s]) {
      results[tensor->node] = {{"value", tensor->mean.*metric.value}};
    }
    Json one = {{"name", metric.name},
                {"results", std::move(results)},
                {"thresholds", thresholds},
                {"hideAggregatedStats", {"sum"}}};
    if (ops.size() == 1) return one;
    if (!ops[s].empty()) all[report.graphs[s]] = std::move(one);
  }
  return all;
}

}  // namespace lathe::cli
