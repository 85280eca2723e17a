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

// What FULLY_CONNECTED alone fuses behind its result; kNone for the others.
enum class FusedActivation : uint8_t { kNone, kTanh, kSignBit };
FusedActivation LateActivationOf(const graph::Options& options);
// In place; SIGN_BIT gives 1 below zero and for -0, else 0.
void ApplyLate(FusedActivation late, size_t n, float* y);

// Refuses a node whose first input or output is not float32.
Status NeedFloat(const Lowering& lowering, const Node& node);

// For rows: every operand that is there is float32, sizes and axes aside.
bool FloatOperands(const OpTypes& types);

// For rows: the first input and the output are of one type. (A file may store
// any type for an output.)
bool KeepsType(const OpTypes& types);
inline constexpr std::string_view kKeepsType = "output of the input's type";

// Refuses a product of more matrices than lists of them should grow to. Called
// before the lists are made: shapes that broadcast make many out of few.
Status CheckMatrices(const graph::Shape& shape);

// A possibly negative axis as an index below `rank`.
size_t AxisOf(int64_t axis, size_t rank);

}  // namespace lathe::plan

#endif  // LATHE_PLAN_PREPARE_H_
