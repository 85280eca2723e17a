// Along one axis: position of the extreme, running sums. And whole-number
// reductions.

#ifndef LATHE_KERNELS_REDUCE_SCAN_H_
#define LATHE_KERNELS_REDUCE_SCAN_H_

#include <cstddef>

#include "src/base/thread_pool.h"
#include "src/kernels/elementwise/number.h"
#include "src/kernels/reduce/reduce.h"

namespace lathe::kernels {

// x as [outer, n, inner]; the axis is the middle one.
struct AxisLoops {
  size_t outer = 1, n = 1, inner = 1;
};
AxisLoops PlanAxis(std::span<const int32_t> shape, size_t axis);

// ARG_MAX and ARG_MIN: y[o, i] = the first position of the largest (smallest)
// x[o, :, i], as int64 if `wide`, else int32. n >= 1. float32, float64,
// integers, bool (bytes 0 and 1). A NaN is never larger nor smaller: it wins
// only from position 0.
void RunArg(bool largest, Number type, const AxisLoops& loops, const void* x,
            bool wide, void* y, ThreadPool& pool);

// CUMSUM: y[o, k, i] = sum of x[o, j, i] over j <= k (j < k if exclusive); from
// the other end if reverse. Floats (summed in double) and integers (wrapping).
// y may be x.
void RunCumsum(Number type, const AxisLoops& loops, bool exclusive,
               bool reverse, const void* x, void* y, ThreadPool& pool);

// Like RunReduce for integers (sums and products wrap, kMean is a 64-bit sum
// divided towards 0, 0 of nothing) and bool (only kMax, "any", and kMin,
// "all"). kMax and kMin of nothing are the type's ends.
void RunReduceWhole(Number type, Reduction kind, const ReduceLoops& loops,
                    const void* x, void* y, ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_REDUCE_SCAN_H_
