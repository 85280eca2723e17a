// Operators on any number type against plain sums, and their bad operands.

#include "src/kernels/elementwise/typed.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "src/base/half.h"
#include "src/kernels/elementwise/cast.h"
#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

template <typename T>
constexpr T kLowest = std::numeric_limits<T>::min();
template <typename T>
constexpr T kLargest = std::numeric_limits<T>::max();

template <typename T>
Number NumberOf() {
  if (std::is_same_v<T, float>) return Number::kFloat32;
  if (std::is_same_v<T, int8_t>) return Number::kInt8;
  if (std::is_same_v<T, int16_t>) return Number::kInt16;
  if (std::is_same_v<T, uint8_t>) return Number::kUint8;
  if (std::is_same_v<T, uint16_t>) return Number::kUint16;
  if (std::is_same_v<T, uint32_t>) return Number::kUint32;
  if (std::is_same_v<T, uint64_t>) return Number::kUint64;
  return std::is_same_v<T, int32_t> ? Number::kInt32 : Number::kInt64;
}

// f of two scalars.
template <typename T, typename Y = T>
std::optional<Y> One(TypedBinary kind, T a, T b,
                     Activation activation = Activation::kNone) {
  ThreadPool pool(1);
  Y y{};
  const BroadcastLoops loops = PlanBroadcast({}, {}, {});
  if (RunTypedBinary(kind, NumberOf<T>(), loops, &a, &b, &y, activation,
                     pool)) {
    return std::nullopt;
  }
  return y;
}

template <typename T>
class Integers : public testing::Test {};
using IntegerTypes = testing::Types<int8_t, int16_t, int32_t, int64_t>;
TYPED_TEST_SUITE(Integers, IntegerTypes);

TYPED_TEST(Integers, DivideTowardsZeroOrFollowTheDivisor) {
  using T = TypeParam;
  for (T a = -9; a <= 9; ++a) {
    for (T b = -4; b <= 4; ++b) {
      if (b == 0) continue;
      const double exact = static_cast<double>(a) / static_cast<double>(b);
      const T floor = static_cast<T>(std::floor(exact));
      EXPECT_EQ(One<T>(TypedBinary::kDiv, a, b), std::trunc(exact));
      EXPECT_EQ(One<T>(TypedBinary::kFloorDiv, a, b), floor);
      EXPECT_EQ(One<T>(TypedBinary::kFloorMod, a, b), a - b * floor);
    }
  }
}

TYPED_TEST(Integers, WrapAroundAtTheEnds) {
  using T = TypeParam;
  const T low = kLowest<T>, high = kLargest<T>;
  EXPECT_EQ(One<T>(TypedBinary::kAdd, high, 1), low);
  EXPECT_EQ(One<T>(TypedBinary::kSub, low, 1), high);
  EXPECT_EQ(One<T>(TypedBinary::kMul, low, -1), low);
  EXPECT_EQ(One<T>(TypedBinary::kDiv, low, -1), low);
  EXPECT_EQ(One<T>(TypedBinary::kFloorDiv, low, -1), low);
  EXPECT_EQ(One<T>(TypedBinary::kFloorMod, low, -1), 0);
  EXPECT_EQ(One<T>(TypedBinary::kSquaredDifference, low, 1), 1);
}

TYPED_TEST(Integers, RaiseToPowers) {
  using T = TypeParam;
  EXPECT_EQ(One<T>(TypedBinary::kPow, 3, 4), 81);
  EXPECT_EQ(One<T>(TypedBinary::kPow, -2, 3), -8);
  EXPECT_EQ(One<T>(TypedBinary::kPow, 0, 0), 1);
  EXPECT_EQ(One<T>(TypedBinary::kPow, 2, 100), 0);  // Wrapped.
}

TYPED_TEST(Integers, WithoutAResultAreNamedByPosition) {
  using T = TypeParam;
  std::vector<T> a(30000, 5), b(30000, 2), y(30000);
  b[20001] = 0;
  b[9000] = 0;
  const std::vector<int32_t> shape = {30000};
  const BroadcastLoops loops = PlanBroadcast(shape, shape, shape);
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    for (const TypedBinary kind :
         {TypedBinary::kDiv, TypedBinary::kFloorDiv, TypedBinary::kFloorMod}) {
      EXPECT_EQ(RunTypedBinary(kind, NumberOf<T>(), loops, a.data(), b.data(),
                               y.data(), Activation::kNone, pool),
                std::optional<size_t>(9000));
    }
  }
  EXPECT_EQ(One<T>(TypedBinary::kPow, 2, -1), std::nullopt);
}

