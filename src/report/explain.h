// A planned subgraph in words.
//
// Comes after: run/executor.h. Comes before: api/ (names, signatures).

#ifndef LATHE_REPORT_EXPLAIN_H_
#define LATHE_REPORT_EXPLAIN_H_

#include "lathe/explain.hpp"
#include "src/graph/graph.h"
#include "src/run/executor.h"

namespace lathe::report {

// All but isa, threads and packed_bytes, which the session knows.
PlanFacts DescribePlan(const graph::Graph& graph, size_t subgraph,
                       const run::Executor& executor);

}  // namespace lathe::report

#endif  // LATHE_REPORT_EXPLAIN_H_
