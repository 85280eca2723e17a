// What preparers ask of their operands: types, numbers, indices.

#ifndef LATHE_PLAN_OPERANDS_H_
#define LATHE_PLAN_OPERANDS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "src/graph/graph.h"
#include "src/kernels/elementwise/number.h"
#include "src/plan/lowering.h"
#include "src/plan/op_table.h"

namespace lathe::plan {

// Null for strings, types of less than a byte and whatever else kernels do not
// count with.
std::optional<kernels::Number> NumberOf(graph::Type type);

inline constexpr TypeMask kIntegers =
    Types({graph::Type::kInt8, graph::Type::kUint8, graph::Type::kInt16,
           graph::Type::kUint16, graph::Type::kInt32, graph::Type::kUint32,
           graph::Type::kInt64, graph::Type::kUint64});
inline constexpr TypeMask kFloat64 = Types({graph::Type::kFloat64});
inline constexpr TypeMask kBool = Types({graph::Type::kBool});
inline constexpr TypeMask kCounting = kFloat32 | kFloat64 | kIntegers;

// Refuses a node unless `tensor` is there and of this type: the type that a
// file stores for an output may be any.
Status NeedType(const Lowering& lowering, int32_t tensor, graph::Type type);
// Unless both are of one type.
Status NeedSameType(const Lowering& lowering, int32_t a, int32_t b);
// Unless it holds integers that IndexAt reads.
Status NeedIndices(const Lowering& lowering, int32_t tensor);

// A possibly negative axis as an index below `rank`, for axes that shape rules
// do not check.
Result<size_t> CheckedAxis(int64_t axis, size_t rank);

// One of int8, uint8, int16, int32 or int64 indices, as int64.
int64_t IndexAt(graph::Type type, const std::byte* values, size_t i);

// `to.size()` of them.
void LoadIndices(graph::Type type, const std::byte* from,
                 std::span<int64_t> to);
// Says which row of indices leaves `dims`: they have a number for each dim.
std::unexpected<Error> BadRow(size_t row, std::span<const int64_t> indices,
                              std::span<const int32_t> dims);

// Of types of a whole byte.
size_t ElementBytes(const Lowering& lowering, int32_t tensor);
// Of dims that belong to one tensor.
size_t Product(std::span<const int32_t> dims);

// A step of the node's name and operands.
Step StepOf(const Node& node);

// For rows: the first input and the output are plain integers, not quantized.
bool NotQuantized(const OpTypes& types);
inline constexpr std::string_view kNotQuantized = "not quantized";

}  // namespace lathe::plan

#endif  // LATHE_PLAN_OPERANDS_H_
