// The public face of report/: what a session runs.

#include "lathe/explain.hpp"

#include "src/api/state.h"
#include "src/report/explain.h"

namespace lathe {

Result<PlanFacts> Explain(const Session& session) {
  return Guarded([&]() -> Result<PlanFacts> {
    const SessionView view = ViewOf(session);
    PlanFacts facts =
        report::DescribePlan(*view.graph, view.subgraph, *view.executor);
    facts.isa = Name(view.isa);
    facts.threads = view.threads;
    facts.packed_bytes = session.stats().packed_bytes;
    return facts;
  });
}

}  // namespace lathe
