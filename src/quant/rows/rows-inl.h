// The code of one ISA level: included by scalar.cc, x86_avx2.cc ... , which
// name the table by defining LATHE_TABLE, LATHE_TABLE_NAME and LATHE_TABLE_ISA.
// Highway takes the level from the file's compiler flags (cmake/isa.cmake).

#define HWY_COMPILE_ONLY_STATIC 1
#include <cmath>

#include "hwy/highway.h"
#include "src/base/half.h"
#include "src/quant/rows/rows.h"

namespace lathe::quant {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
#if defined(LATHE_ONE_LANE)
using D = hn::CappedTag<float, 1>;
using D64 = hn::CappedTag<double, 1>;
#else
using D = hn::ScalableTag<float>;
using D64 = hn::ScalableTag<double>;
#endif
using DI = hn::RebindToSigned<D>;
using V = hn::Vec<D>;

constexpr size_t kMost = HWY_MAX_BYTES / sizeof(float);  // Lanes of a vector.

// Up to one vector; lanes beyond n are 0.
HWY_INLINE V LoadSome(const float* x, size_t n) {
  HWY_ALIGN float in[kMost] = {};
  for (size_t j = 0; j < n; ++j) in[j] = x[j];
  return hn::Load(D(), in);
}

HWY_INLINE hn::Vec<DI> Magnitude(V x) {
  const DI di;
  return hn::And(hn::BitCast(di, x), hn::Set(di, 0x7FFFFFFF));
}

void Magnitudes(size_t runs, size_t run, const float* x, uint32_t* largest) {
  const D d;
  const DI di;
  const size_t lanes = hn::Lanes(d);
  for (size_t r = 0; r < runs; ++r, x += run) {
    // Four maxima side by side hide the latency.
    auto m0 = hn::Zero(di), m1 = m0, m2 = m0, m3 = m0;
    size_t i = 0;
    for (; i + 4 * lanes <= run; i += 4 * lanes) {
      m0 = hn::Max(m0, Magnitude(hn::LoadU(d, x + i)));
      m1 = hn::Max(m1, Magnitude(hn::LoadU(d, x + i + lanes)));
      m2 = hn::Max(m2, Magnitude(hn::LoadU(d, x + i + 2 * lanes)));
      m3 = hn::Max(m3, Magnitude(hn::LoadU(d, x + i + 3 * lanes)));
    }
    for (; i + lanes <= run; i += lanes) {
      m0 = hn::Max(m0, Magnitude(hn::LoadU(d, x + i)));
    }
    if (i < run) m1 = hn::Max(m1, Magnitude(LoadSome(x + i, run - i)));
    m0 = hn::Max(hn::Max(m0, m1), hn::Max(m2, m3));
    largest[r] = static_cast<uint32_t>(hn::GetLane(hn::MaxOfLanes(di, m0)));
  }
}

void Extremes(size_t n, const float* x, float* low, float* high,
              uint32_t* largest) {
  const D d;
  const DI di;
  const size_t lanes = hn::Lanes(d);
  V l0 = hn::Set(d, *low), l1 = l0, h0 = hn::Set(d, *high), h1 = h0;
  auto m0 = hn::Set(di, static_cast<int32_t>(*largest)), m1 = m0;
  size_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    const V a = hn::LoadU(d, x + i), b = hn::LoadU(d, x + i + lanes);
    l0 = hn::Min(a, l0);
    l1 = hn::Min(b, l1);
    h0 = hn::Max(a, h0);
    h1 = hn::Max(b, h1);
    m0 = hn::Max(m0, Magnitude(a));
    m1 = hn::Max(m1, Magnitude(b));
  }
  for (; i + lanes <= n; i += lanes) {
    const V a = hn::LoadU(d, x + i);
    l0 = hn::Min(a, l0);
    h0 = hn::Max(a, h0);
    m0 = hn::Max(m0, Magnitude(a));
  }
  if (i < n) {
    HWY_ALIGN float in[kMost];
    for (size_t j = 0; j < lanes; ++j) in[j] = x[i + j < n ? i + j : i];
    const V a = hn::Load(d, in);
    l1 = hn::Min(a, l1);
    h1 = hn::Max(a, h1);
    m1 = hn::Max(m1, Magnitude(a));
  }
  *low = hn::GetLane(hn::MinOfLanes(d, hn::Min(l0, l1)));
  *high = hn::GetLane(hn::MaxOfLanes(d, hn::Max(h0, h1)));
  *largest =
      static_cast<uint32_t>(hn::GetLane(hn::MaxOfLanes(di, hn::Max(m0, m1))));
}

