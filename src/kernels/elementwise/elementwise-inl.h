// The code of one ISA level: included by scalar.cc, x86_avx2.cc ... , which
// name the table by defining LATHE_TABLE, LATHE_TABLE_NAME and LATHE_TABLE_ISA.
// Highway takes the level from the file's compiler flags (cmake/isa.cmake).

#define HWY_COMPILE_ONLY_STATIC 1
#include <cmath>

#include "hwy/highway.h"
#include "src/base/half.h"
#include "src/kernels/elementwise/elementwise.h"
#include "src/kernels/elementwise/math-inl.h"

namespace lathe::kernels {
namespace {

using math::Between;
using math::D;
using math::V;
namespace hn = math::hn;

// Calls f(i, lanes) for whole vectors and then, for the rest, through buffers
// of one vector, so that every element takes the same path.
template <typename F>
HWY_INLINE void Unrolled1(size_t n, const float* x, float* y, const F& f) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(f(hn::LoadU(d, x + i)), d, y + i);
  }
  if (i < n) {
    HWY_ALIGN float in[HWY_MAX_BYTES / sizeof(float)] = {};
    HWY_ALIGN float out[HWY_MAX_BYTES / sizeof(float)];
    for (size_t j = i; j < n; ++j) in[j - i] = x[j];
    hn::Store(f(hn::Load(d, in)), d, out);
    for (size_t j = i; j < n; ++j) y[j] = out[j - i];
  }
}

template <typename F>
HWY_INLINE void Unrolled2(size_t n, const float* a, size_t a_step,
                          const float* b, size_t b_step, float* y, const F& f) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const V a0 = hn::Set(d, n > 0 ? a[0] : 0.0f);
  const V b0 = hn::Set(d, n > 0 ? b[0] : 0.0f);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const V va = a_step ? hn::LoadU(d, a + i) : a0;
    const V vb = b_step ? hn::LoadU(d, b + i) : b0;
    hn::StoreU(f(va, vb), d, y + i);
  }
  if (i < n) {
    HWY_ALIGN float in_a[HWY_MAX_BYTES / sizeof(float)] = {};
    HWY_ALIGN float in_b[HWY_MAX_BYTES / sizeof(float)] = {};
    HWY_ALIGN float out[HWY_MAX_BYTES / sizeof(float)];
    for (size_t j = i; j < n; ++j) {
      in_a[j - i] = a[j * a_step];
      in_b[j - i] = b[j * b_step];
    }
    hn::Store(f(hn::Load(d, in_a), hn::Load(d, in_b)), d, out);
    for (size_t j = i; j < n; ++j) y[j] = out[j - i];
  }
}

HWY_INLINE V Logistic(V x) {
  const D d;
  const V one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, math::Exp(hn::Neg(x))));
}

// y with |y| <= pi / 2 and y = x - n pi, n whole; pi in three parts, so that
// the product with n is exact enough up to n of some thousands.
HWY_INLINE V ReduceByPi(V x, V& whole) {
  const D d;
  whole = hn::Round(hn::Mul(x, hn::Set(d, 0.318309886f)));
  V y = hn::NegMulAdd(whole, hn::Set(d, 3.140625f), x);
  y = hn::NegMulAdd(whole, hn::Set(d, 9.67502593994140625e-4f), y);
  return hn::NegMulAdd(whole, hn::Set(d, 1.5099579909783765e-7f), y);
}

// sin on [-pi/2, pi/2]: odd Taylor polynomial to x^13, error below 1e-9.
HWY_INLINE V SinReduced(V y) {
  const D d;
  const V z = hn::Mul(y, y);
  V p = hn::Set(d, 1.60590438e-10f);
  p = hn::MulAdd(p, z, hn::Set(d, -2.50521084e-8f));
  p = hn::MulAdd(p, z, hn::Set(d, 2.75573192e-6f));
  p = hn::MulAdd(p, z, hn::Set(d, -1.98412698e-4f));
  p = hn::MulAdd(p, z, hn::Set(d, 8.33333333e-3f));
  p = hn::MulAdd(p, z, hn::Set(d, -1.66666667e-1f));
  return hn::MulAdd(hn::Mul(p, z), y, y);
}

// (-1)^n applied to v, for whole n.
HWY_INLINE V AlternateSign(V v, V n) {
  const D d;
  const hn::RebindToSigned<D> di;
  const auto odd = hn::ShiftLeft<31>(hn::ConvertTo(di, n));
  return hn::Xor(v, hn::BitCast(d, odd));
}

// Beyond this the reduction by floats fails and the C library does it, lane by
// lane; also for infinity and NaN.
constexpr float kFar = 1e4f;

HWY_INLINE bool AllNear(V x) {
  const D d;
  return hn::AllTrue(d, hn::Le(hn::Abs(x), hn::Set(d, kFar)));
}

