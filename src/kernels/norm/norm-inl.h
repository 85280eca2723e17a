// The code of one ISA level; see elementwise/elementwise-inl.h for the scheme.

#define HWY_COMPILE_ONLY_STATIC 1
#include <cmath>

#include "hwy/highway.h"
#include "src/kernels/elementwise/math-inl.h"
#include "src/kernels/norm/norm.h"

namespace lathe::kernels {
namespace {

using math::D;
using math::V;
namespace hn = math::hn;

// Loads up to one vector; lanes beyond n hold `fill`.
HWY_INLINE V LoadSome(const float* x, size_t n, float fill) {
  const D d;
  HWY_ALIGN float in[HWY_MAX_BYTES / sizeof(float)];
  for (size_t j = 0; j < hn::Lanes(d); ++j) in[j] = j < n ? x[j] : fill;
  return hn::Load(d, in);
}

HWY_INLINE void StoreSome(V v, float* y, size_t n) {
  const D d;
  HWY_ALIGN float out[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(v, d, out);
  for (size_t j = 0; j < n; ++j) y[j] = out[j];
}

// Sum of f over a row: four sums side by side hide the latency of the add.
template <typename F>
HWY_INLINE float SumOf(size_t n, const float* x, const F& f) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  V s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    s0 = hn::Add(s0, f(hn::LoadU(d, x + i)));
    s1 = hn::Add(s1, f(hn::LoadU(d, x + i + lanes)));
    s2 = hn::Add(s2, f(hn::LoadU(d, x + i + 2 * lanes)));
    s3 = hn::Add(s3, f(hn::LoadU(d, x + i + 3 * lanes)));
  }
  for (; i + lanes <= n; i += lanes) s0 = hn::Add(s0, f(hn::LoadU(d, x + i)));
  if (i < n) {
    const V rest = f(LoadSome(x + i, n - i, 0.0f));
    s1 = hn::Add(s1, hn::IfThenElseZero(hn::FirstN(d, n - i), rest));
  }
  return hn::GetLane(
      hn::SumOfLanes(d, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
}

float Sum(size_t n, const float* x) {
  return SumOf(n, x, [](V v) HWY_ATTR { return v; });
}

// y = (x - mean) * scale * gamma + beta.
HWY_INLINE void Scale(size_t n, const float* x, float mean, float scale,
                      const float* gamma, const float* beta, float* y) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const V m = hn::Set(d, mean), s = hn::Set(d, scale);
  const V one = hn::Set(d, 1.0f), zero = hn::Zero(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const V g = gamma ? hn::LoadU(d, gamma + i) : one;
    const V b = beta ? hn::LoadU(d, beta + i) : zero;
    const V v = hn::Mul(hn::Sub(hn::LoadU(d, x + i), m), s);
    hn::StoreU(hn::MulAdd(v, g, b), d, y + i);
  }
  if (i < n) {
    const size_t rest = n - i;
    const V g = gamma ? LoadSome(gamma + i, rest, 0) : one;
    const V b = beta ? LoadSome(beta + i, rest, 0) : zero;
    const V v = hn::Mul(hn::Sub(LoadSome(x + i, rest, 0), m), s);
    StoreSome(hn::MulAdd(v, g, b), y + i, rest);
  }
}

void LayerNorm(size_t n, const float* x, const float* gamma, const float* beta,
               float epsilon, float* y) {
  if (n == 0) return;
  const D d;
  const float mean = Sum(n, x) / static_cast<float>(n);
  const V m = hn::Set(d, mean);
  const float var = SumOf(n, x,
                          [&](V v) HWY_ATTR {
                            const V c = hn::Sub(v, m);
                            return hn::Mul(c, c);
                          }) /
                    static_cast<float>(n);
  Scale(n, x, mean, 1.0f / std::sqrt(var + epsilon), gamma, beta, y);
}

void RmsNorm(size_t n, const float* x, const float* gamma, float epsilon,
             float* y) {
  if (n == 0) return;
  const float mean = SumOf(n, x, [](V v) HWY_ATTR { return hn::Mul(v, v); }) /
                     static_cast<float>(n);
  Scale(n, x, 0.0f, 1.0f / std::sqrt(mean + epsilon), gamma, nullptr, y);
}

// Replaces x by exp(scale x + bias - max) and returns the sum.
float ExpScores(size_t n, float* x, float scale, const float* bias) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  if (n == 0) return 0.0f;
  const V vs = hn::Set(d, scale);
  const V lowest = hn::Set(d, -__FLT_MAX__);
  V top = lowest;
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    V v = hn::Mul(hn::LoadU(d, x + i), vs);
    if (bias) v = hn::Add(v, hn::LoadU(d, bias + i));
    hn::StoreU(v, d, x + i);
    top = hn::Max(top, v);
  }
  float largest = hn::GetLane(hn::MaxOfLanes(d, top));
  for (; i < n; ++i) {
    x[i] = x[i] * scale + (bias ? bias[i] : 0.0f);
    largest = largest > x[i] ? largest : x[i];
  }
  const V m = hn::Set(d, largest);
  V total = hn::Zero(d);
  for (i = 0; i + lanes <= n; i += lanes) {
    const V e = math::Exp(hn::Sub(hn::LoadU(d, x + i), m));
    hn::StoreU(e, d, x + i);
    total = hn::Add(total, e);
  }
  if (i < n) {
    const V e = math::Exp(hn::Sub(LoadSome(x + i, n - i, 0.0f), m));
    StoreSome(e, x + i, n - i);
    total = hn::Add(total, hn::IfThenElseZero(hn::FirstN(d, n - i), e));
  }
  return hn::GetLane(hn::SumOfLanes(d, total));
}