void ColumnExtremes(size_t n, const float* HWY_RESTRICT x,
                    float* HWY_RESTRICT low, float* HWY_RESTRICT high,
                    uint32_t* HWY_RESTRICT largest) {
  for (size_t i = 0; i < n; ++i) {
    low[i] = x[i] < low[i] ? x[i] : low[i];
    high[i] = x[i] > high[i] ? x[i] : high[i];
    const uint32_t bits = std::bit_cast<uint32_t>(x[i]) & 0x7FFFFFFFu;
    largest[i] = bits > largest[i] ? bits : largest[i];
  }
}

HWY_INLINE V Quantized(V x, V scale, V zero, V low, V high) {
  const V r = hn::Round(hn::Add(hn::Div(x, scale), zero));
  return hn::IfThenElseZero(hn::Eq(r, r), hn::Max(hn::Min(r, high), low));
}

HWY_INLINE void StoreInt8(V v, int8_t* q) {
  const hn::Rebind<int8_t, D> d8;
  hn::StoreU(hn::DemoteTo(d8, hn::ConvertTo(DI(), v)), d8, q);
}

HWY_INLINE void StoreSomeInt8(V v, int8_t* q, size_t n) {
  HWY_ALIGN float out[kMost];
  hn::Store(v, D(), out);
  for (size_t j = 0; j < n; ++j) q[j] = static_cast<int8_t>(out[j]);
}

void Encode(size_t runs, size_t run, const float* x, const float* scale,
            const float* zero, float low, float high, int8_t* q) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const V lo = hn::Set(d, low), hi = hn::Set(d, high);
  for (size_t r = 0; r < runs; ++r, x += run, q += run) {
    const V s = hn::Set(d, scale[r]), z = hn::Set(d, zero[r]);
    size_t i = 0;
    for (; i + lanes <= run; i += lanes) {
      StoreInt8(Quantized(hn::LoadU(d, x + i), s, z, lo, hi), q + i);
    }
    if (i < run) {
      StoreSomeInt8(Quantized(LoadSome(x + i, run - i), s, z, lo, hi), q + i,
                    run - i);
    }
  }
}

void EncodeColumns(size_t n, const float* x, const float* scale,
                   const float* zero, float low, float high, int8_t* q) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const V lo = hn::Set(d, low), hi = hn::Set(d, high);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    StoreInt8(Quantized(hn::LoadU(d, x + i), hn::LoadU(d, scale + i),
                        hn::LoadU(d, zero + i), lo, hi),
              q + i);
  }
  if (i < n) {
    const size_t rest = n - i;
    StoreSomeInt8(Quantized(LoadSome(x + i, rest), LoadSome(scale + i, rest),
                            LoadSome(zero + i, rest), lo, hi),
                  q + i, rest);
  }
}

void EncodeDouble(size_t n, const float* x, const double* factor, double scale,
                  double low, double high, int8_t* q) {
  const D64 d;
  const size_t lanes = hn::Lanes(d);
  const auto s = hn::Set(d, scale);
  const auto lo = hn::Set(d, low), hi = hn::Set(d, high);
  HWY_ALIGN double in[kMost];
  HWY_ALIGN double by[kMost];
  HWY_ALIGN double out[kMost];
  for (size_t i = 0; i < n; i += lanes) {
    const size_t some = n - i < lanes ? n - i : lanes;
    for (size_t j = 0; j < lanes; ++j) {
      in[j] = j < some ? static_cast<double>(x[i + j]) : 0.0;
      by[j] = j < some && factor != nullptr ? factor[i + j] : 1.0;
    }
    const auto r =
        hn::Round(hn::Div(hn::Mul(hn::Load(d, in), hn::Load(d, by)), s));
    hn::Store(hn::IfThenElseZero(hn::Eq(r, r), hn::Max(hn::Min(r, hi), lo)), d,
              out);
    for (size_t j = 0; j < some; ++j) q[i + j] = static_cast<int8_t>(out[j]);
  }
}

void Halves(size_t n, const float* x, uint16_t* y) {
  size_t i = 0;
#if !defined(LATHE_ONE_LANE)
  const D d;
  const hn::Rebind<hwy::float16_t, D> d16;
  const hn::Rebind<uint16_t, D> du16;
  const size_t lanes = hn::Lanes(d);
  for (; i + lanes <= n; i += lanes) {
    const auto half = hn::DemoteTo(d16, hn::LoadU(d, x + i));
    hn::StoreU(hn::BitCast(du16, half), du16, y + i);
  }
#endif
  for (; i < n; ++i) y[i] = FloatToHalf(x[i]);
}

// Sums go over this many lanes in float32, whatever the width of a vector, and
// into a double every kPiece elements.
constexpr size_t kLanes = 16, kPiece = 1024;

