#include "src/kernels/indexing/search.h"

#include <algorithm>
#include <numeric>
#include <type_traits>

namespace lathe::kernels {
namespace {

// Descending, NaN last.
template <typename T>
bool IsAbove(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (a != a) return false;
    if (b != b) return true;
  }
  return a > b;
}

template <typename T, typename P>
void TopKOfRow(size_t n, size_t k, const T* x, T* values, P* positions,
               int32_t* heap) {
  // Best first; the heap's top is the worst that is kept.
  const auto better = [x](int32_t a, int32_t b) {
    if (IsAbove(x[a], x[b])) return true;
    return !IsAbove(x[b], x[a]) && a < b;
  };
  for (size_t i = 0; i < n && k > 0; ++i) {
    const auto index = static_cast<int32_t>(i);
    if (i < k) {
      heap[i] = index;
      std::push_heap(heap, heap + i + 1, better);
    } else if (better(index, heap[0])) {
      std::pop_heap(heap, heap + k, better);
      heap[k - 1] = index;
      std::push_heap(heap, heap + k, better);
    }
  }
  std::sort_heap(heap, heap + k, better);
  for (size_t i = 0; i < k; ++i) {
    values[i] = x[heap[i]];
    positions[i] = static_cast<P>(heap[i]);
  }
}

template <typename T>
bool IsNotZero(T x) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, Bfloat>) {
    return (x.bits & 0x7FFF) != 0;  // Without the sign.
  } else if constexpr (std::is_same_v<T, Truth>) {
    return x.byte != 0;
  } else {
    return x != T(0);
  }
}

}  // namespace

void RunTopK(Number type, size_t rows, size_t n, size_t k, const void* x,
             void* values, bool narrow, void* positions, int32_t* scratch,
             ThreadPool& pool) {
  WithNumber(type, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_arithmetic_v<T>) {
      pool.Run(rows, [&](size_t row, size_t thread) {
        const auto one = [&]<typename P>(P* to) {
          TopKOfRow(n, k, static_cast<const T*>(x) + row * n,
                    static_cast<T*>(values) + row * k, to + row * k,
                    scratch + thread * k);
        };
        if (narrow) {
          one(static_cast<int16_t*>(positions));
        } else {
          one(static_cast<int32_t*>(positions));
        }
      });
    }
  });
}

size_t RunUnique(Number type, size_t n, const void* x, size_t most,
                 void* values, bool wide, void* numbers, int32_t* scratch) {
  size_t count = 0;
  WithNumber(type, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_arithmetic_v<T>) {
      const T* from = static_cast<const T*>(x);
      int32_t* order = scratch;
      int32_t* first = scratch + n;  // The first place of each one's value.
      std::iota(order, order + n, 0);
      std::sort(order, order + n, [from](int32_t a, int32_t b) {
        if (IsAbove(from[a], from[b])) return true;
        return !IsAbove(from[b], from[a]) && a < b;
      });
      for (size_t i = 0; i < n; ++i) {
        const bool again =
            i > 0 && !IsAbove(from[order[i - 1]], from[order[i]]);
        first[order[i]] = again ? first[order[i - 1]] : order[i];
      }
      int32_t* number = order;
      for (size_t i = 0; i < n; ++i) {
        if (first[i] == static_cast<int32_t>(i)) {
          if (count < most) static_cast<T*>(values)[count] = from[i];
          number[i] = static_cast<int32_t>(count++);
        } else {
          number[i] = number[first[i]];
        }
        if (wide) {
          static_cast<int64_t*>(numbers)[i] = number[i];
        } else {
          static_cast<int32_t*>(numbers)[i] = number[i];
        }
      }
    }
  });
  return count;
}

size_t RunWhere(Number type, std::span<const int32_t> shape, const void* x,
                size_t most, int64_t* indices) {
  size_t n = 1, count = 0;
  for (const int32_t dim : shape) n *= static_cast<size_t>(dim);
  const size_t rank = shape.size();
  WithNumber(type, [&](auto zero) {
    using T = decltype(zero);
    const T* from = static_cast<const T*>(x);
    for (size_t i = 0; i < n; ++i) {
      if (!IsNotZero(from[i])) continue;
      if (count < most) {
        size_t rest = i;
        for (size_t d = rank; d-- > 0;) {
          const auto size = static_cast<size_t>(shape[d]);
          indices[count * rank + d] = static_cast<int64_t>(rest % size);
          rest /= size;
        }
      }
      ++count;
    }
  });
  return count;
}

}  // namespace lathe::kernels
