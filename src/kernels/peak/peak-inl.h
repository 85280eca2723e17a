// The loop of one ISA level; see elementwise/elementwise-inl.h for the scheme.

#define HWY_COMPILE_ONLY_STATIC 1
#include "hwy/highway.h"
#include "src/kernels/peak/peak.h"

namespace lathe::kernels {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
#if defined(LATHE_ONE_LANE)
using D = hn::CappedTag<float, 1>;
#else
using D = hn::ScalableTag<float>;
#endif
using V = hn::Vec<D>;

// 4 cycles of latency and 2 starts per cycle need 8 chains; 12 leave room. The
// values stay near 1: x -> x / 2 + 1 / 2.
float MultiplyAdds(size_t rounds) {
  const D d;
  const V a = hn::Set(d, 0.5f), b = hn::Set(d, 0.5f);
  // Different starts, or the compiler would keep one chain for all.
  V s0 = hn::Set(d, 0.0f), s1 = hn::Set(d, 0.1f), s2 = hn::Set(d, 0.2f),
    s3 = hn::Set(d, 0.3f), s4 = hn::Set(d, 0.4f), s5 = hn::Set(d, 0.5f),
    s6 = hn::Set(d, 0.6f), s7 = hn::Set(d, 0.7f), s8 = hn::Set(d, 0.8f),
    s9 = hn::Set(d, 0.9f), s10 = hn::Set(d, 1.1f), s11 = hn::Set(d, 1.2f);
  for (size_t i = 0; i < rounds; ++i) {
    s0 = hn::MulAdd(s0, a, b);
    s1 = hn::MulAdd(s1, a, b);
    s2 = hn::MulAdd(s2, a, b);
    s3 = hn::MulAdd(s3, a, b);
    s4 = hn::MulAdd(s4, a, b);
    s5 = hn::MulAdd(s5, a, b);
    s6 = hn::MulAdd(s6, a, b);
    s7 = hn::MulAdd(s7, a, b);
    s8 = hn::MulAdd(s8, a, b);
    s9 = hn::MulAdd(s9, a, b);
    s10 = hn::MulAdd(s10, a, b);
    s11 = hn::MulAdd(s11, a, b);
  }
  const V low =
      hn::Add(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), hn::Add(s4, s5));
  const V high =
      hn::Add(hn::Add(hn::Add(s6, s7), hn::Add(s8, s9)), hn::Add(s10, s11));
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(low, high)));
}

size_t LaneCount() {
  const D d;
  return hn::Lanes(d);
}

}  // namespace

const PeakKernel LATHE_TABLE = {LATHE_TABLE_NAME, LATHE_TABLE_ISA, LaneCount(),
                                MultiplyAdds};

}  // namespace lathe::kernels