struct Lanes {
  V sum[kLanes];  // The first kLanes / Lanes(D) are used.

  HWY_INLINE Lanes() {
    for (size_t p = 0; p < kLanes / hn::Lanes(D()); ++p) {
      sum[p] = hn::Zero(D());
    }
  }
  HWY_INLINE double Total() const {
    HWY_ALIGN float lane[kLanes];
    const size_t lanes = hn::Lanes(D());
    for (size_t p = 0; p < kLanes / lanes; ++p) {
      hn::Store(sum[p], D(), lane + p * lanes);
    }
    double total[kLanes];
    for (size_t i = 0; i < kLanes; ++i) total[i] = static_cast<double>(lane[i]);
    for (size_t half = kLanes / 2; half > 0; half /= 2) {
      for (size_t i = 0; i < half; ++i) total[i] += total[i + half];
    }
    return total[0];
  }
};

// Calls f(part, x, valid) for the vectors of x, n <= kPiece: x goes to lanes
// `part` of the sums, and only the first `valid` of its elements count.
template <typename F>
HWY_INLINE void ForEachVector(size_t n, const float* x, const F& f) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t p = 0; p < kLanes / lanes; ++p) {
      f(p, hn::LoadU(d, x + i + p * lanes), lanes);
    }
  }
  for (size_t p = 0; i < n; ++p, i += lanes) {
    const size_t some = n - i < lanes ? n - i : lanes;
    f(p, LoadSome(x + i, some), some);
  }
}

// Sum of f over x. f(0) need not be 0.
template <typename F>
HWY_INLINE double SumOf(size_t n, const float* x, const F& f) {
  const D d;
  double total = 0;
  for (size_t start = 0; start < n; start += kPiece) {
    Lanes sums;
    ForEachVector(n - start < kPiece ? n - start : kPiece, x + start,
                  [&](size_t p, V v, size_t valid) HWY_ATTR {
                    V term = f(v);
                    if (valid < hn::Lanes(d)) {
                      term = hn::IfThenElseZero(hn::FirstN(d, valid), term);
                    }
                    sums.sum[p] = hn::Add(sums.sum[p], term);
                  });
    total += sums.Total();
  }
  return total;
}

Selection Select(size_t n, const float* x, float threshold) {
  const D d;
  const V above = hn::Set(d, threshold), below = hn::Neg(above);
  const V one = hn::Set(d, 1.0f);
  Selection result;
  for (size_t start = 0; start < n; start += kPiece) {
    Lanes sums;
    V count = hn::Zero(d);  // At most 2 * kPiece: exact.
    ForEachVector(n - start < kPiece ? n - start : kPiece, x + start,
                  [&](size_t p, V v, size_t valid) HWY_ATTR {
                    V more = hn::Add(hn::IfThenElseZero(hn::Ge(v, above), one),
                                     hn::IfThenElseZero(hn::Le(v, below), one));
                    if (valid < hn::Lanes(d)) {
                      more = hn::IfThenElseZero(hn::FirstN(d, valid), more);
                    }
                    count = hn::Add(count, more);
                    // Zeros of the padding add nothing.
                    const V a = hn::Abs(v);
                    sums.sum[p] = hn::Add(
                        sums.sum[p], hn::IfThenElseZero(hn::Ge(a, above), a));
                  });
    result.sum += sums.Total();
    result.count +=
        static_cast<uint64_t>(hn::GetLane(hn::SumOfLanes(d, count)));
  }
  return result;
}

double SquaredError(size_t n, const float* x, float scale, float low,
                    float high) {
  const D d;
  const V s = hn::Set(d, scale), inverse = hn::Set(d, 1.0f / scale);
  const V lo = hn::Set(d, low), hi = hn::Set(d, high);
  return SumOf(n, x, [&](V v) HWY_ATTR {
    const V r = hn::Round(hn::Mul(v, inverse));
    const V e = hn::Sub(v, hn::Mul(s, hn::Max(hn::Min(r, hi), lo)));
    return hn::Mul(e, e);
  });
}

double SumOfSquares(size_t n, const float* x) {
  return SumOf(n, x, [](V v) HWY_ATTR { return hn::Mul(v, v); });
}

void Rotate(size_t n, float* x) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const float norm = 1.0f / std::sqrt(static_cast<float>(n));
  for (size_t half = 1; half < n; half *= 2) {
    for (size_t start = 0; start < n; start += 2 * half) {
      float* a = x + start;
      float* b = a + half;
      if (half < lanes) {
        for (size_t i = 0; i < half; ++i) {
          const float sum = a[i] + b[i], difference = a[i] - b[i];
          a[i] = sum;
          b[i] = difference;
        }
        continue;
      }
      for (size_t i = 0; i < half; i += lanes) {
        const V u = hn::LoadU(d, a + i), v = hn::LoadU(d, b + i);
        hn::StoreU(hn::Add(u, v), d, a + i);
        hn::StoreU(hn::Sub(u, v), d, b + i);
      }
    }
  }
  for (size_t i = 0; i < n; ++i) x[i] *= norm;
}

