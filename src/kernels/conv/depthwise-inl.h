// The code of one ISA level; see elementwise/elementwise-inl.h for the scheme.

#define HWY_COMPILE_ONLY_STATIC 1
#include "hwy/highway.h"
#include "src/kernels/conv/depthwise.h"

namespace lathe::kernels {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
#if defined(LATHE_ONE_LANE)
constexpr size_t kWidest = 1;
#else
constexpr size_t kWidest = 16;
#endif
template <size_t kLanes>
using Tag = hn::CappedTag < float,
      kLanes<kWidest ? kLanes : kWidest>;

// Output channels c to c + kVectors * lanes; chains of sums side by side hide
// the latency of each. `x_at(d, pixel, c)` loads what the channels multiply.
template <size_t kVectors, class T, class F>
HWY_INLINE void Sum(T d, const Taps& taps, const float* x, const float* filter,
                    const float* bias, size_t c, Clamp clamp, const F& x_at,
                    float* y) {
  const size_t lanes = hn::Lanes(d);
  hn::Vec<T> sum[kVectors];
  for (size_t v = 0; v < kVectors; ++v) {
    sum[v] = bias == nullptr ? hn::Zero(d) : hn::LoadU(d, bias + c + v * lanes);
  }
  for (size_t t = 0; t < taps.count; ++t) {
    const float* pixel = x + taps.in[t];
    const float* row = filter + taps.filter[t] + c;
    for (size_t v = 0; v < kVectors; ++v) {
      sum[v] = hn::MulAdd(x_at(d, pixel, c + v * lanes),
                          hn::LoadU(d, row + v * lanes), sum[v]);
    }
  }
  for (size_t v = 0; v < kVectors; ++v) {
    hn::Vec<T> value = sum[v];
    // Written so that a NaN stays one.
    value = hn::IfThenElse(hn::Lt(value, hn::Set(d, clamp.low)),
                           hn::Set(d, clamp.low), value);
    value = hn::IfThenElse(hn::Gt(value, hn::Set(d, clamp.high)),
                           hn::Set(d, clamp.high), value);
    hn::StoreU(value, d, y + c + v * lanes);
  }
}

// Channels [begin, end), with vectors of at most kLanes. The last vector of a
// width reaches back over channels already done.
template <size_t kLanes, class F>
HWY_INLINE void Over(size_t begin, size_t end, const F& work) {
  const Tag<kLanes> d;
  const size_t lanes = hn::Lanes(d);
  size_t c = begin;
  if (c + lanes <= end) {
    for (; c + 4 * lanes <= end; c += 4 * lanes) {
      work(d, std::integral_constant<size_t, 4>(), c);
    }
    for (; c + lanes <= end; c += lanes) {
      work(d, std::integral_constant<size_t, 1>(), c);
    }
    if (c < end) work(d, std::integral_constant<size_t, 1>(), end - lanes);
    return;
  }
  if constexpr (kLanes > 1) Over<kLanes / 2>(begin, end, work);
}

void Pixel(const Taps& taps, const float* x, const float* filter,
           const float* bias, size_t channels, size_t multiplier, Clamp clamp,
           float* y) {
  if (multiplier == 1) {
    Over<kWidest>(0, channels, [&](auto d, auto vectors, size_t c) HWY_ATTR {
      Sum<vectors()>(
          d, taps, x, filter, bias, c, clamp,
          [](auto tag, const float* pixel, size_t at)
              HWY_ATTR { return hn::LoadU(tag, pixel + at); },
          y);
    });
    return;
  }
  for (size_t i = 0; i < channels / multiplier; ++i) {
    Over<kWidest>(i * multiplier, (i + 1) * multiplier,
                  [&](auto d, auto vectors, size_t c) HWY_ATTR {
                    Sum<vectors()>(
                        d, taps, x, filter, bias, c, clamp,
                        [i](auto tag, const float* pixel, size_t)
                            HWY_ATTR { return hn::Set(tag, pixel[i]); },
                        y);
                  });
  }
}

}  // namespace

extern const DepthwiseKernels LATHE_TABLE;
constinit const DepthwiseKernels LATHE_TABLE = {LATHE_TABLE_NAME,
                                                LATHE_TABLE_ISA, Pixel};

}  // namespace lathe::kernels