TYPED_TEST(Integers, AreClampedByActivations) {
  using T = TypeParam;
  EXPECT_EQ(One<T>(TypedBinary::kAdd, -3, 1, Activation::kRelu), 0);
  EXPECT_EQ(One<T>(TypedBinary::kAdd, 5, 4, Activation::kRelu6), 6);
  EXPECT_EQ(One<T>(TypedBinary::kAdd, 5, 4, Activation::kRelu), 9);
  EXPECT_EQ(One<T>(TypedBinary::kMul, -5, 4, Activation::kReluN1To1), -1);
}

TEST(Floats, FloorDivideAndModuloFollowTheDivisor) {
  EXPECT_EQ(One<float>(TypedBinary::kFloorDiv, -7, 2), -4);
  EXPECT_EQ(One<float>(TypedBinary::kFloorMod, -7, 2), 1);
  EXPECT_EQ(One<float>(TypedBinary::kFloorMod, 7, -2), -1);
  EXPECT_EQ(One<float>(TypedBinary::kFloorMod, 6, 2), 0);
  EXPECT_EQ(One<float>(TypedBinary::kPow, 2, -1), 0.5f);
  EXPECT_EQ(One<float>(TypedBinary::kDiv, 1, 0), HUGE_VALF);
  EXPECT_TRUE(
      std::isnan(*One<float>(TypedBinary::kAdd, NAN, 1, Activation::kRelu6)));
}

TEST(Comparisons, OfNanAreFalseExceptNotEqual) {
  const auto is = [](TypedBinary kind, float a, float b) {
    return *One<float, uint8_t>(kind, a, b) == 1;
  };
  for (const float a : {1.0f, 2.0f, NAN}) {
    for (const float b : {1.0f, 2.0f, NAN}) {
      EXPECT_EQ(is(TypedBinary::kEqual, a, b), a == b);
      EXPECT_EQ(is(TypedBinary::kNotEqual, a, b), a != b);
      EXPECT_EQ(is(TypedBinary::kLess, a, b), a < b);
      EXPECT_EQ(is(TypedBinary::kLessEqual, a, b), a <= b);
      EXPECT_EQ(is(TypedBinary::kGreater, a, b), a > b);
      EXPECT_EQ(is(TypedBinary::kGreaterEqual, a, b), a >= b);
    }
  }
}

TEST(Comparisons, BroadcastAndDoNotDependOnThreads) {
  const std::vector<int32_t> a_shape = {300, 1}, b_shape = {1, 70},
                             shape = {300, 70};
  std::vector<int64_t> a(300), b(70);
  for (size_t i = 0; i < 300; ++i) a[i] = static_cast<int64_t>(i % 70);
  for (size_t i = 0; i < 70; ++i) b[i] = static_cast<int64_t>(i);
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    std::vector<uint8_t> y(300 * 70, 9);
    EXPECT_EQ(RunTypedBinary(TypedBinary::kLess, Number::kInt64,
                             PlanBroadcast(a_shape, b_shape, shape), a.data(),
                             b.data(), y.data(), Activation::kNone, pool),
              std::nullopt);
    for (size_t i = 0; i < y.size(); ++i) {
      ASSERT_EQ(y[i], a[i / 70] < b[i % 70]);
    }
  }
}

TEST(Logic, TreatsEveryByteButZeroAsTrue) {
  ThreadPool pool(1);
  const std::vector<int32_t> shape = {4};
  const uint8_t a[] = {0, 0, 1, 7}, b[] = {0, 2, 0, 1};
  uint8_t y[4];
  const BroadcastLoops loops = PlanBroadcast(shape, shape, shape);
  const auto run = [&](TypedBinary kind) {
    RunTypedBinary(kind, Number::kBool, loops, a, b, y, Activation::kNone,
                   pool);
    return std::vector<int>(y, y + 4);
  };
  EXPECT_EQ(run(TypedBinary::kAnd), std::vector<int>({0, 0, 0, 1}));
  EXPECT_EQ(run(TypedBinary::kOr), std::vector<int>({0, 1, 1, 1}));
  EXPECT_EQ(run(TypedBinary::kEqual), std::vector<int>({1, 0, 0, 1}));
  RunNot(4, a, y);
  EXPECT_EQ(std::vector<int>(y, y + 4), std::vector<int>({1, 1, 0, 0}));
}

