#include "src/kernels/elementwise/select.h"

#include <algorithm>

namespace lathe::kernels {
namespace {

constexpr size_t kPiece = 8192;  // Elements of one job.

// Strides of `shape` seen from `out`: 0 where it is broadcast.
void Strides(std::span<const int32_t> shape, std::span<const int32_t> out,
             size_t* strides) {
  size_t run = 1;
  for (size_t i = out.size(); i-- > 0;) {
    const size_t from_right = out.size() - i;
    const size_t dim =
        from_right > shape.size()
            ? 1
            : static_cast<size_t>(shape[shape.size() - from_right]);
    strides[i] = dim == 1 ? 0 : run;
    run *= dim;
  }
}

template <typename T>
void Select(const SelectLoops& loops, const uint8_t* condition, const T* a,
            const T* b, T* y, ThreadPool& pool) {
  if (loops.elements == 0) return;
  const size_t last = loops.rank ? loops.rank - 1 : 0;
  const size_t count = loops.rank ? loops.size[last] : 1;
  const size_t runs = loops.elements / count;
  const size_t per_job = std::max<size_t>(1, kPiece / count);
  pool.Run((runs + per_job - 1) / per_job, [&](size_t job, size_t) {
    const size_t end = std::min(runs, (job + 1) * per_job);
    for (size_t outer = job * per_job; outer < end; ++outer) {
      size_t rest = outer, c = 0, at_a = 0, at_b = 0;
      for (size_t i = last; i-- > 0;) {
        const size_t index = rest % loops.size[i];
        rest /= loops.size[i];
        c += index * loops.condition[i];
        at_a += index * loops.a[i];
        at_b += index * loops.b[i];
      }
      for (size_t i = 0; i < count; ++i) {
        y[outer * count + i] = condition[c + i * loops.condition[last]]
                                   ? a[at_a + i * loops.a[last]]
                                   : b[at_b + i * loops.b[last]];
      }
    }
  });
}

struct Bytes16 {
  uint64_t parts[2];
};

}  // namespace

SelectLoops PlanSelect(std::span<const int32_t> condition,
                       std::span<const int32_t> a, std::span<const int32_t> b,
                       std::span<const int32_t> out) {
  SelectLoops loops;
  loops.rank = out.size();
  for (size_t i = 0; i < out.size(); ++i) {
    loops.size[i] = static_cast<size_t>(out[i]);
    loops.elements *= loops.size[i];
  }
  Strides(condition, out, loops.condition.data());
  Strides(a, out, loops.a.data());
  Strides(b, out, loops.b.data());
  return loops;
}

void RunSelect(const SelectLoops& loops, size_t element_bytes,
               const uint8_t* condition, const std::byte* a, const std::byte* b,
               std::byte* y, ThreadPool& pool) {
  const auto as = [&]<typename T>(T) {
    Select(loops, condition, reinterpret_cast<const T*>(a),
           reinterpret_cast<const T*>(b), reinterpret_cast<T*>(y), pool);
  };
  switch (element_bytes) {
    case 1:
      return as(uint8_t{});
    case 2:
      return as(uint16_t{});
    case 4:
      return as(uint32_t{});
    case 8:
      return as(uint64_t{});
    default:
      return as(Bytes16{});
  }
}

}  // namespace lathe::kernels
