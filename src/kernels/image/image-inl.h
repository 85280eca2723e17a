// The code of one ISA level; see elementwise/elementwise-inl.h for the scheme.

#define HWY_COMPILE_ONLY_STATIC 1
#include <cmath>

#include "hwy/highway.h"
#include "src/kernels/image/image.h"

namespace lathe::kernels {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
#if defined(LATHE_ONE_LANE)
using D = hn::CappedTag<float, 1>;
using Small = hn::CappedTag<float, 1>;
#else
using D = hn::ScalableTag<float>;
using Small = hn::CappedTag<float, 4>;
#endif
using One = hn::CappedTag<float, 1>;

// Runs work(tag, c) for vectors that cover c in [0, n); the last one of a
// width reaches back over channels already done, so nothing is done by halves.
template <typename F>
HWY_INLINE void OverChannels(size_t n, const F& work) {
  const D d;
  const Small small;
  const size_t lanes = hn::Lanes(d), few = hn::Lanes(small);
  size_t c = 0;
  if (n >= lanes) {
    for (; c + lanes <= n; c += lanes) work(d, c);
    if (c < n) work(d, n - lanes);
    return;
  }
  if (n >= few) {
    for (; c + few <= n; c += few) work(small, c);
    if (c < n) work(small, n - few);
    return;
  }
  for (; c < n; ++c) work(One(), c);
}

template <class T>
HWY_INLINE hn::Vec<T> Limit(T d, hn::Vec<T> v, Clamp clamp) {
  // Written so that a NaN stays one.
  v = hn::IfThenElse(hn::Lt(v, hn::Set(d, clamp.low)), hn::Set(d, clamp.low),
                     v);
  return hn::IfThenElse(hn::Gt(v, hn::Set(d, clamp.high)),
                        hn::Set(d, clamp.high), v);
}

// join(sum, value) over the taps, from the first one, begin(value).
template <class T, class Begin, class Join>
HWY_INLINE hn::Vec<T> OverTaps(T d, size_t rows, size_t columns,
                               size_t row_stride, size_t pixel_stride,
                               const float* x, const Begin& begin,
                               const Join& join) {
  hn::Vec<T> v = begin(hn::LoadU(d, x));
  for (size_t j = 1; j < columns; ++j) {
    v = join(v, hn::LoadU(d, x + j * pixel_stride));
  }
  for (size_t i = 1; i < rows; ++i) {
    const float* row = x + i * row_stride;
    for (size_t j = 0; j < columns; ++j) {
      v = join(v, hn::LoadU(d, row + j * pixel_stride));
    }
  }
  return v;
}

void PoolPixel(Pool kind, size_t rows, size_t columns, size_t channels,
               size_t row_stride, size_t pixel_stride, const float* x,
               Clamp clamp, float* y) {
  const float count = static_cast<float>(rows * columns);
  switch (kind) {
    case Pool::kMax:
      return OverChannels(channels, [&](auto d, size_t c) HWY_ATTR {
        using V = hn::Vec<decltype(d)>;
        const V v = OverTaps(
            d, rows, columns, row_stride, pixel_stride, x + c,
            [](V t) HWY_ATTR { return t; },
            [](V s, V t)
                HWY_ATTR { return hn::IfThenElse(hn::Gt(t, s), t, s); });
        hn::StoreU(Limit(d, v, clamp), d, y + c);
      });
    case Pool::kAverage:
      return OverChannels(channels, [&](auto d, size_t c) HWY_ATTR {
        using V = hn::Vec<decltype(d)>;
        const V v = OverTaps(
            d, rows, columns, row_stride, pixel_stride, x + c,
            [](V t) HWY_ATTR { return t; },
            [](V s, V t) HWY_ATTR { return hn::Add(s, t); });
        hn::StoreU(Limit(d, hn::Div(v, hn::Set(d, count)), clamp), d, y + c);
      });
    case Pool::kL2:
      return OverChannels(channels, [&](auto d, size_t c) HWY_ATTR {
        using V = hn::Vec<decltype(d)>;
        const V v = OverTaps(
            d, rows, columns, row_stride, pixel_stride, x + c,
            [](V t) HWY_ATTR { return hn::Mul(t, t); },
            [](V s, V t) HWY_ATTR { return hn::Add(s, hn::Mul(t, t)); });
        hn::StoreU(Limit(d, hn::Sqrt(hn::Div(v, hn::Set(d, count))), clamp), d,
                   y + c);
      });
  }
}

void Bilinear(const BilinearRow& row, float* y) {
  const size_t channels = row.channels;
  for (size_t i = 0; i < row.n; ++i) {
    const size_t lo = static_cast<size_t>(row.lo[i]) * channels;
    const size_t hi = static_cast<size_t>(row.hi[i]) * channels;
    const float h = row.h[i], v = row.v;
    float* to = y + i * channels;
    OverChannels(channels, [&](auto d, size_t c) HWY_ATTR {
      const auto right = hn::Set(d, h), left = hn::Set(d, 1 - h);
      const auto top = hn::Add(hn::Mul(left, hn::LoadU(d, row.top + lo + c)),
                               hn::Mul(right, hn::LoadU(d, row.top + hi + c)));
      const auto bottom =
          hn::Add(hn::Mul(left, hn::LoadU(d, row.bottom + lo + c)),
                  hn::Mul(right, hn::LoadU(d, row.bottom + hi + c)));
      hn::StoreU(hn::Add(hn::Mul(hn::Set(d, 1 - v), top),
                         hn::Mul(hn::Set(d, v), bottom)),
                 d, to + c);
    });
  }
}

}  // namespace

const ImageKernels LATHE_TABLE = {LATHE_TABLE_NAME, LATHE_TABLE_ISA, PoolPixel,
                                  Bilinear};

}  // namespace lathe::kernels
