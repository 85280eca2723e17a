#include "src/kernels/indexing/scatter.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <type_traits>

namespace lathe::kernels {
namespace {

// The first row with an index out of range, or `rows`.
size_t FirstBadRow(std::span<const int32_t> dims,
                   std::span<const int64_t> indices, size_t rows) {
  const size_t k = dims.size();
  for (size_t i = 0; i < rows * k; ++i) {
    if (indices[i] < 0 || indices[i] >= dims[i % k]) return i / k;
  }
  return rows;
}

size_t RowOf(std::span<const int32_t> dims, const int64_t* index) {
  size_t at = 0;
  for (size_t d = 0; d < dims.size(); ++d) {
    at = at * static_cast<size_t>(dims[d]) + static_cast<size_t>(index[d]);
  }
  return at;
}

// Integers through an unsigned type of at least 32 bits, where overflow is
// defined.
template <typename T, typename F>
T Wrapped(T a, T b, const F& f) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::common_type_t<std::make_unsigned_t<T>, unsigned>;
    return static_cast<T>(f(static_cast<U>(a), static_cast<U>(b)));
  } else {
    return f(a, b);
  }
}

template <typename T>
T First(Segments kind) {
  using Limits = std::numeric_limits<T>;
  switch (kind) {
    case Segments::kSum:
      return 0;
    case Segments::kProd:
      return 1;
    case Segments::kMax:
      return Limits::lowest();
    case Segments::kMin:
      break;
  }
  return Limits::max();
}

template <typename T>
T Joined(Segments kind, T a, T b) {
  switch (kind) {
    case Segments::kSum:
      return Wrapped(a, b, std::plus<>());
    case Segments::kProd:
      return Wrapped(a, b, std::multiplies<>());
    case Segments::kMax:
      return std::max(a, b);
    case Segments::kMin:
      break;
  }
  return std::min(a, b);
}

}  // namespace

size_t RunScatterNd(Number type, std::span<const int32_t> dims, size_t inner,
                    std::span<const int64_t> indices, size_t rows,
                    const void* updates, size_t elements, void* to) {
  const size_t good = FirstBadRow(dims, indices, rows);
  if (good < rows) return good;
  WithNumber(type, [&](auto zero) {
    using Type = decltype(zero);
    using T = std::conditional_t<std::is_same_v<Type, Truth>, uint8_t, Type>;
    if constexpr (std::is_arithmetic_v<T>) {
      T* y = static_cast<T*>(to);
      const T* x = static_cast<const T*>(updates);
      std::fill_n(y, elements, T(0));
      for (size_t i = 0; i < rows; ++i) {
        T* row = y + RowOf(dims, indices.data() + i * dims.size()) * inner;
        for (size_t j = 0; j < inner; ++j) {
          const T value = x[i * inner + j];
          if constexpr (std::is_same_v<Type, Truth>) {
            row[j] = row[j] != 0 || value != 0;
          } else {
            row[j] = Wrapped(row[j], value, std::plus<>());
          }
        }
      }
    }
  });
  return rows;
}

size_t RunSparseToDense(std::span<const int32_t> dims, size_t element_bytes,
                        std::span<const int64_t> indices, size_t rows,
                        const std::byte* values, bool one_value,
                        const std::byte* filler, size_t elements,
                        std::byte* to) {
  const size_t good = FirstBadRow(dims, indices, rows);
  if (good < rows) return good;
  for (size_t i = 0; i < elements; ++i) {
    std::memcpy(to + i * element_bytes, filler, element_bytes);
  }
  for (size_t i = 0; i < rows; ++i) {
    const size_t at = RowOf(dims, indices.data() + i * dims.size());
    std::memcpy(to + at * element_bytes,
                values + (one_value ? 0 : i) * element_bytes, element_bytes);
  }
  return rows;
}

size_t RunSegments(Segments kind, Number type, std::span<const int64_t> ids,
                   size_t segments, size_t inner, const void* x, void* y) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= static_cast<int64_t>(segments)) return i;
  }
  WithNumber(type, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_arithmetic_v<T>) {
      T* to = static_cast<T*>(y);
      std::fill_n(to, segments * inner, First<T>(kind));
      for (size_t i = 0; i < ids.size(); ++i) {
        if (ids[i] < 0) continue;
        T* row = to + static_cast<size_t>(ids[i]) * inner;
        const T* from = static_cast<const T*>(x) + i * inner;
        for (size_t j = 0; j < inner; ++j) {
          row[j] = Joined(kind, row[j], from[j]);
        }
      }
    }
  });
  return ids.size();
}

void RunEmbeddingSums(Combiner combiner, std::span<const int64_t> buckets,
                      const int32_t* ids, const float* weights, size_t inner,
                      const float* table, size_t elements, float* y) {
  std::fill_n(y, elements, 0.0f);
  const size_t n = buckets.size();
  for (size_t first = 0; first < n;) {
    float* row = y + static_cast<size_t>(buckets[first]) * inner;
    float total = 0, squares = 0;
    size_t i = first;
    for (; i < n && buckets[i] == buckets[first]; ++i) {
      const float w = weights[i];
      total += w;
      squares += w * w;
      const float* from = table + static_cast<size_t>(ids[i]) * inner;
      for (size_t j = 0; j < inner; ++j) row[j] += w * from[j];
    }
    float divisor = 1;
    if (combiner == Combiner::kMean) divisor = total;
    if (combiner == Combiner::kSqrtN) divisor = std::sqrt(squares);
    if (combiner != Combiner::kSum && divisor != 0) {
      for (size_t j = 0; j < inner; ++j) row[j] *= 1 / divisor;
    }
    first = i;
  }
}

}  // namespace lathe::kernels
