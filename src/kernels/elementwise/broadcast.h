// Operators of two tensors whose shapes are broadcast against each other.

#ifndef LATHE_KERNELS_ELEMENTWISE_BROADCAST_H_
#define LATHE_KERNELS_ELEMENTWISE_BROADCAST_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "src/base/thread_pool.h"
#include "src/kernels/elementwise/elementwise.h"

namespace lathe::kernels {

inline constexpr size_t kMaxLoopRank = 16;

// The output as nested loops over dims (outermost first); dims of size 1 are
// gone and dims that run on in every operand are merged. Strides in elements, 0
// where an operand is broadcast.
struct BroadcastLoops {
  size_t rank = 0;
  std::array<size_t, kMaxLoopRank> size{}, a_stride{}, b_stride{};
  size_t elements = 1;
};

// `a` and `b` broadcast to `out` by the format's rule: aligned from the right,
// equal or 1.
BroadcastLoops PlanBroadcast(std::span<const int32_t> a,
                             std::span<const int32_t> b,
                             std::span<const int32_t> out);

// Calls inner(out_first, a_first, b_first, count) for the innermost dim of each
// outer index in [first, last), in order.
template <typename F>
void ForEachRun(const BroadcastLoops& loops, size_t first, size_t last,
                const F& inner) {
  const size_t count = loops.rank ? loops.size[loops.rank - 1] : 1;
  for (size_t outer = first; outer < last; ++outer) {
    size_t rest = outer, a = 0, b = 0;
    for (size_t i = loops.rank > 0 ? loops.rank - 1 : 0; i-- > 0;) {
      const size_t index = rest % loops.size[i];
      rest /= loops.size[i];
      a += index * loops.a_stride[i];
      b += index * loops.b_stride[i];
    }
    inner(outer * count, a, b, count);
  }
}

// y = clamp(f(a, b)) over the whole output.
void RunBinaryF32(const ElementwiseKernels& kernels, Binary kind,
                  const BroadcastLoops& loops, const float* a, const float* b,
                  float* y, Activation activation, ThreadPool& pool);

// y[i] = f(x[i]).
void RunUnaryF32(const ElementwiseKernels& kernels, Unary kind, size_t n,
                 const float* x, float* y, float alpha, ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_ELEMENTWISE_BROADCAST_H_
