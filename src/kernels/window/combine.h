// Two numbers into one, for any number type: what regions of StableHLO
// operators and window reductions do.

#ifndef LATHE_KERNELS_WINDOW_COMBINE_H_
#define LATHE_KERNELS_WINDOW_COMBINE_H_

#include <cstddef>
#include <cstdint>

#include "src/kernels/elementwise/number.h"

namespace lathe::kernels {

enum class Combine : uint8_t {
  kAdd,        // Integers wrap around; bools: or.
  kMultiply,   // bools: and
  kMinimum,    // b < a ? b : a
  kMaximum,    // a < b ? b : a
  kAnd,        // Bit by bit; bools as truth.
  kAll,        // 1 where both are not 0
  kAny,        // 1 where one is not 0
  kShiftLeft,  // 0 where b is below 0 or not below a's number of bits.
  kReplace,    // b
};

// y[i] = combine(a[i], b[i]) for i < n. y may be a or b.
using CombineFn = void (*)(size_t n, const void* a, const void* b, void* y);

// Null where the type has no such operation: kAnd and kShiftLeft are for whole
// numbers (kAnd also for bool). 16-bit floats are worked out in float32.
CombineFn CombineOf(Combine combine, Number type);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_WINDOW_COMBINE_H_
