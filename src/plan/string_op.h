// Operators on strings. A string tensor has no fixed size, so they have no
// place in an arena: whoever runs the plan runs them between plans.

#ifndef LATHE_PLAN_STRING_OP_H_
#define LATHE_PLAN_STRING_OP_H_

#include <cstddef>
#include <span>
#include <vector>

#include "src/graph/graph.h"
#include "src/graph/shapes.h"

namespace lathe::plan {

// Runs one operator that reads or writes strings: moves of all kinds, GATHER,
// GATHER_ND, FILL, SELECT, SELECT_V2, EQUAL, NOT_EQUAL, SHAPE, RANK.
//
// `inputs` and `input_bytes` belong to op.inputs (null and empty where one is
// left out), `outputs` to op.outputs: types and shapes as
// graph::InferOpWithValues gives them. Writes each output's bytes, for strings
// the packed list of kernels/strings/strings.h, over what `output_bytes[i]`
// held; its memory is used again. `input_bytes` must not lie in there.
//
// Errors: kInvalidInput when an input's bytes are no list of texts or an index
// is out of range; kUnsupported for another operator.
Status RunStringOp(const graph::Op& op,
                   std::span<const graph::KnownTensor* const> inputs,
                   std::span<const std::span<const std::byte>> input_bytes,
                   std::span<const graph::KnownTensor> outputs,
                   std::span<std::vector<std::byte>> output_bytes);

}  // namespace lathe::plan

#endif  // LATHE_PLAN_STRING_OP_H_
