#include "src/kernels/window/reduce_window.h"

#include <cstring>

namespace lathe::kernels {
namespace {

bool IsPlain(const WindowAxis& axis) {
  return axis.window == 1 && axis.stride == 1 && axis.base_dilation == 1 &&
         axis.low == 0 && axis.in == axis.out;
}

// Input index of a place, or -1.
int64_t ElementAt(const WindowAxis& axis, int64_t out, int64_t k) {
  const int64_t place = out * axis.stride + k * axis.window_dilation - axis.low;
  if (place < 0 || place % axis.base_dilation != 0) return -1;
  const int64_t index = place / axis.base_dilation;
  return index < axis.in ? index : -1;
}

}  // namespace

void RunReduceWindow(CombineFn combine, const WindowShape& shape,
                     const std::byte* x, const std::byte* initial, std::byte* y,
                     ThreadPool& pool) {
  const size_t bytes = shape.element_bytes;
  size_t outputs = 1, places = 1;
  for (size_t i = 0; i < shape.rank; ++i) {
    outputs *= static_cast<size_t>(shape.axes[i].out);
    places *= static_cast<size_t>(shape.axes[i].window);
  }
  if (outputs == 0) return;
  // A last axis that no window crosses is combined as one run.
  const size_t last = shape.rank ? shape.rank - 1 : 0;
  const bool run_on = shape.rank > 0 && IsPlain(shape.axes[last]);
  const size_t run = run_on ? static_cast<size_t>(shape.axes[last].out) : 1;
  const size_t loops = run_on ? last : shape.rank;
  pool.Run(outputs / run, [&](size_t job, size_t) {
    std::array<int64_t, kMaxWindowRank> out{};
    for (size_t rest = job, i = loops; i-- > 0;) {
      const size_t n = static_cast<size_t>(shape.axes[i].out);
      out[i] = static_cast<int64_t>(rest % n);
      rest /= n;
    }
    std::byte* to = y + job * run * bytes;
    for (size_t i = 0; i < run; ++i) {
      std::memcpy(to + i * bytes, initial, bytes);
    }
    for (size_t place = 0; place < places; ++place) {
      size_t rest = place, from = 0, stride = run;
      bool inside = true;
      for (size_t i = loops; i-- > 0;) {
        const size_t n = static_cast<size_t>(shape.axes[i].window);
        const int64_t at =
            ElementAt(shape.axes[i], out[i], static_cast<int64_t>(rest % n));
        rest /= n;
        inside = inside && at >= 0;
        from += static_cast<size_t>(at) * stride;
        stride *= static_cast<size_t>(shape.axes[i].in);
      }
      if (inside) {
        combine(run, to, x + from * bytes, to);
      } else {
        for (size_t i = 0; i < run; ++i) {
          combine(1, to + i * bytes, initial, to + i * bytes);
        }
      }
    }
  });
}

}  // namespace lathe::kernels
