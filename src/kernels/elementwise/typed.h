// Binary operators on any number type: integers, comparisons, logic, powers.
// Plain loops; float32 arithmetic has its vectors in broadcast.h.

#ifndef LATHE_KERNELS_ELEMENTWISE_TYPED_H_
#define LATHE_KERNELS_ELEMENTWISE_TYPED_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "src/base/thread_pool.h"
#include "src/kernels/activation.h"
#include "src/kernels/elementwise/broadcast.h"
#include "src/kernels/elementwise/number.h"

namespace lathe::kernels {

// The first row gives the operands' type, the others bool (one byte, 0 or 1).
enum class TypedBinary : uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMaximum,
  kMinimum,
  kSquaredDifference,
  kPow,
  kFloorDiv,
  kFloorMod,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kAnd,
  kOr,
};

// Arithmetic: float32, int32, int64. Comparisons: those and float64, int8,
// uint8, int16; kEqual and kNotEqual also bool. kAnd, kOr: bool.
bool HasTypedBinary(TypedBinary kind, Number type);

// y = clamp(f(a, b)); the clamp is for arithmetic only. Integers wrap around;
// kDiv truncates; kFloorDiv and kFloorMod follow the divisor's sign.
// Returns a position of y whose integer operands have no result (a divisor of
// 0, a power below 0): the first one, and then y is not to be used.
std::optional<size_t> RunTypedBinary(TypedBinary kind, Number type,
                                     const BroadcastLoops& loops, const void* a,
                                     const void* b, void* y,
                                     Activation activation, ThreadPool& pool);

// y[i] = not x[i] of bools; y may be x.
void RunNot(size_t n, const uint8_t* x, uint8_t* y);

// y[i] = start + i delta for float32, int32 and int64; `start` and `delta`
// point to one number of the type. Floats are rounded once each, not summed up.
void RunRange(Number type, const void* start, const void* delta, size_t n,
              void* y);

// SELECT_V2: three operands broadcast to `out` as in PlanBroadcast. SELECT with
// a condition over the first dim is the condition's shape as [n, 1, 1 ...].
struct SelectLoops {
  size_t rank = 0, elements = 1;
  std::array<size_t, kMaxLoopRank> size{}, condition{}, a{}, b{};  // Strides.
};
SelectLoops PlanSelect(std::span<const int32_t> condition,
                       std::span<const int32_t> a, std::span<const int32_t> b,
                       std::span<const int32_t> out);

// y = condition ? a : b for elements of 1, 2, 4, 8 or 16 bytes.
void RunSelect(const SelectLoops& loops, size_t element_bytes,
               const uint8_t* condition, const std::byte* a, const std::byte* b,
               std::byte* y, ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_ELEMENTWISE_TYPED_H_
