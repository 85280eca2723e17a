#include "src/kernels/quantized/binary.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace lathe::kernels {
namespace {

template <typename T>
constexpr QuantizedType TypeFor() {
  if (std::is_same_v<T, int8_t>) return QuantizedType::kInt8;
  return std::is_same_v<T, uint8_t> ? QuantizedType::kUint8
                                    : QuantizedType::kInt16;
}

template <typename T>
std::vector<T> Draw(size_t n, uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<T> values(n);
  for (T& value : values) {
    const uint32_t r = rng();
    value = r % 4 == 0   ? std::numeric_limits<T>::min()
            : r % 4 == 1 ? std::numeric_limits<T>::max()
                         : static_cast<T>(r >> 8);
  }
  return values;
}

// Shapes that broadcast in every way: the same, scalars, rows, columns, gaps.
const std::vector<std::array<std::vector<int32_t>, 3>> kShapes = {
    {{{7}, {7}, {7}}},
    {{{40, 300}, {40, 300}, {40, 300}}},
    {{{3, 5}, {1}, {3, 5}}},
    {{{1, 1}, {3, 5}, {3, 5}}},
    {{{3, 1, 4}, {2, 1}, {3, 2, 4}}},
    {{{2, 1, 3, 1}, {1, 4, 1, 5}, {2, 4, 3, 5}}},
    {{{}, {}, {}}},
    {{{0, 3}, {1, 3}, {0, 3}}},
};

template <typename T>
class ScaledBinaryOf : public testing::Test {};
using Types = testing::Types<int8_t, uint8_t, int16_t>;
TYPED_TEST_SUITE(ScaledBinaryOf, Types);

// A sum: both operands to twice the larger scale with more bits, then back.
ScaledBinaryParams SumParams(float sa, float sb, float sy, int bits) {
  ScaledBinaryParams p;
  const double twice = 2 * std::max(sa, sb);
  p.a.scaled = p.b.scaled = true;
  p.a.shift = p.b.shift = bits;
  p.a.multiplier = MultiplierOf(sa / twice);
  p.b.multiplier = MultiplierOf(sb / twice);
  p.multiplier = MultiplierOf(twice / (std::ldexp(1.0, bits) * double{sy}));
  return p;
}

TYPED_TEST(ScaledBinaryOf, SumsAreThoseOfTheRealsForAnyShapeAndThreads) {
  using T = TypeParam;
  const int zero = sizeof(T) == 2 ? 0 : (std::is_signed_v<T> ? -7 : 121);
  ScaledBinaryParams p =
      SumParams(0.03F, 0.05F, 0.06F, sizeof(T) == 2 ? 15 : 20);
  p.a.zero_point = p.b.zero_point = p.out_zero = zero;
  p.range = {std::numeric_limits<T>::min(), std::numeric_limits<T>::max()};
  for (const auto& [sa, sb, sy] : kShapes) {
    const BroadcastLoops loops = PlanBroadcast(sa, sb, sy);
    const auto count = [](const std::vector<int32_t>& s) {
      size_t n = 1;
      for (const int32_t d : s) n *= static_cast<size_t>(d);
      return n;
    };
    const std::vector<T> a = Draw<T>(count(sa), 1), b = Draw<T>(count(sb), 2);
    for (const bool minus : {false, true}) {
      std::vector<T> y(count(sy)), again(y.size());
      ThreadPool one(1), three(3);
      const ScaledBinary kind = minus ? ScaledBinary::kSub : ScaledBinary::kAdd;
      RunScaledBinary(kind, TypeFor<T>(), p, loops, a.data(), b.data(),
                      y.data(), one);
      RunScaledBinary(kind, TypeFor<T>(), p, loops, a.data(), b.data(),
                      again.data(), three);
      ASSERT_EQ(y, again);
      // The plain definition, by coordinates.
      for (size_t at = 0; at < y.size(); ++at) {
        size_t rest = at, ia = 0, ib = 0, step_a = 1, step_b = 1;
        for (size_t i = sy.size(); i-- > 0;) {
          const size_t index = rest % static_cast<size_t>(sy[i]);
          rest /= static_cast<size_t>(sy[i]);
          const auto walk = [&](const std::vector<int32_t>& s, size_t& to,
                                size_t& step) {
            if (sy.size() - i > s.size()) return;
            const size_t d = static_cast<size_t>(s[s.size() - (sy.size() - i)]);
            if (d != 1) to += index * step;
            step *= d;
          };
          walk(sa, ia, step_a);
          walk(sb, ib, step_b);
        }
        const double left = 0.03 * (a[ia] - zero),
                     right = 0.05 * (b[ib] - zero);
        const double want =
            std::clamp((minus ? left - right : left + right) / 0.06 + zero,
                       double(p.range.low), double(p.range.high));
        ASSERT_NEAR(y[at], want, 0.51) << at;
      }
    }
  }
}

TYPED_TEST(ScaledBinaryOf, ProductsQuotientsAndSquaresAreThoseOfTheReals) {
  using T = TypeParam;
  const bool wide = sizeof(T) == 2;
  const int zero = wide ? 0 : (std::is_signed_v<T> ? 5 : 100);
  const size_t n = 5000;
  const std::vector<T> a = Draw<T>(n, 3);
  std::vector<T> b = Draw<T>(n, 4), y(n);
  for (T& q : b) q = q == zero ? static_cast<T>(zero + 1) : q;
  const std::vector<int32_t> shape = {5000};
  const BroadcastLoops loops = PlanBroadcast(shape, shape, shape);
  ThreadPool pool(2);
  ScaledBinaryParams p;
  p.a.zero_point = p.b.zero_point = p.out_zero = zero;
  p.range = {std::numeric_limits<T>::min(), std::numeric_limits<T>::max()};
  const float s = wide ? 3e-4F : 0.05F, sy = wide ? 2e-3F : 0.4F;
  const auto check = [&](ScaledBinary kind, double bound, const auto& f) {
    EXPECT_FALSE(RunScaledBinary(kind, TypeFor<T>(), p, loops, a.data(),
                                 b.data(), y.data(), pool));
    for (size_t i = 0; i < n; ++i) {
      const double want = std::clamp(
          f(double{s} * (a[i] - zero), double{s} * (b[i] - zero)) / double{sy} +
              zero,
          double(p.range.low), double(p.range.high));
      ASSERT_NEAR(y[i], want, bound) << i << " " << static_cast<int>(kind);
    }
  };
  p.multiplier = MultiplierOf(double{s} * double{s} / double{sy});
  check(ScaledBinary::kMul, 0.51, [](double l, double r) { return l * r; });
  p.multiplier = MultiplierOf(1 / double{sy});
  check(ScaledBinary::kDiv, 0.51, [](double l, double r) { return l / r; });
  if (wide) return;
  p = SumParams(s, s, sy, 7);
  p.a.zero_point = p.b.zero_point = p.out_zero = zero;
  p.range = {std::numeric_limits<T>::min(), std::numeric_limits<T>::max()};
  p.multiplier =
      MultiplierOf(4 * double{s} * double{s} / (double{1 << 14} * double{sy}));
  check(ScaledBinary::kSquaredDifference, 1.1,
        [](double l, double r) { return (l - r) * (l - r); });
}

TYPED_TEST(ScaledBinaryOf, ComparisonsLookAtTheReals) {
  using T = TypeParam;
  ScaledBinaryParams p;
  p.a.scaled = p.b.scaled = true;
  p.a.shift = p.b.shift = 8;
  p.a.multiplier = MultiplierOf(0.5);
  p.b.multiplier = MultiplierOf(0.25);
  const std::vector<T> a = {10, 10, 10}, b = {19, 20, 21};
  const std::vector<int32_t> shape = {3};
  const BroadcastLoops loops = PlanBroadcast(shape, shape, shape);
  ThreadPool pool(1);
  const std::pair<ScaledBinary, std::vector<uint8_t>> wants[] = {
      {ScaledBinary::kEqual, {0, 1, 0}},
      {ScaledBinary::kNotEqual, {1, 0, 1}},
      {ScaledBinary::kLess, {0, 0, 1}},
      {ScaledBinary::kLessEqual, {0, 1, 1}},
      {ScaledBinary::kGreater, {1, 0, 0}},
      {ScaledBinary::kGreaterEqual, {1, 1, 0}},
  };
  for (const auto& [kind, want] : wants) {
    std::vector<uint8_t> y(3, 9);
    RunScaledBinary(kind, TypeFor<T>(), p, loops, a.data(), b.data(), y.data(),
                    pool);
    EXPECT_EQ(y, want) << static_cast<int>(kind);
  }
}

TEST(ScaledBinary, NamesTheFirstDivisorOfZero) {
  std::vector<int8_t> a(20000, 5), b(20000, 1), y(20000);
  b[19000] = b[9000] = 0;
  const std::vector<int32_t> shape = {20000};
  const BroadcastLoops loops = PlanBroadcast(shape, shape, shape);
  ScaledBinaryParams p;
  p.multiplier = MultiplierOf(1);
  p.range = {-128, 127};
  ThreadPool pool(2);
  EXPECT_EQ(RunScaledBinary(ScaledBinary::kDiv, QuantizedType::kInt8, p, loops,
                            a.data(), b.data(), y.data(), pool),
            9000u);
}

TEST(ScaledBinary, PowersOfTwoNeedShiftsAlone) {
  ScaledBinaryParams p;
  p.scaled = false;
  p.b.shift = -1;
  p.range = {-32768, 32767};
  const std::vector<int16_t> a = {10, -10, 32767, -32768}, b = {3, -3, 9, -9};
  std::vector<int16_t> y(4);
  const std::vector<int32_t> shape = {4};
  ThreadPool pool(1);
  RunScaledBinary(ScaledBinary::kAdd, QuantizedType::kInt16, p,
                  PlanBroadcast(shape, shape, shape), a.data(), b.data(),
                  y.data(), pool);
  EXPECT_EQ(y, (std::vector<int16_t>{12, -12, 32767, -32768}));
}

TEST(QuantizedPrelu, ScalesNegativeNumbersByTheirOwnAlpha) {
  PreluParams p;
  p.x_zero = 10;
  p.alpha_zero = -2;
  p.out_zero = -5;
  p.positive = MultiplierOf(0.5);
  p.negative = MultiplierOf(0.1);
  const std::vector<int8_t> x = {10, 30, 0, -128, 127, 9};
  const std::vector<int8_t> alpha = {3, 3, 8};
  std::vector<int8_t> y(6);
  const std::vector<int32_t> shape = {2, 3}, small = {3};
  ThreadPool pool(1);
  RunQuantizedPrelu(QuantizedType::kInt8, p, PlanBroadcast(shape, small, shape),
                    x.data(), alpha.data(), y.data(), pool);
  EXPECT_EQ(y, (std::vector<int8_t>{-5, 5, -15, -74, 54, -6}));
}

}  // namespace
}  // namespace lathe::kernels
