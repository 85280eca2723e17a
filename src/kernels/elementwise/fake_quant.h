// FAKE_QUANT: to a grid of integers and back.

#ifndef LATHE_KERNELS_ELEMENTWISE_FAKE_QUANT_H_
#define LATHE_KERNELS_ELEMENTWISE_FAKE_QUANT_H_

#include <cstddef>

#include "src/base/thread_pool.h"

namespace lathe::kernels {

// A grid low + i scale, i whole, whose ends are low and high.
struct FakeQuant {
  float low = 0, high = 0, scale = 1;
};

// [min, max] moved so that 0 lies on the grid of 2^bits values (one less if
// narrow); min <= 0 <= max, min < max, 2 <= bits <= 16.
FakeQuant PlanFakeQuant(float min, float max, int bits, bool narrow);

// y[i] = the grid's value nearest to x[i], half away from low. y may be x.
void RunFakeQuant(const FakeQuant& grid, size_t n, const float* x, float* y,
                  ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_ELEMENTWISE_FAKE_QUANT_H_