template <typename T>
class Unsigned : public testing::Test {};
using UnsignedTypes = testing::Types<uint8_t, uint16_t, uint32_t, uint64_t>;
TYPED_TEST_SUITE(Unsigned, UnsignedTypes);

TYPED_TEST(Unsigned, HaveNoMinusOne) {
  using T = TypeParam;
  const T most = kLargest<T>;
  EXPECT_EQ(One<T>(TypedBinary::kDiv, most, most), 1);
  EXPECT_EQ(One<T>(TypedBinary::kFloorDiv, 1, most), 0);
  EXPECT_EQ(One<T>(TypedBinary::kFloorMod, 1, most), 1);
  EXPECT_EQ(One<T>(TypedBinary::kMul, most, most), 1);
  EXPECT_EQ(One<T>(TypedBinary::kPow, 1, most), 1);
  EXPECT_EQ(One<T>(TypedBinary::kSub, 0, 1), most);
  EXPECT_EQ((One<T, uint8_t>(TypedBinary::kLess, 1, most)), 1);
  EXPECT_EQ(One<T>(TypedBinary::kRightShift, most, sizeof(T) * 8 - 1), 1);
  EXPECT_EQ(One<T>(TypedBinary::kXor, most, 1), static_cast<T>(most - 1));
}

TYPED_TEST(Integers, ShiftByTheNearestPossiblePlaces) {
  using T = TypeParam;
  EXPECT_EQ(One<T>(TypedBinary::kRightShift, -7, 1), -4);
  EXPECT_EQ(One<T>(TypedBinary::kRightShift, -7, -3), -7);
  EXPECT_EQ(One<T>(TypedBinary::kRightShift, -7, 100), -1);
  EXPECT_EQ(One<T>(TypedBinary::kRightShift, kLargest<T>, 127), 0);
}

TYPED_TEST(Integers, HaveSignsAndSquares) {
  using T = TypeParam;
  ThreadPool pool(1);
  const T x[] = {kLowest<T>, -3, 0, 5};
  const auto of = [&](TypedUnary kind) {
    std::vector<T> y(4);
    RunTypedUnary(kind, NumberOf<T>(), 4, x, y.data(), pool);
    return y;
  };
  EXPECT_EQ(of(TypedUnary::kAbs), (std::vector<T>{kLowest<T>, 3, 0, 5}));
  EXPECT_EQ(of(TypedUnary::kNeg), (std::vector<T>{kLowest<T>, 3, 0, -5}));
  EXPECT_EQ(of(TypedUnary::kSign), (std::vector<T>{-1, -1, 0, 1}));
  EXPECT_EQ(of(TypedUnary::kSquare), (std::vector<T>{0, 9, 0, 25}));
}

TEST(Clamp, KeepsWhatLiesInside) {
  ThreadPool pool(2);
  std::vector<float> x = {-INFINITY, -2, 0, 0.5f, 7, INFINITY, NAN};
  RunClamp(Number::kFloat32, Activation::kRelu, 7, x.data(), pool);
  EXPECT_EQ(std::vector<float>(x.begin(), x.begin() + 6),
            (std::vector<float>{0, 0, 0, 0.5f, 7, INFINITY}));
  EXPECT_TRUE(std::isnan(x[6]));
  std::vector<uint8_t> y = {0, 3, 200};
  RunClamp(Number::kUint8, Activation::kRelu6, 3, y.data(), pool);
  EXPECT_EQ(y, (std::vector<uint8_t>{0, 3, 6}));
}

TEST(Bucketize, CountsTheBoundsThatAreNotAbove) {
  ThreadPool pool(1);
  const float bounds[] = {-1, 0.5f, 0.5f, 10};
  const float x[] = {-2, -1, 0.25f, 0.5f, 10, NAN};
  std::vector<int32_t> y(6);
  RunBucketize(Number::kFloat32, bounds, 6, x, y.data(), pool);
  EXPECT_EQ(y, (std::vector<int32_t>{0, 1, 1, 3, 4, 4}));
  const int64_t whole[] = {-1, 0, 11};
  RunBucketize(Number::kInt64, bounds, 3, whole, y.data(), pool);
  EXPECT_EQ(y, (std::vector<int32_t>{1, 1, 4, 3, 4, 4}));
  RunBucketize(Number::kInt64, {}, 3, whole, y.data(), pool);
  EXPECT_EQ(y[2], 0);
}

