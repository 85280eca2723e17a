// A report of validation as data on the nodes of a graph, for Model Explorer.

#ifndef LATHE_CLI_OVERLAY_H_
#define LATHE_CLI_OVERLAY_H_

#include "cli/command.h"
#include "lathe/validate.hpp"

namespace lathe::cli {

// {name results {node {value}} thresholds}, of a model with several subgraphs
// by their name. One node for each operator whose first output was compared;
// thresholds ascend, from red to green where more is better.
Json Overlay(const ValidateReport& report, const AccuracyMetric& metric);

}  // namespace lathe::cli

#endif  // LATHE_CLI_OVERLAY_H_
