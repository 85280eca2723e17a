#include "src/kernels/quantized/pool.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace lathe::kernels {
namespace {

// Channels that are pooled side by side.
constexpr size_t kBlock = 256;

struct Span {
  size_t first, last;  // Inside the image.
};
Span Inside(size_t out, size_t stride, size_t pad, size_t window, size_t size) {
  const size_t begin = out * stride, end = begin + window;
  return {begin > pad ? begin - pad : 0,
          std::min(size, end > pad ? end - pad : 0)};
}

template <typename T, bool kLargest>
void PoolRow(const QuantizedPoolShape& s, IntegerRange range, size_t row,
             const T* x, T* y) {
  const size_t image = row / s.out_height, oy = row % s.out_height;
  const Span rows =
      Inside(oy, s.stride_height, s.pad_top, s.window_height, s.height);
  x += image * s.height * s.width * s.channels;
  y += row * s.out_width * s.channels;
  std::array<int32_t, kBlock> state;
  for (size_t ox = 0; ox < s.out_width; ++ox) {
    const Span columns =
        Inside(ox, s.stride_width, s.pad_left, s.window_width, s.width);
    const int32_t count = static_cast<int32_t>((rows.last - rows.first) *
                                               (columns.last - columns.first));
    for (size_t c = 0; c < s.channels; c += kBlock) {
      const size_t n = std::min(kBlock, s.channels - c);
      std::fill_n(state.begin(), n,
                  kLargest ? std::numeric_limits<T>::min() : 0);
      for (size_t iy = rows.first; iy < rows.last; ++iy) {
        for (size_t ix = columns.first; ix < columns.last; ++ix) {
          const T* from = x + (iy * s.width + ix) * s.channels + c;
          for (size_t i = 0; i < n; ++i) {
            state[i] = kLargest ? std::max<int32_t>(state[i], from[i])
                                : state[i] + from[i];
          }
        }
      }
      T* to = y + ox * s.channels + c;
      for (size_t i = 0; i < n; ++i) {
        int32_t value = state[i];
        if (!kLargest) {
          value = (value > 0 ? value + count / 2 : value - count / 2) / count;
        }
        to[i] = static_cast<T>(std::clamp(value, range.low, range.high));
      }
    }
  }
}

template <typename T>
void RunPool(bool largest, const QuantizedPoolShape& shape, IntegerRange range,
             const void* x, void* y, ThreadPool& pool) {
  pool.Run(shape.batch * shape.out_height, [&](size_t row, size_t) {
    if (largest) {
      PoolRow<T, true>(shape, range, row, static_cast<const T*>(x),
                       static_cast<T*>(y));
    } else {
      PoolRow<T, false>(shape, range, row, static_cast<const T*>(x),
                        static_cast<T*>(y));
    }
  });
}

// Where an output falls between two inputs: `at` less `low` is the weight of
// `high`.
template <typename Number>
struct Place {
  Number at;
  int64_t low, high;
};

// 10 bits after the point.
Place<int64_t> FixedPlace(size_t out, size_t in_size, size_t out_size,
                          const QuantizedResizeShape& s) {
  int64_t from = static_cast<int64_t>(in_size);
  int64_t to = static_cast<int64_t>(out_size);
  if (s.align && to > 1) {
    --from;
    --to;
  }
  const int64_t step = (1024 * from + to / 2) / to;
  int64_t at = static_cast<int64_t>(out) * step;
  if (s.half_pixel) at += step / 2 - 512;
  return {
      at, std::max<int64_t>(at / 1024, 0),
      std::min<int64_t>((at + 1023) / 1024, static_cast<int64_t>(in_size) - 1)};
}

Place<float> RealPlace(size_t out, size_t in_size, size_t out_size,
                       const QuantizedResizeShape& s) {
  const bool align = s.align && out_size > 1;
  const float step = static_cast<float>(in_size - align) /
                     static_cast<float>(out_size - align);
  const float at = s.half_pixel ? (static_cast<float>(out) + 0.5F) * step - 0.5F
                                : static_cast<float>(out) * step;
  return {at, std::max<int64_t>(static_cast<int64_t>(std::floor(at)), 0),
          std::min<int64_t>(static_cast<int64_t>(std::ceil(at)),
                            static_cast<int64_t>(in_size) - 1)};
}

template <typename T>
void FixedRow(const QuantizedResizeShape& s, size_t row, const T* x, T* y) {
  const size_t image = row / s.out_height, oy = row % s.out_height;
  x += image * s.height * s.width * s.channels;
  y += row * s.out_width * s.channels;
  const Place<int64_t> v = FixedPlace(oy, s.height, s.out_height, s);
  const int64_t down = v.at - 1024 * v.low;
  for (size_t ox = 0; ox < s.out_width; ++ox) {
    const Place<int64_t> h = FixedPlace(ox, s.width, s.out_width, s);
    const int64_t right = h.at - 1024 * h.low;
    const auto at = [&](int64_t iy, int64_t ix) {
      return x + (static_cast<size_t>(iy) * s.width + static_cast<size_t>(ix)) *
                     s.channels;
    };
    const T* a = at(v.low, h.low);
    const T* b = at(v.high, h.low);
    const T* c = at(v.low, h.high);
    const T* d = at(v.high, h.high);
    T* to = y + ox * s.channels;
    for (size_t i = 0; i < s.channels; ++i) {
      const int64_t sum = a[i] * (1024 - down) * (1024 - right) +
                          b[i] * down * (1024 - right) +
                          c[i] * (1024 - down) * right + d[i] * down * right;
      constexpr int64_t kHalf = 1 << 19;
      to[i] = static_cast<T>((sum + (sum > 0 ? kHalf : -kHalf)) / (1 << 20));
    }
  }
}

void RealRow(const QuantizedResizeShape& s, size_t row, const uint8_t* x,
             uint8_t* y) {
  const size_t image = row / s.out_height, oy = row % s.out_height;
  x += image * s.height * s.width * s.channels;
  y += row * s.out_width * s.channels;
  const Place<float> v = RealPlace(oy, s.height, s.out_height, s);
  const float down = v.at - static_cast<float>(v.low);
  for (size_t ox = 0; ox < s.out_width; ++ox) {
    const Place<float> h = RealPlace(ox, s.width, s.out_width, s);
    const float right = h.at - static_cast<float>(h.low);
    const auto at = [&](int64_t iy, int64_t ix) {
      return x + (static_cast<size_t>(iy) * s.width + static_cast<size_t>(ix)) *
                     s.channels;
    };
    const uint8_t* a = at(v.low, h.low);
    const uint8_t* b = at(v.low, h.high);
    const uint8_t* c = at(v.high, h.low);
    const uint8_t* d = at(v.high, h.high);
    const float wa = (1 - down) * (1 - right), wb = (1 - down) * right;
    const float wc = down * (1 - right), wd = down * right;
    uint8_t* to = y + ox * s.channels;
    for (size_t i = 0; i < s.channels; ++i) {
      const float sum = a[i] * wa + b[i] * wb + c[i] * wc + d[i] * wd + 0.5F;
      to[i] = static_cast<uint8_t>(std::clamp(sum, 0.0F, 255.0F));
    }
  }
}

}  // namespace

