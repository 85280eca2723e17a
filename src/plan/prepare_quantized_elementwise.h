// What preparers of quantized operators need.

#ifndef LATHE_PLAN_PREPARE_QUANTIZED_ELEMENTWISE_H_
#define LATHE_PLAN_PREPARE_QUANTIZED_ELEMENTWISE_H_

#include <initializer_list>

#include "src/kernels/activation.h"
#include "src/kernels/quantized/binary.h"
#include "src/kernels/quantized/table.h"
#include "src/plan/lowering.h"
#include "src/plan/op_table.h"

namespace lathe::plan {

inline constexpr TypeMask kBytes =
    Types({graph::Type::kInt8, graph::Type::kUint8});
inline constexpr TypeMask kQuantized =
    Types({graph::Type::kInt8, graph::Type::kUint8, graph::Type::kInt16});
inline constexpr TypeMask kSignedQuantized =
    Types({graph::Type::kInt8, graph::Type::kInt16});

// For rows: input 0 has a scale.
bool IsQuantized(const OpTypes& types);

// The type is one of kQuantized.
kernels::QuantizedType QuantizedTypeOf(graph::Type type);

// Scales and zero points of a tensor and what is made of it, of the same type.
// Errors: one of them has not exactly one scale, or 16 bits and a zero point.
Result<kernels::Requantized> RequantizedOf(const Lowering& lowering,
                                           int32_t input, int32_t output);

// AffineOf, and 16-bit tensors have no zero point.
Result<Lowering::Affine> QuantizedAffineOf(const Lowering& lowering,
                                           int32_t tensor);

// Refuses operands of more than one type. (The file says the types of outputs.)
Status NeedOneType(const Lowering& lowering,
                   std::initializer_list<int32_t> tensors);

// What the type and the activation leave of the integers.
kernels::IntegerRange IntegerRangeOf(graph::Type type,
                                     kernels::Activation activation,
                                     Lowering::Affine affine);

}  // namespace lathe::plan

#endif  // LATHE_PLAN_PREPARE_QUANTIZED_ELEMENTWISE_H_
