// The version number that a file states for an operator.

#ifndef LATHE_GRAPH_VERSIONS_H_
#define LATHE_GRAPH_VERSIONS_H_

#include <cstdint>
#include <span>

#include "src/graph/shapes.h"

namespace lathe::graph {

// The lowest version of the operator that has what `op` uses: runtimes refuse
// versions they do not know, so a writer states no more than it needs.
// `inputs` and `outputs` belong to op.inputs and op.outputs; null where left
// out. Rules: reference tflite-format.md, section 1.6, for float, integer and
// int8/int16 operands; 4-bit and narrower ones only where weights have them.
int32_t LowestVersion(const Op& op, std::span<const KnownTensor* const> inputs,
                      std::span<const KnownTensor* const> outputs);

}  // namespace lathe::graph

#endif  // LATHE_GRAPH_VERSIONS_H_
