// REDUCE_WINDOW: reductions over windows that slide over every axis.

#ifndef LATHE_KERNELS_WINDOW_REDUCE_WINDOW_H_
#define LATHE_KERNELS_WINDOW_REDUCE_WINDOW_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "src/base/thread_pool.h"
#include "src/kernels/window/combine.h"

namespace lathe::kernels {

inline constexpr size_t kMaxWindowRank = 16;

// Along an axis, output o meets the places o stride + k window_dilation - low,
// k < window, of the input whose elements stand base_dilation apart. Places
// without an element hold the initial value.
struct WindowAxis {
  int64_t in = 1, out = 1, window = 1, stride = 1;
  int64_t base_dilation = 1, window_dilation = 1, low = 0;
};
struct WindowShape {
  size_t rank = 0;
  std::array<WindowAxis, kMaxWindowRank> axes{};
  size_t element_bytes = 4;
};

// y = combine(... combine(combine(initial, place 0), place 1) ...), places in
// row-major order.
void RunReduceWindow(CombineFn combine, const WindowShape& shape,
                     const std::byte* x, const std::byte* initial, std::byte* y,
                     ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_WINDOW_REDUCE_WINDOW_H_
