// Vector exp, log, tanh and their kin for the whole range of float32.
//
// Highway's own math-inl.h promises less: its Exp is for x <= 104 (a logistic
// of -200 came out as 1) and gives 0 for NaN, its Log is for x > 0.
//
// Include after hwy/highway.h, in a file of one ISA level. Every function
// passes NaN on; errors are in units in the last place against the exact value,
// without FMA too, and elementwise_test.cc measures them.

#ifndef LATHE_KERNELS_ELEMENTWISE_MATH_INL_H_
#define LATHE_KERNELS_ELEMENTWISE_MATH_INL_H_

#include <cmath>

#include "hwy/highway.h"

namespace lathe::kernels {
namespace {  // One copy per ISA level: never shared between their files.
namespace math {

namespace hn = hwy::HWY_NAMESPACE;
#if defined(LATHE_ONE_LANE)
using D = hn::CappedTag<float, 1>;
#else
using D = hn::ScalableTag<float>;
#endif
using V = hn::Vec<D>;

// Comparisons and not Min and Max, of which each ISA treats NaN in its own way.
HWY_INLINE V Between(V x, V low, V high) {
  return hn::IfThenElse(hn::Gt(x, high), high,
                        hn::IfThenElse(hn::Lt(x, low), low, x));
}

HWY_INLINE V Between(V x, float low, float high) {
  const D d;
  return Between(x, hn::Set(d, low), hn::Set(d, high));
}

// 2^n for n in [-126, 127].
template <typename I>
HWY_INLINE V PowerOfTwo(I n) {
  const D d;
  const hn::RebindToSigned<D> di;
  return hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(n, hn::Set(di, 127))));
}

// x = n log 2 + r with |r| <= log(2) / 2; log 2 = 0.693145752 + 1.42860677e-6,
// the first with 12 zero bits at the end, so that n times it is exact.
HWY_INLINE V ReduceByLog2(V x, V& n) {
  const D d;
  n = hn::Round(hn::Mul(x, hn::Set(d, 1.44269504f)));
  const V r = hn::NegMulAdd(n, hn::Set(d, 0.693145752f), x);
  return hn::NegMulAdd(n, hn::Set(d, 1.42860677e-6f), r);
}

// e^r - 1 for |r| <= log(2) / 2: r + r^2 (1/2! + r/3! + ... + r^5/7!). The next
// term is 5e-9 of the result.
HWY_INLINE V ExpMinus1Reduced(V r) {
  const D d;
  V p = hn::Set(d, 1.0f / 5040);
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 720));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 120));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 24));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 6));
  p = hn::MulAdd(p, r, hn::Set(d, 0.5f));
  return hn::MulAdd(hn::Mul(r, r), p, r);
}

// e^x; 0 below -104, infinity above 88.7, subnormals between -104 and -87.3.
HWY_INLINE V Exp(V x) {
  const D d;
  V n;
  const V r = ReduceByLog2(Between(x, -104.0f, 89.0f), n);
  const V e = hn::Add(ExpMinus1Reduced(r), hn::Set(d, 1.0f));
  // Twice half the power: n reaches 128 and -150, 2^n alone would not fit.
  const hn::RebindToSigned<D> di;
  const auto whole = hn::ConvertTo(di, n);
  const auto half = hn::ShiftRight<1>(whole);
  return hn::Mul(hn::Mul(e, PowerOfTwo(half)),
                 PowerOfTwo(hn::Sub(whole, half)));
}

// e^x - 1 for x <= 0, without loss near 0.
HWY_INLINE V ExpMinus1OfNegative(V x) {
  const D d;
  V n;
  const V r = ReduceByLog2(Between(x, -30.0f, 0.0f), n);  // e^-30 - 1 is -1.
  const hn::RebindToSigned<D> di;
  const V power = PowerOfTwo(hn::ConvertTo(di, n));
  // 2^n (1 + p) - 1, where 2^n - 1 is exact until p no longer counts.
  return hn::MulAdd(power, ExpMinus1Reduced(r),
                    hn::Sub(power, hn::Set(d, 1.0f)));
}

