// What several preparers need.

#ifndef LATHE_PLAN_PREPARE_H_
#define LATHE_PLAN_PREPARE_H_

#include <cstddef>
#include <string_view>
#include <vector>

#include "src/kernels/activation.h"
#include "src/plan/lowering.h"

namespace lathe::plan {

// The options' fused activation. Errors: kUnsupported for TANH and SIGN_BIT.
Result<kernels::Activation> ActivationOf(const graph::Options& options);

// Refuses a node whose first input or output is not float32.
Status NeedFloat(const Lowering& lowering, const Node& node);

// For rows: every operand that is there is float32, sizes and axes aside.
bool FloatOperands(const OpTypes& types);

// One element of the tensor's type that stands for 0: quantized integers write
// it as their zero point.
std::vector<std::byte> ZeroOf(const Lowering& lowering, int32_t tensor);

// A possibly negative axis as an index below `rank`.
size_t AxisOf(int64_t axis, size_t rank);

}  // namespace lathe::plan

#endif  // LATHE_PLAN_PREPARE_H_