template <typename F>
HWY_INLINE V LaneByLane(V x, const F& f) {
  const D d;
  HWY_ALIGN float lane[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(x, d, lane);
  for (size_t i = 0; i < hn::Lanes(d); ++i) lane[i] = f(lane[i]);
  return hn::Load(d, lane);
}

HWY_INLINE V Sine(V x) {
  if (HWY_UNLIKELY(!AllNear(x))) {
    return LaneByLane(x, [](float v) {
      return static_cast<float>(std::sin(static_cast<double>(v)));
    });
  }
  V n;
  const V y = ReduceByPi(x, n);
  return AlternateSign(SinReduced(y), n);
}

// cos x = sin(x + pi/2) = +-sin(x - (n - 1/2) pi): the half is taken off n.
HWY_INLINE V Cosine(V x) {
  if (HWY_UNLIKELY(!AllNear(x))) {
    return LaneByLane(x, [](float v) {
      return static_cast<float>(std::cos(static_cast<double>(v)));
    });
  }
  const D d;
  const V half = hn::Set(d, 0.5f);
  const V n = hn::Round(hn::MulAdd(x, hn::Set(d, 0.318309886f), half));
  const V m = hn::Sub(n, half);
  V y = hn::NegMulAdd(m, hn::Set(d, 3.140625f), x);
  y = hn::NegMulAdd(m, hn::Set(d, 9.67502593994140625e-4f), y);
  y = hn::NegMulAdd(m, hn::Set(d, 1.5099579909783765e-7f), y);
  return AlternateSign(SinReduced(y), n);
}

// erf by Abramowitz and Stegun 7.1.26 has 1.5e-7 absolute error, too much for
// GELU's tail; the complement below is W. J. Cody's form in one polynomial:
// erfc(x) = t exp(-x^2 + P(t)), t = 1 / (1 + x / 2) (Numerical Recipes 6.2),
// relative error below 1.2e-7.
HWY_INLINE V Erfc(V x) {
  const D d;
  const V z = hn::Abs(x);
  const V t = hn::Div(hn::Set(d, 1.0f),
                      hn::MulAdd(hn::Set(d, 0.5f), z, hn::Set(d, 1.0f)));
  V p = hn::Set(d, 0.17087277f);
  p = hn::MulAdd(p, t, hn::Set(d, -0.82215223f));
  p = hn::MulAdd(p, t, hn::Set(d, 1.48851587f));
  p = hn::MulAdd(p, t, hn::Set(d, -1.13520398f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.27886807f));
  p = hn::MulAdd(p, t, hn::Set(d, -0.18628806f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.09678418f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.37409196f));
  p = hn::MulAdd(p, t, hn::Set(d, 1.00002368f));
  p = hn::MulAdd(p, t, hn::Set(d, -1.26551223f));
  const V e = hn::Mul(t, math::Exp(hn::NegMulAdd(z, z, p)));
  return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Sub(hn::Set(d, 2.0f), e),
                        e);
}

HWY_INLINE V GeluTanh(V x) {
  const D d;
  const V inner =
      hn::Mul(hn::Set(d, 0.79788456f),
              hn::MulAdd(hn::Mul(hn::Mul(x, x), x), hn::Set(d, 0.044715f), x));
  return hn::Mul(hn::Mul(hn::Set(d, 0.5f), x),
                 hn::Add(hn::Set(d, 1.0f), math::Tanh(inner)));
}

void RunUnary(Unary kind, size_t n, const float* x, float* y, float alpha) {
  const D d;
  const V zero = hn::Zero(d);
  const V one = hn::Set(d, 1.0f);
  switch (kind) {
#define LATHE_CASE(name, expression) \
  case Unary::name:                  \
    return Unrolled1(n, x, y, [&](V v) HWY_ATTR { return expression; });
    LATHE_CASE(kAbs, hn::Abs(v))
    LATHE_CASE(kNeg, hn::Neg(v))
    LATHE_CASE(kSqrt, hn::Sqrt(v))
    LATHE_CASE(kRsqrt, hn::Div(one, hn::Sqrt(v)))
    LATHE_CASE(kSquare, hn::Mul(v, v))
    LATHE_CASE(kExp, math::Exp(v))
    LATHE_CASE(kLog, math::Log(v))
    LATHE_CASE(kSin, Sine(v))
    LATHE_CASE(kCos, Cosine(v))
    LATHE_CASE(kTanh, math::Tanh(v))
    LATHE_CASE(kLogistic, Logistic(v))
    LATHE_CASE(kRelu, hn::IfThenElse(hn::Lt(v, zero), zero, v))
    LATHE_CASE(kRelu6, Between(v, 0.0f, 6.0f))
    LATHE_CASE(kReluN1To1, Between(v, -1.0f, 1.0f))
    LATHE_CASE(kRelu0To1, Between(v, 0.0f, 1.0f))
    LATHE_CASE(kElu,
               hn::IfThenElse(hn::Gt(v, zero), v, math::ExpMinus1OfNegative(v)))
    LATHE_CASE(kHardSwish,
               hn::Mul(v, hn::Mul(Between(hn::Add(v, hn::Set(d, 3.0f)), 0, 6),
                                  hn::Set(d, 1.0f / 6.0f))))
    LATHE_CASE(kLeakyRelu, hn::IfThenElse(hn::Gt(v, zero), v,
                                          hn::Mul(v, hn::Set(d, alpha))))
    LATHE_CASE(kGelu, hn::Mul(hn::Mul(hn::Set(d, 0.5f), v),
                              Erfc(hn::Mul(v, hn::Set(d, -0.70710678f)))))
    LATHE_CASE(kGeluTanh, GeluTanh(v))
    LATHE_CASE(kFloor, hn::Floor(v))
    LATHE_CASE(kCeil, hn::Ceil(v))
    LATHE_CASE(kRound, hn::Round(v))
    LATHE_CASE(kSign, hn::IfThenElse(hn::Gt(hn::Abs(v), zero),
                                     hn::CopySign(one, v), v))
    LATHE_CASE(kSilu, hn::Mul(v, Logistic(v)))
    LATHE_CASE(kSoftplus,
               hn::Add(hn::Max(v, zero),
                       math::LogOfOnePlusSmall(math::Exp(hn::Neg(hn::Abs(v))))))
#undef LATHE_CASE
  }
}

