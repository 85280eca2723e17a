// Recognises a tensor as a range of channels of another one.

#ifndef LATHE_PASSES_LAST_AXIS_H_
#define LATHE_PASSES_LAST_AXIS_H_

#include <cstdint>

#include "src/graph/graph.h"
#include "src/passes/match.h"

namespace lathe::passes {

// Channels first .. first + size - 1 of the last axis of `base`; the other dims
// are those of `base`.
struct LastAxisRange {
  int32_t base = graph::kNoTensor;
  int32_t first = 0, size = 0;
};

// Takes the SPLIT, SPLIT_V, SLICE or STRIDED_SLICE that makes `tensor`, or the
// three operators that reshape the last axis to [parts, size], slice one part
// and reshape back. `base` is kNoTensor, and the draft unchanged, when `tensor`
// is no such range.
LastAxisRange TakeLastAxisRange(const Matcher& matcher, Draft& draft,
                                int32_t tensor);

}  // namespace lathe::passes

#endif  // LATHE_PASSES_LAST_AXIS_H_