// (1 - e^-2|x|) / (1 + e^-2|x|) with the sign of x.
HWY_INLINE V Tanh(V x) {
  const D d;
  const V e = ExpMinus1OfNegative(hn::Mul(hn::Abs(x), hn::Set(d, -2.0f)));
  const V t = hn::Div(hn::Neg(e), hn::Add(e, hn::Set(d, 2.0f)));
  return hn::CopySign(t, x);
}

// log x = k log 2 + log m, m in [sqrt(1/2), sqrt 2). With f = m - 1 and
// s = f / (2 + f), log m = 2 atanh s = f - f^2/2 + s (f^2/2 + R), where
// R = 2 (s^2/3 + s^4/5 + ...): the small terms are added to f last. -infinity
// at 0, NaN below.
HWY_INLINE V Log(V x) {
  const D d;
  const hn::RebindToSigned<D> di;
  const V one = hn::Set(d, 1.0f);
  const auto tiny = hn::Lt(x, hn::Set(d, 1.17549435e-38f));
  const V scaled =
      hn::IfThenElse(tiny, hn::Mul(x, hn::Set(d, 33554432.0f)), x);  // 2^25
  // The bits of sqrt(1/2): subtracting them makes the exponent count from
  // there.
  const auto offset = hn::Set(di, 0x3F3504F3);
  const auto bits = hn::Sub(hn::BitCast(di, scaled), offset);
  V k = hn::ConvertTo(d, hn::ShiftRight<23>(bits));
  k = hn::Sub(k, hn::IfThenElseZero(tiny, hn::Set(d, 25.0f)));
  const V m =
      hn::BitCast(d, hn::Add(hn::And(bits, hn::Set(di, 0x007FFFFF)), offset));
  const V f = hn::Sub(m, one);
  const V s = hn::Div(f, hn::Add(f, hn::Set(d, 2.0f)));
  const V z = hn::Mul(s, s);
  V r = hn::Set(d, 2.0f / 9);
  r = hn::MulAdd(r, z, hn::Set(d, 2.0f / 7));
  r = hn::MulAdd(r, z, hn::Set(d, 2.0f / 5));
  r = hn::MulAdd(r, z, hn::Set(d, 2.0f / 3));
  r = hn::Mul(r, z);
  const V half_square = hn::Mul(hn::Mul(f, f), hn::Set(d, 0.5f));
  const V low = hn::MulAdd(k, hn::Set(d, 1.42860677e-6f),
                           hn::Mul(s, hn::Add(half_square, r)));
  V y = hn::Add(hn::Sub(low, half_square), f);
  y = hn::MulAdd(k, hn::Set(d, 0.693145752f), y);
  const V infinity = hn::Set(d, HUGE_VALF);
  y = hn::IfThenElse(hn::Eq(x, infinity), infinity, y);
  y = hn::IfThenElse(hn::Eq(x, hn::Zero(d)), hn::Neg(infinity), y);
  // x - x is 0 or, of NaN, NaN: both kinds of bad x end here.
  const V bad = hn::Div(hn::Sub(x, x), hn::Zero(d));
  return hn::IfThenElse(hn::Ge(x, hn::Zero(d)), y, bad);
}

// log(1 + u) for u in [0, 1], without loss near 0: 2 atanh s for
// s = u / (2 + u) <= 1/3, by its series to s^15; the next term is 1e-8 of it.
HWY_INLINE V LogOfOnePlusSmall(V u) {
  const D d;
  const V s = hn::Div(u, hn::Add(u, hn::Set(d, 2.0f)));
  const V z = hn::Mul(s, s);
  V p = hn::Set(d, 2.0f / 15);
  p = hn::MulAdd(p, z, hn::Set(d, 2.0f / 13));
  p = hn::MulAdd(p, z, hn::Set(d, 2.0f / 11));
  p = hn::MulAdd(p, z, hn::Set(d, 2.0f / 9));
  p = hn::MulAdd(p, z, hn::Set(d, 2.0f / 7));
  p = hn::MulAdd(p, z, hn::Set(d, 2.0f / 5));
  p = hn::MulAdd(p, z, hn::Set(d, 2.0f / 3));
  return hn::MulAdd(hn::Mul(p, z), s, hn::Add(s, s));
}

}  // namespace math
}  // namespace
}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_ELEMENTWISE_MATH_INL_H_