void RunQuantizedPool(bool largest, QuantizedType type,
                      const QuantizedPoolShape& shape, IntegerRange range,
                      const void* x, void* y, ThreadPool& pool) {
  switch (type) {
    case QuantizedType::kInt8:
      return RunPool<int8_t>(largest, shape, range, x, y, pool);
    case QuantizedType::kUint8:
      return RunPool<uint8_t>(largest, shape, range, x, y, pool);
    case QuantizedType::kInt16:
      return RunPool<int16_t>(largest, shape, range, x, y, pool);
  }
}

void RunQuantizedBilinear(QuantizedType type, const QuantizedResizeShape& shape,
                          const void* x, void* y, ThreadPool& pool) {
  pool.Run(shape.batch * shape.out_height, [&](size_t row, size_t) {
    switch (type) {
      case QuantizedType::kInt8:
        return FixedRow(shape, row, static_cast<const int8_t*>(x),
                        static_cast<int8_t*>(y));
      case QuantizedType::kInt16:
        return FixedRow(shape, row, static_cast<const int16_t*>(x),
                        static_cast<int16_t*>(y));
      case QuantizedType::kUint8:
        return RealRow(shape, row, static_cast<const uint8_t*>(x),
                       static_cast<uint8_t*>(y));
    }
  });
}

}  // namespace lathe::kernels