void Softmax(size_t n, const float* x, float beta, float* y) {
  if (x != y) {
    for (size_t i = 0; i < n; ++i) y[i] = x[i];
  }
  const float sum = ExpScores(n, y, beta, nullptr);
  const float inverse = 1.0f / sum;
  for (size_t i = 0; i < n; ++i) y[i] *= inverse;
}

void L2Norm(size_t n, const float* x, float* y) {
  const float sum = SumOf(n, x, [](V v) HWY_ATTR { return hn::Mul(v, v); });
  const float length = std::sqrt(sum);
  // A NaN row stays NaN.
  Scale(n, x, 0.0f, 1.0f / (length < 1e-6f ? 1e-6f : length), nullptr, nullptr,
        y);
}

void LogSoftmax(size_t n, const float* x, float* y) {
  if (n == 0) return;
  float largest = x[0];
  for (size_t i = 0; i < n; ++i) {
    y[i] = x[i];
    largest = largest > x[i] ? largest : x[i];
  }
  const float all = largest + std::log(ExpScores(n, y, 1.0f, nullptr));
  for (size_t i = 0; i < n; ++i) y[i] = x[i] - all;
}

// kRows products of `a` with rows of b.
template <size_t kRows>
HWY_INLINE void DotSome(size_t k, const float* a, const float* b, size_t stride,
                        float* y) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  V sum[kRows];
  for (size_t i = 0; i < kRows; ++i) sum[i] = hn::Zero(d);
  size_t p = 0;
  for (; p + lanes <= k; p += lanes) {
    const V x = hn::LoadU(d, a + p);
    for (size_t i = 0; i < kRows; ++i) {
      sum[i] = hn::MulAdd(x, hn::LoadU(d, b + i * stride + p), sum[i]);
    }
  }
  for (size_t i = 0; i < kRows; ++i) {
    y[i] = p == 0 ? 0 : hn::GetLane(hn::SumOfLanes(d, sum[i]));
  }
  for (; p < k; ++p) {
    for (size_t i = 0; i < kRows; ++i) y[i] += a[p] * b[i * stride + p];
  }
}

void DotRows(size_t k, size_t n, const float* a, const float* b, size_t stride,
             float* y) {
  size_t j = 0;
  for (; j + 4 <= n; j += 4) DotSome<4>(k, a, b + j * stride, stride, y + j);
  for (; j < n; ++j) DotSome<1>(k, a, b + j * stride, stride, y + j);
}

// kVectors vectors of columns, in kChains sums one behind the other, so that
// few columns do not wait for the latency of an FMA.
template <size_t kVectors, size_t kChains>
HWY_INLINE void SumSome(size_t k, const float* a, const float* b, size_t stride,
                        float* y) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  V sum[kChains][kVectors];
  for (auto& chain : sum) {
    for (V& one : chain) one = hn::Zero(d);
  }
  size_t p = 0;
  for (; p + kChains <= k; p += kChains) {
    for (size_t c = 0; c < kChains; ++c) {
      const V x = hn::Set(d, a[p + c]);
      const float* row = b + (p + c) * stride;
      for (size_t v = 0; v < kVectors; ++v) {
        sum[c][v] = hn::MulAdd(x, hn::LoadU(d, row + v * lanes), sum[c][v]);
      }
    }
  }
  for (; p < k; ++p) {
    const V x = hn::Set(d, a[p]);
    for (size_t v = 0; v < kVectors; ++v) {
      sum[0][v] =
          hn::MulAdd(x, hn::LoadU(d, b + p * stride + v * lanes), sum[0][v]);
    }
  }
  for (size_t v = 0; v < kVectors; ++v) {
    for (size_t c = 1; c < kChains; ++c) {
      sum[0][v] = hn::Add(sum[0][v], sum[c][v]);
    }
    hn::StoreU(sum[0][v], d, y + v * lanes);
  }
}

void SumRows(size_t k, size_t n, const float* a, const float* b, size_t stride,
             float* y) {
  const size_t lanes = hn::Lanes(D());
  size_t j = 0;
  for (; j + 4 * lanes <= n; j += 4 * lanes) {
    SumSome<4, 2>(k, a, b + j, stride, y + j);
  }
  for (; j + lanes <= n; j += lanes) {
    SumSome<1, 4>(k, a, b + j, stride, y + j);
  }
  for (; j < n; ++j) {
    float sum[4] = {};
    size_t p = 0;
    for (; p + 4 <= k; p += 4) {
      for (size_t c = 0; c < 4; ++c) {
        sum[c] += a[p + c] * b[(p + c) * stride + j];
      }
    }
    for (; p < k; ++p) sum[0] += a[p] * b[p * stride + j];
    y[j] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  }
}

}  // namespace

const NormKernels LATHE_TABLE = {
    LATHE_TABLE_NAME, LATHE_TABLE_ISA, LayerNorm, RmsNorm, L2Norm, Softmax,
    LogSoftmax,       ExpScores,       Sum,       DotRows, SumRows};

}  // namespace lathe::kernels