TEST(Complex, AddMultiplyAndCompare) {
  using C = std::complex<float>;
  ThreadPool pool(1);
  const C a(1, 2), b(3, -1);
  C y;
  const BroadcastLoops loops = PlanBroadcast({}, {}, {});
  RunTypedBinary(TypedBinary::kMul, Number::kComplex64, loops, &a, &b, &y,
                 Activation::kNone, pool);
  EXPECT_EQ(y, C(5, 5));
  uint8_t same = 2;
  RunTypedBinary(TypedBinary::kEqual, Number::kComplex64, loops, &a, &b, &same,
                 Activation::kNone, pool);
  EXPECT_EQ(same, 0);
}

TEST(HasTypedBinary, SaysWhatThereIs) {
  EXPECT_TRUE(HasTypedBinary(TypedBinary::kAdd, Number::kInt64));
  EXPECT_TRUE(HasTypedBinary(TypedBinary::kAdd, Number::kInt8));
  EXPECT_FALSE(HasTypedBinary(TypedBinary::kXor, Number::kFloat32));
  EXPECT_FALSE(HasTypedBinary(TypedBinary::kAtan2, Number::kInt32));
  EXPECT_FALSE(HasTypedBinary(TypedBinary::kLess, Number::kComplex64));
  EXPECT_TRUE(HasTypedBinary(TypedBinary::kLess, Number::kInt8));
  EXPECT_FALSE(HasTypedBinary(TypedBinary::kLess, Number::kBool));
  EXPECT_FALSE(HasTypedBinary(TypedBinary::kEqual, Number::kFloat16));
  EXPECT_FALSE(HasTypedBinary(TypedBinary::kAnd, Number::kInt32));
}

TEST(Range, CountsByStartAndDelta) {
  const int32_t start = 5, delta = -2;
  int32_t y[4];
  RunRange(Number::kInt32, &start, &delta, 4, y);
  EXPECT_EQ(std::vector<int>(y, y + 4), std::vector<int>({5, 3, 1, -1}));
  const float f = 0, tenth = 0.1f;
  std::vector<float> z(1001);
  RunRange(Number::kFloat32, &f, &tenth, z.size(), z.data());
  EXPECT_EQ(z[1000], static_cast<float>(1000 * double{0.1f}));
}

template <typename To, typename From>
To CastOne(Number from, Number to, From x) {
  ThreadPool pool(1);
  To y{};
  RunCast(ChooseElementwise(BestIsa()), from, to, 1, &x, &y, pool);
  return y;
}

TEST(Cast, FloatsToIntegersTruncateAndSaturate) {
  const auto to_i8 = [](float x) {
    return int{CastOne<int8_t>(Number::kFloat32, Number::kInt8, x)};
  };
  EXPECT_EQ(to_i8(1.9f), 1);
  EXPECT_EQ(to_i8(-1.9f), -1);
  EXPECT_EQ(to_i8(127.9f), 127);
  EXPECT_EQ(to_i8(-128.9f), -128);
  EXPECT_EQ(to_i8(HUGE_VALF), 127);
  EXPECT_EQ(to_i8(NAN), 127);
  const auto to_u8 = [](float x) {
    return int{CastOne<uint8_t>(Number::kFloat32, Number::kUint8, x)};
  };
  EXPECT_EQ(to_u8(-0.5f), 0);
  EXPECT_EQ(to_u8(-7), 0);
  EXPECT_EQ(to_u8(300), 255);
  EXPECT_EQ(CastOne<int32_t>(Number::kFloat32, Number::kInt32, 2147483648.0f),
            kLargest<int32_t>);
  EXPECT_EQ(CastOne<int64_t>(Number::kFloat64, Number::kInt64, 1e30),
            kLargest<int64_t>);
  EXPECT_EQ(CastOne<int64_t>(Number::kFloat32, Number::kInt64, -HUGE_VALF),
            kLowest<int64_t>);
}