void RunBinary(Binary kind, size_t n, const float* a, size_t a_step,
               const float* b, size_t b_step, float* y, Clamp clamp) {
  const D d;
  const V low = hn::Set(d, clamp.low);
  const V high = hn::Set(d, clamp.high);
  switch (kind) {
#define LATHE_CASE(name, expression)                                      \
  case Binary::name:                                                      \
    return Unrolled2(n, a, a_step, b, b_step, y, [&](V u, V v) HWY_ATTR { \
      return Between((expression), low, high);                            \
    });
    LATHE_CASE(kAdd, hn::Add(u, v))
    LATHE_CASE(kSub, hn::Sub(u, v))
    LATHE_CASE(kMul, hn::Mul(u, v))
    LATHE_CASE(kDiv, hn::Div(u, v))
    LATHE_CASE(kMaximum, hn::IfThenElse(hn::Gt(u, v), u, v))
    LATHE_CASE(kMinimum, hn::IfThenElse(hn::Lt(u, v), u, v))
    LATHE_CASE(kSquaredDifference, hn::Mul(hn::Sub(u, v), hn::Sub(u, v)))
    LATHE_CASE(kPrelu, hn::IfThenElse(hn::Ge(u, hn::Zero(d)), u, hn::Mul(u, v)))
#undef LATHE_CASE
  }
}

void RunSnake(size_t n, const float* x, const float* a, const float* b,
              float* y) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const auto one = [&](V vx, V va, V vb) HWY_ATTR {
    V whole;  // sin^2 does not see the sign.
    const V s = SinReduced(ReduceByPi(hn::Mul(vx, va), whole));
    return hn::MulAdd(hn::Mul(s, s), vb, vx);
  };
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(
        one(hn::LoadU(d, x + i), hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d,
        y + i);
  }
  if (i < n) {
    HWY_ALIGN float in[3][HWY_MAX_BYTES / sizeof(float)] = {};
    HWY_ALIGN float out[HWY_MAX_BYTES / sizeof(float)];
    for (size_t j = i; j < n; ++j) {
      in[0][j - i] = x[j];
      in[1][j - i] = a[j];
      in[2][j - i] = b[j];
    }
    hn::Store(one(hn::Load(d, in[0]), hn::Load(d, in[1]), hn::Load(d, in[2])),
              d, out);
    for (size_t j = i; j < n; ++j) y[j] = out[j - i];
  }
}

void RunGatedSilu(size_t n, const float* value, const float* gate, float* y) {
  Unrolled2(n, value, 1, gate, 1, y, [](V u, V g) HWY_ATTR {
    return hn::Mul(u, hn::Mul(g, Logistic(g)));
  });
}

void RunRotary(size_t d_all, size_t half, const float* x, const float* cos,
               const float* sin, float* y) {
  for (size_t i = 0; i < half; ++i) {  // Vectorised by the compiler.
    const float a = x[i], b = x[half + i];
    y[i] = a * cos[i] - b * sin[i];
    y[half + i] = b * cos[i] + a * sin[i];
  }
  if (x == y) return;
  for (size_t i = 2 * half; i < d_all; ++i) y[i] = x[i];
}

void FromHalf(size_t n, const uint16_t* x, float* y) {
  size_t i = 0;
#if !defined(LATHE_ONE_LANE)
  const D d;
  const hn::Rebind<hwy::float16_t, D> half;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    const auto* from = reinterpret_cast<const hwy::float16_t*>(x + i);
    hn::StoreU(hn::PromoteTo(d, hn::LoadU(half, from)), d, y + i);
  }
#endif
  for (; i < n; ++i) y[i] = HalfToFloat(x[i]);
}

}  // namespace

const ElementwiseKernels LATHE_TABLE = {
    LATHE_TABLE_NAME, LATHE_TABLE_ISA, RunUnary,  RunBinary,
    RunSnake,         RunGatedSilu,    RunRotary, FromHalf};

}  // namespace lathe::kernels
