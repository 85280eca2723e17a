// Binary operators on any number type: integers, comparisons, logic, powers.
// Plain loops; float32 arithmetic has its vectors in broadcast.h.

#ifndef LATHE_KERNELS_ELEMENTWISE_TYPED_H_
#define LATHE_KERNELS_ELEMENTWISE_TYPED_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "src/base/thread_pool.h"
#include "src/kernels/activation.h"
#include "src/kernels/elementwise/broadcast.h"
#include "src/kernels/elementwise/number.h"

namespace lathe::kernels {

// From kEqual on the result is bool (one byte, 0 or 1), before it the operands'
// type.
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
  kAtan2,
  kXor,
  kRightShift,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kAnd,
  kOr,
};

// Arithmetic: float32, float64 and integers of every width; kAdd to kDiv also
// complex64. kAtan2: floats. kXor and kRightShift: integers. Comparisons: the
// numbers of arithmetic; kEqual and kNotEqual also bool and complex64. kAnd,
// kOr: bool.
bool HasTypedBinary(TypedBinary kind, Number type);

// y = clamp(f(a, b)); the clamp is for arithmetic on floats and integers only.
// Integers wrap around; kDiv truncates; kFloorDiv and kFloorMod follow the
// divisor's sign; kRightShift keeps the sign and shifts by 0 to bits - 1
// places, the nearest of which stands for any other number. Returns a position
// of y whose integer operands have no result (a divisor of 0, a power below 0):
// the first one, and then y is not to be used.
std::optional<size_t> RunTypedBinary(TypedBinary kind, Number type,
                                     const BroadcastLoops& loops, const void* a,
                                     const void* b, void* y,
                                     Activation activation, ThreadPool& pool);

// y = f(x) for float64 and integers; kAbs and kNeg wrap, kSign gives -1, 0, 1
// (a NaN stays). y may be x.
enum class TypedUnary : uint8_t { kAbs, kNeg, kSign, kSquare };
void RunTypedUnary(TypedUnary kind, Number type, size_t n, const void* x,
                   void* y, ThreadPool& pool);

// y = clamp(y) for floats and integers.
void RunClamp(Number type, Activation activation, size_t n, void* y,
              ThreadPool& pool);

// y[i] = how many of the ascending `bounds` are not above x[i], for floats and
// integers; a NaN is above all.
void RunBucketize(Number type, std::span<const float> bounds, size_t n,
                  const void* x, int32_t* y, ThreadPool& pool);

// y[i] = not x[i] of bools; y may be x.
void RunNot(size_t n, const uint8_t* x, uint8_t* y);

// y[i] = start + i delta for floats and integers; `start` and `delta` point to
// one number of the type. Floats are rounded once each, not summed up.
void RunRange(Number type, const void* start, const void* delta, size_t n,
              void* y);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_ELEMENTWISE_TYPED_H_