TEST(Cast, IntegersWrapAndBoolIsNotZero) {
  EXPECT_EQ((CastOne<int8_t>(Number::kInt32, Number::kInt8, int32_t{300})), 44);
  EXPECT_EQ((CastOne<uint8_t>(Number::kInt64, Number::kUint8, int64_t{-1})),
            255);
  EXPECT_EQ((CastOne<uint8_t>(Number::kFloat32, Number::kBool, 0.1f)), 1);
  EXPECT_EQ((CastOne<uint8_t>(Number::kFloat32, Number::kBool, -0.0f)), 0);
  EXPECT_EQ((CastOne<uint8_t>(Number::kFloat32, Number::kBool, float{NAN})), 1);
  EXPECT_EQ((CastOne<float>(Number::kBool, Number::kFloat32, uint8_t{9})), 1);
}

TEST(Cast, OfEveryHalfIsExactOnEveryLevelForEveryLength) {
  std::vector<uint16_t> x(65536);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint16_t>(i);
  ThreadPool one(1), three(3);
  for (const Isa isa : IsasHere()) {
    const ElementwiseKernels& kernels = ChooseElementwise(isa);
    std::vector<float> y(x.size()), y3(x.size());
    RunCast(kernels, Number::kFloat16, Number::kFloat32, x.size(), x.data(),
            y.data(), one);
    RunCast(kernels, Number::kFloat16, Number::kFloat32, x.size(), x.data(),
            y3.data(), three);
    EXPECT_EQ(std::memcmp(y.data(), y3.data(), y.size() * 4), 0);
    for (size_t i = 0; i < x.size(); ++i) {
      const float want = HalfToFloat(x[i]);
      ASSERT_TRUE(y[i] == want || (std::isnan(y[i]) && std::isnan(want))) << i;
      if (want == want) {  // And back.
        ASSERT_EQ((CastOne<uint16_t>(Number::kFloat32, Number::kFloat16, want)),
                  x[i]);
      }
    }
    for (size_t n = 0; n < 35; ++n) {
      Fenced part(n);
      const std::vector<uint16_t> exact(x.begin(), x.begin() + n);
      kernels.from_half(n, exact.data(), part.data());
      EXPECT_TRUE(part.FencesHold());
      EXPECT_EQ(std::memcmp(part.data(), y.data(), n * 4), 0);
    }
  }
}

TEST(Cast, ToNarrowFloatsRoundsOnceToEven) {
  const auto bf16 = [](float x) {
    return CastOne<uint16_t>(Number::kFloat32, Number::kBfloat16, x);
  };
  EXPECT_EQ(bf16(1.0f), 0x3F80);
  EXPECT_EQ(bf16(std::bit_cast<float>(0x3F808000u)), 0x3F80);  // Tie, even.
  EXPECT_EQ(bf16(std::bit_cast<float>(0x3F818000u)), 0x3F82);
  EXPECT_EQ(bf16(HUGE_VALF), 0x7F80);
  EXPECT_TRUE(std::isnan(Bf16ToFloat(bf16(NAN))));
  // Just above the tie between two halves, by less than a float can hold.
  const double above = 1 + 0x1p-11 + 0x1p-40;
  EXPECT_EQ((CastOne<uint16_t>(Number::kFloat64, Number::kFloat16, above)),
            0x3C01);
  EXPECT_EQ(
      (CastOne<uint16_t>(Number::kFloat64, Number::kFloat16, 1 + 0x1p-11)),
      0x3C00);
  EXPECT_EQ((CastOne<uint16_t>(Number::kInt32, Number::kFloat16, 100000)),
            0x7C00);
}

TEST(Cast, KnowsEveryPairOfTypes) {
  for (int from = 0; from <= int(Number::kBool); ++from) {
    for (int to = 0; to <= int(Number::kBool); ++to) {
      const Number f = static_cast<Number>(from), t = static_cast<Number>(to);
      // 1 in the first type, by way of bool.
      const uint8_t one = 1;
      alignas(8) std::byte x[8] = {}, y[8] = {};
      ThreadPool pool(1);
      const auto& kernels = ChooseElementwise(BestIsa());
      RunCast(kernels, Number::kBool, f, 1, &one, x, pool);
      RunCast(kernels, f, t, 1, x, y, pool);
      uint8_t back = 0;
      RunCast(kernels, t, Number::kBool, 1, y, &back, pool);
      double value = 0;
      RunCast(kernels, t, Number::kFloat64, 1, y, &value, pool);
      EXPECT_EQ(back, 1) << from << " to " << to;
      EXPECT_EQ(value, 1) << from << " to " << to;
    }
  }
}

}  // namespace
}  // namespace lathe::kernels
