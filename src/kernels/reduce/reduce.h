// f32 reductions over any set of axes.

#ifndef LATHE_KERNELS_REDUCE_REDUCE_H_
#define LATHE_KERNELS_REDUCE_REDUCE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "src/base/thread_pool.h"
#include "src/kernels/norm/norm.h"

namespace lathe::kernels {

enum class Reduction : uint8_t { kSum, kMean, kProd, kMax, kMin };

// The input as loops over kept dims and, inside, loops over reduced dims,
// neighbours merged. Strides in elements of the input.
struct ReduceLoops {
  struct Dim {
    size_t size = 1, stride = 1;
  };
  std::vector<Dim> kept, reduced;  // Outermost first.
  size_t outputs = 1, inputs_per_output = 1;
  // Where each run along the innermost reduced dim begins, if there are few:
  // finding it anew takes longer than a short run.
  std::vector<size_t> runs;
};

// `axes` are in [0, rank), in any order, duplicates allowed.
ReduceLoops PlanReduce(std::span<const int32_t> shape,
                       std::span<const int32_t> axes);

// Sums run in double, except along a contiguous last axis, where NormKernels'
// lanes are used. The order does not depend on threads. One NaN makes its
// result NaN, of kMax and kMin too. kMean and kMax of nothing are NaN and
// -infinity.
void RunReduce(const NormKernels& kernels, Reduction kind,
               const ReduceLoops& loops, const float* x, float* y,
               ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_REDUCE_REDUCE_H_