void Dots(size_t k, const float* const* a, const float* const* b, double* out) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  V s[8];
  for (V& sum : s) sum = hn::Zero(d);
  const auto step = [&](auto load) HWY_ATTR {
    const V b0 = load(b[0]), b1 = load(b[1]);
    const V a0 = load(a[0]), a1 = load(a[1]), a2 = load(a[2]), a3 = load(a[3]);
    s[0] = hn::MulAdd(a0, b0, s[0]);
    s[1] = hn::MulAdd(a0, b1, s[1]);
    s[2] = hn::MulAdd(a1, b0, s[2]);
    s[3] = hn::MulAdd(a1, b1, s[3]);
    s[4] = hn::MulAdd(a2, b0, s[4]);
    s[5] = hn::MulAdd(a2, b1, s[5]);
    s[6] = hn::MulAdd(a3, b0, s[6]);
    s[7] = hn::MulAdd(a3, b1, s[7]);
  };
  size_t p = 0;
  for (; p + lanes <= k; p += lanes) {
    step([&](const float* row) HWY_ATTR { return hn::LoadU(d, row + p); });
  }
  if (p < k) {
    step([&](const float* row) HWY_ATTR { return LoadSome(row + p, k - p); });
  }
  for (size_t i = 0; i < 8; ++i) {
    out[i] += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, s[i])));
  }
}

// Up to 4 rows and one or two vectors of columns, which stay in registers.
template <size_t kRows, size_t kVectors>
HWY_INLINE void ProductTile(size_t k, const float* a, size_t a_stride,
                            const float* b, size_t b_stride, float* c,
                            size_t c_stride) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  V sum[kRows][kVectors];
#pragma GCC unroll 4
  for (size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (size_t v = 0; v < kVectors; ++v) {
      sum[i][v] = hn::LoadU(d, c + i * c_stride + v * lanes);
    }
  }
  for (size_t p = 0; p < k; ++p) {
#pragma GCC unroll 2
    for (size_t v = 0; v < kVectors; ++v) {
      const V row = hn::LoadU(d, b + p * b_stride + v * lanes);
#pragma GCC unroll 4
      for (size_t i = 0; i < kRows; ++i) {
        sum[i][v] =
            hn::NegMulAdd(hn::Set(d, a[i * a_stride + p]), row, sum[i][v]);
      }
    }
  }
#pragma GCC unroll 4
  for (size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (size_t v = 0; v < kVectors; ++v) {
      hn::StoreU(sum[i][v], d, c + i * c_stride + v * lanes);
    }
  }
}

void SubtractProduct(size_t m, size_t n, size_t k, const float* a,
                     size_t a_stride, const float* b, size_t b_stride, float* c,
                     size_t c_stride) {
  const size_t lanes = hn::Lanes(D());
  size_t j = 0;
  // Columns outside: a strip of b then stays in the cache for all rows.
  for (; j + 2 * lanes <= n; j += 2 * lanes) {
    size_t i = 0;
    for (; i + 4 <= m; i += 4) {
      ProductTile<4, 2>(k, a + i * a_stride, a_stride, b + j, b_stride,
                        c + i * c_stride + j, c_stride);
    }
    for (; i < m; ++i) {
      ProductTile<1, 2>(k, a + i * a_stride, a_stride, b + j, b_stride,
                        c + i * c_stride + j, c_stride);
    }
  }
  for (; j + lanes <= n; j += lanes) {
    for (size_t i = 0; i < m; ++i) {
      ProductTile<1, 1>(k, a + i * a_stride, a_stride, b + j, b_stride,
                        c + i * c_stride + j, c_stride);
    }
  }
  for (; j < n; ++j) {
    for (size_t i = 0; i < m; ++i) {
      float sum = c[i * c_stride + j];
      for (size_t p = 0; p < k; ++p) {
        sum -= a[i * a_stride + p] * b[p * b_stride + j];
      }
      c[i * c_stride + j] = sum;
    }
  }
}

}  // namespace

const RowKernels LATHE_TABLE = {
    LATHE_TABLE_NAME, LATHE_TABLE_ISA, Magnitudes,   Extremes, ColumnExtremes,
    Encode,           EncodeColumns,   EncodeDouble, Halves,   Select,
    SquaredError,     SumOfSquares,    Rotate,       Dots,     SubtractProduct};

}  // namespace lathe::quant
