// What several preparers need.

#ifndef LATHE_PLAN_PREPARE_H_
#define LATHE_PLAN_PREPARE_H_

#include <string_view>
#include <vector>

#include "src/kernels/activation.h"
#include "src/plan/lowering.h"

namespace lathe::plan {

// The options' fused activation. Errors: kUnsupported for TANH and SIGN_BIT.
Result<kernels::Activation> ActivationOf(const graph::Options& options);

// Refuses a node whose first input or output is not float32.
Status NeedFloat(const Lowering& lowering, const Node& node);

// Refuses a product of more matrices than lists of them should grow to. Called
// before the lists are made: shapes that broadcast make many out of few.
Status CheckMatrices(const graph::Shape& shape);

// A possibly negative axis as an index below `rank`.
size_t AxisOf(int64_t axis, size_t rank);

}  // namespace lathe::plan

#endif  // LATHE_PLAN_PREPARE_H_
