// Element-wise kernels against their definitions in double, on every ISA level.

#include "src/kernels/elementwise/elementwise.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>

#include "src/base/thread_pool.h"
#include "src/kernels/elementwise/broadcast.h"
#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kAlpha = 0.3f;

struct UnaryCase {
  Unary kind;
  const char* name;
  double (*definition)(double);
  float low, high;  // Of the numbers tried.
  // |got - want| <= relative * |want| + absolute. A float rounds by 6e-8.
  double relative, absolute;
};

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

const UnaryCase kUnaries[] = {
    {Unary::kAbs, "abs", [](double x) { return std::fabs(x); }, -9, 9, 0, 0},
    {Unary::kNeg, "neg", [](double x) { return -x; }, -9, 9, 0, 0},
    {Unary::kSqrt, "sqrt", [](double x) { return std::sqrt(x); }, 0, 9, 6e-8,
     0},
    {Unary::kRsqrt, "rsqrt", [](double x) { return 1 / std::sqrt(x); }, 0.01f,
     9, 1.2e-7, 0},
    {Unary::kSquare, "square", [](double x) { return x * x; }, -9, 9, 6e-8, 0},
    {Unary::kExp, "exp", [](double x) { return std::exp(x); }, -87, 88, 1.5e-7,
     0},
    {Unary::kExp, "exp to subnormals", [](double x) { return std::exp(x); },
     -110, -80, 1.5e-7, 1e-45},
    {Unary::kLog, "log", [](double x) { return std::log(x); }, 0.01f, 50,
     1.3e-7, 0},
    {Unary::kLog, "log of small", [](double x) { return std::log(x); }, 1e-40f,
     1e-37f, 1.3e-7, 0},
    {Unary::kSin, "sin", [](double x) { return std::sin(x); }, -10000, 10000, 0,
     5e-7},
    {Unary::kCos, "cos", [](double x) { return std::cos(x); }, -10000, 10000, 0,
     5e-7},
    {Unary::kSin, "sin far", [](double x) { return std::sin(x); }, -3e8f, 3e8f,
     6e-8, 1e-9},
    {Unary::kCos, "cos far", [](double x) { return std::cos(x); }, -3e8f, 3e8f,
     6e-8, 1e-9},
    {Unary::kTanh, "tanh", [](double x) { return std::tanh(x); }, -12, 12, 3e-7,
     0},
    {Unary::kTanh, "tanh near 0", [](double x) { return std::tanh(x); }, -1e-3f,
     1e-3f, 3e-7, 0},
    {Unary::kLogistic, "logistic", Sigmoid, -87, 87, 3e-7, 0},
    {Unary::kRelu, "relu", [](double x) { return std::fmax(x, 0); }, -9, 9, 0,
     0},
    {Unary::kRelu6, "relu6",
     [](double x) { return std::fmin(std::fmax(x, 0), 6); }, -9, 9, 0, 0},
    {Unary::kReluN1To1, "relu -1 to 1",
     [](double x) { return std::fmin(std::fmax(x, -1), 1); }, -2, 2, 0, 0},
    {Unary::kRelu0To1, "relu 0 to 1",
     [](double x) { return std::fmin(std::fmax(x, 0), 1); }, -2, 2, 0, 0},
    {Unary::kElu, "elu", [](double x) { return x > 0 ? x : std::expm1(x); },
     -40, 9, 2e-7, 0},
    {Unary::kElu, "elu near 0",
     [](double x) { return x > 0 ? x : std::expm1(x); }, -1e-3f, 1e-3f, 2e-7,
     0},
    {Unary::kHardSwish, "hard swish",
     [](double x) { return x * std::fmin(std::fmax(x + 3, 0), 6) / 6; }, -9, 9,
     3e-7, 3e-7},
    {Unary::kLeakyRelu, "leaky relu",
     [](double x) { return x > 0 ? x : static_cast<double>(kAlpha) * x; }, -9,
     9, 6e-8, 0},
    {Unary::kGelu, "gelu",
     [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }, -9, 9,
     5e-7, 5e-7},
    {Unary::kGeluTanh, "gelu by tanh",
     [](double x) {
       const double z = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
       return 0.5 * x * (1 + std::tanh(z));
     },
     -9, 9, 5e-7, 5e-7},
    {Unary::kFloor, "floor", [](double x) { return std::floor(x); }, -9, 9, 0,
     0},
    {Unary::kCeil, "ceil", [](double x) { return std::ceil(x); }, -9, 9, 0, 0},
    {Unary::kRound, "round", [](double x) { return std::nearbyint(x); }, -9, 9,
     0, 0},
    {Unary::kSign, "sign", [](double x) { return double(x > 0) - (x < 0); }, -9,
     9, 0, 0},
    {Unary::kSilu, "silu", [](double x) { return x * Sigmoid(x); }, -80, 80,
     4e-7, 0},
    {Unary::kSoftplus, "softplus",
     [](double x) { return std::fmax(x, 0) + std::log1p(std::exp(-fabs(x))); },
     -80, 80, 3e-7, 0},
};

TEST(Unary, EveryKindEqualsItsDefinition) {
  for (const Isa isa : IsasHere()) {
    const ElementwiseKernels& kernels = ChooseElementwise(isa);
    ASSERT_LE(kernels.isa, isa);
    for (const UnaryCase& c : kUnaries) {
      SCOPED_TRACE(std::string(kernels.name) + ": " + c.name);
      const auto x = RandomFloats(20011, 1, c.low, c.high);
      std::vector<float> y(x.size());
      kernels.unary(c.kind, x.size(), x.data(), y.data(), kAlpha);
      double worst_relative = 0, worst = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const double want = c.definition(static_cast<double>(x[i]));
        const double error = std::fabs(static_cast<double>(y[i]) - want);
        worst = std::fmax(worst, error);
        worst_relative =
            std::fmax(worst_relative, want == 0 ? 0 : error / std::fabs(want));
        ASSERT_LE(error, c.relative * std::fabs(want) + c.absolute)
            << "x = " << x[i] << ", got " << y[i] << ", want " << want;
      }
      // Into the report of --gtest_output=xml.
      RecordProperty(std::string(kernels.name) + " " + c.name,
                     std::to_string(worst_relative * 1e7) + "e-7 relative, " +
                         std::to_string(worst * 1e7) + "e-7 absolute");
    }
  }
}

TEST(Unary, EveryLengthGivesTheSameBitsAsAWholeRowAndWritesNothingElse) {
  for (const Isa isa : IsasHere()) {
    const ElementwiseKernels& kernels = ChooseElementwise(isa);
    for (const UnaryCase& c : kUnaries) {
      const auto x = RandomFloats(64, 2, c.low, c.high);
      std::vector<float> whole(x.size());
      kernels.unary(c.kind, x.size(), x.data(), whole.data(), kAlpha);
      for (size_t n = 0; n <= 35; ++n) {
        // A copy of exactly n, so that the sanitizer sees a read beyond it.
        const std::vector<float> short_x(x.begin(), x.begin() + n);
        Fenced y(n);
        kernels.unary(c.kind, n, short_x.data(), y.data(), kAlpha);
        EXPECT_TRUE(y.FencesHold()) << kernels.name << " " << c.name << n;
        EXPECT_EQ(std::memcmp(y.data(), whole.data(), n * 4), 0)
            << kernels.name << " " << c.name << " length " << n;
      }
    }
  }
}

TEST(Unary, NanStaysNan) {
  for (const Isa isa : IsasHere()) {
    const ElementwiseKernels& kernels = ChooseElementwise(isa);
    for (const UnaryCase& c : kUnaries) {
      std::vector<float> x(19, kNan);
      kernels.unary(c.kind, x.size(), x.data(), x.data(), kAlpha);
      for (const float y : x) {
        EXPECT_TRUE(std::isnan(y)) << kernels.name << " " << c.name;
      }
    }
  }
}

TEST(Unary, TheEndsOfTheRangeAreWhatMathematicsSays) {
  struct Point {
    Unary kind;
    float x, y;
  };
  const Point points[] = {
      {Unary::kExp, -kInfinity, 0},
      {Unary::kExp, -1e30f, 0},
      {Unary::kExp, 0, 1},
      {Unary::kExp, 89, kInfinity},
      {Unary::kExp, 200, kInfinity},  // Highway's Exp gives 0 here.
      {Unary::kExp, kInfinity, kInfinity},
      {Unary::kLog, 0, -kInfinity},
      {Unary::kLog, 1, 0},
      {Unary::kLog, kInfinity, kInfinity},
      {Unary::kLogistic, -200, 0},
      {Unary::kLogistic, -1e30f, 0},
      {Unary::kLogistic, 200, 1},
      {Unary::kLogistic, -kInfinity, 0},
      {Unary::kLogistic, kInfinity, 1},
      {Unary::kSilu, -200, 0},
      {Unary::kSilu, 1e30f, 1e30f},
      {Unary::kTanh, -kInfinity, -1},
      {Unary::kTanh, 1e30f, 1},
      {Unary::kElu, -kInfinity, -1},
      {Unary::kElu, kInfinity, kInfinity},
      {Unary::kSoftplus, -1e30f, 0},
      {Unary::kSoftplus, 1e30f, 1e30f},
      {Unary::kGelu, -1e4f, 0},
      {Unary::kGelu, 1e4f, 1e4f},
      {Unary::kRound, 0.5f, 0},
      {Unary::kRound, 1.5f, 2},
      {Unary::kRound, -2.5f, -2},
      {Unary::kRound, 1e10f, 1e10f},
      {Unary::kFloor, -1e10f, -1e10f},
      {Unary::kFloor, 8388609.0f, 8388609.0f},
      {Unary::kCeil, -0.5f, 0},
      {Unary::kSign, kInfinity, 1},
      {Unary::kSign, 0, 0},
      {Unary::kRelu, -kInfinity, 0},
      {Unary::kRelu6, kInfinity, 6},
      {Unary::kSqrt, kInfinity, kInfinity},
      {Unary::kRsqrt, 0, kInfinity},
  };
  for (const Isa isa : IsasHere()) {
    const ElementwiseKernels& kernels = ChooseElementwise(isa);
    for (const Point& p : points) {
      float y = 0;
      kernels.unary(p.kind, 1, &p.x, &y, kAlpha);
      EXPECT_EQ(y, p.y) << kernels.name << " kind " << int(p.kind) << " of "
                        << p.x;
    }
    for (const float x : {-1.0f, -1e-40f, -kInfinity}) {
      float y = 0;
      kernels.unary(Unary::kLog, 1, &x, &y, 0);
      EXPECT_TRUE(std::isnan(y)) << kernels.name << " log of " << x;
    }
    for (const float x : {1e10f, -1e30f}) {  // Beyond the polynomial's range.
      float y = 0;
      kernels.unary(Unary::kSin, 1, &x, &y, 0);
      EXPECT_NEAR(y, std::sin(static_cast<double>(x)), 1e-7);
    }
  }
}

TEST(Unary, ThreadsDoNotChangeABit) {
  ThreadPool one(1), two(2), three(3);
  const auto x = RandomFloats(50000, 3, -9, 9);
  for (const Isa isa : IsasHere()) {
    const ElementwiseKernels& kernels = ChooseElementwise(isa);
    std::vector<float> y[3];
    ThreadPool* pools[] = {&one, &two, &three};
    for (size_t i = 0; i < 3; ++i) {
      y[i].resize(x.size());
      RunUnaryF32(kernels, Unary::kGelu, x.size(), x.data(), y[i].data(), 0,
                  *pools[i]);
    }
    EXPECT_EQ(y[0], y[1]);
    EXPECT_EQ(y[0], y[2]);
  }
}

double Define(Binary kind, double a, double b) {
  switch (kind) {
    case Binary::kAdd:
      return a + b;
    case Binary::kSub:
      return a - b;
    case Binary::kMul:
      return a * b;
    case Binary::kDiv:
      return a / b;
    case Binary::kMaximum:
      return a > b ? a : b;
    case Binary::kMinimum:
      return a < b ? a : b;
    case Binary::kSquaredDifference:
      return (a - b) * (a - b);
  }
  return 0;
}

constexpr Binary kBinaries[] = {Binary::kAdd,
                                Binary::kSub,
                                Binary::kMul,
                                Binary::kDiv,
                                Binary::kMaximum,
                                Binary::kMinimum,
                                Binary::kSquaredDifference};

using Shape = std::vector<int32_t>;

size_t Count(const Shape& shape) {
  size_t n = 1;
  for (const int32_t d : shape) n *= static_cast<size_t>(d);
  return n;
}

// Element of `shape` that belongs to element `index` of `out`.
size_t Source(const Shape& shape, const Shape& out, size_t index) {
  size_t at = 0, run = 1;
  for (size_t i = out.size(); i-- > 0;) {
    const size_t k = index % static_cast<size_t>(out[i]);
    index /= static_cast<size_t>(out[i]);
    const size_t from_right = out.size() - i;
    if (from_right > shape.size()) continue;
    const size_t dim = static_cast<size_t>(shape[shape.size() - from_right]);
    if (dim != 1) at += k * run;
    run *= dim;
  }
  return at;
}

TEST(Binary, BroadcastsAnyPairOfShapes) {
  struct Shapes {
    Shape a, b, out;
  };
  const Shapes cases[] = {
      {{}, {}, {}},
      {{7}, {7}, {7}},
      {{1}, {33}, {33}},
      {{3, 1}, {1, 5}, {3, 5}},
      {{2, 3, 17}, {17}, {2, 3, 17}},
      {{17}, {2, 3, 17}, {2, 3, 17}},
      {{2, 3, 17}, {2, 1, 17}, {2, 3, 17}},
      {{2, 3, 17}, {3, 1}, {2, 3, 17}},
      {{}, {4, 40}, {4, 40}},
      {{0, 3}, {1, 3}, {0, 3}},
      {{2, 1, 3, 1, 2, 1, 3, 2},
       {1, 2, 1, 2, 1, 2, 1, 2},
       {2, 2, 3, 2, 2, 2, 3, 2}},
      {{3, 10000}, {3, 1}, {3, 10000}},
      {{20000}, {20000}, {20000}},
      // Short rows that are repeated, around the longest of them.
      {{9001, 3}, {3}, {9001, 3}},
      {{3}, {5000, 3}, {5000, 3}},
      {{200, 64}, {64}, {200, 64}},
      {{64}, {17, 64}, {17, 64}},
      {{200, 65}, {65}, {200, 65}},
  };
  ThreadPool one(1), three(3);
  for (const Isa isa : IsasHere()) {
    const ElementwiseKernels& kernels = ChooseElementwise(isa);
    for (const Shapes& c : cases) {
      const auto a = RandomFloats(Count(c.a), 1, 0.5f, 2);
      const auto b = RandomFloats(Count(c.b), 2, 0.5f, 2);
      const BroadcastLoops loops = PlanBroadcast(c.a, c.b, c.out);
      const size_t n = Count(c.out);
      for (const Binary kind : kBinaries) {
        for (const Activation activation :
             {Activation::kNone, Activation::kReluN1To1}) {
          Fenced y(n), y3(n);
          RunBinaryF32(kernels, kind, loops, a.data(), b.data(), y.data(),
                       activation, one);
          RunBinaryF32(kernels, kind, loops, a.data(), b.data(), y3.data(),
                       activation, three);
          EXPECT_TRUE(y.FencesHold() && y3.FencesHold());
          EXPECT_EQ(y.Values(), y3.Values());
          for (size_t i = 0; i < n; ++i) {
            double want = Define(kind, a[Source(c.a, c.out, i)],
                                 b[Source(c.b, c.out, i)]);
            if (activation == Activation::kReluN1To1) {
              want = std::fmin(1, std::fmax(-1, want));
            }
            ASSERT_NEAR(y.data()[i], want, 3e-7 * (1 + std::fabs(want)))
                << kernels.name << " kind " << int(kind) << " element " << i;
          }
        }
      }
    }
  }
}

TEST(Binary, NanAndInfinityPassThroughArithmeticAndActivations) {
  for (const Isa isa : IsasHere()) {
    const ElementwiseKernels& kernels = ChooseElementwise(isa);
    for (const Activation activation :
         {Activation::kNone, Activation::kRelu, Activation::kRelu6}) {
      const float a[] = {kNan, 1, kInfinity, kInfinity};
      const float b[] = {1, kNan, -kInfinity, 1};
      float y[4];
      kernels.binary(Binary::kAdd, 4, a, 1, b, 1, y, ClampOf(activation));
      EXPECT_TRUE(std::isnan(y[0]) && std::isnan(y[1]) && std::isnan(y[2]))
          << kernels.name;
      EXPECT_EQ(y[3], activation == Activation::kRelu6 ? 6 : kInfinity);
    }
    const float one = 1, zero = 0;
    float y;
    kernels.binary(Binary::kDiv, 1, &one, 1, &zero, 1, &y, Clamp());
    EXPECT_EQ(y, kInfinity);
  }
}

TEST(Binary, TheResultMayReplaceAnOperandOfItsShape) {
  for (const Isa isa : IsasHere()) {
    const ElementwiseKernels& kernels = ChooseElementwise(isa);
    for (const size_t n : {1, 15, 16, 17, 100}) {
      const auto a = RandomFloats(n, 1), b = RandomFloats(n, 2);
      std::vector<float> y(n), in_place = b;
      kernels.binary(Binary::kSub, n, a.data(), 1, b.data(), 1, y.data(),
                     Clamp());
      kernels.binary(Binary::kSub, n, a.data(), 1, in_place.data(), 1,
                     in_place.data(), Clamp());
      EXPECT_EQ(y, in_place);
    }
  }
}

TEST(Snake, EqualsItsDefinitionUpToLargeAngles) {
  for (const Isa isa : IsasHere()) {
    const ElementwiseKernels& kernels = ChooseElementwise(isa);
    for (const size_t n : {0, 1, 7, 16, 17, 33, 1000}) {
      const auto x = RandomFloats(n, 1, -100, 100);
      const auto a = RandomFloats(n, 2, 0.1f, 100);
      const auto b = RandomFloats(n, 3, 0.1f, 2);
      Fenced y(n);
      kernels.snake(n, x.data(), a.data(), b.data(), y.data());
      EXPECT_TRUE(y.FencesHold());
      for (size_t i = 0; i < n; ++i) {
        // The kernel's angle is the float product; so is the definition's.
        const double s = std::sin(static_cast<double>(x[i] * a[i]));
        const double want = x[i] + s * s * b[i];
        ASSERT_NEAR(y.data()[i], want, 1e-6 * b[i] + 1e-7 * std::fabs(want));
      }
    }
  }
}

TEST(GatedSilu, EqualsItsDefinitionAndSurvivesLargeGates) {
  for (const Isa isa : IsasHere()) {
    const ElementwiseKernels& kernels = ChooseElementwise(isa);
    for (const size_t n : {0, 1, 7, 16, 17, 33, 1000}) {
      const auto value = RandomFloats(n, 1, -3, 3);
      const auto gate = RandomFloats(n, 2, -300, 300);
      Fenced y(n);
      kernels.gated_silu(n, value.data(), gate.data(), y.data());
      EXPECT_TRUE(y.FencesHold());
      for (size_t i = 0; i < n; ++i) {
        const double g = gate[i];
        const double want = value[i] * g * Sigmoid(g);
        ASSERT_NEAR(y.data()[i], want, 5e-7 * std::fabs(want) + 1e-35);
      }
    }
  }
}

TEST(Rotary, TurnsPairsAcrossTheHalvesAndCopiesTheRest) {
  for (const Isa isa : IsasHere()) {
    const ElementwiseKernels& kernels = ChooseElementwise(isa);
    for (const size_t half : {0, 1, 5, 16, 19}) {
      for (const size_t rest : {0, 3}) {
        const size_t d = 2 * half + rest;
        const auto x = RandomFloats(d, 1);
        const auto c = RandomFloats(half, 2), s = RandomFloats(half, 3);
        Fenced y(d);
        kernels.rotary(d, half, x.data(), c.data(), s.data(), y.data());
        EXPECT_TRUE(y.FencesHold());
        for (size_t i = 0; i < half; ++i) {
          EXPECT_NEAR(y.data()[i],
                      double{x[i]} * c[i] - double{x[half + i]} * s[i], 3e-7);
          EXPECT_NEAR(y.data()[half + i],
                      double{x[half + i]} * c[i] + double{x[i]} * s[i], 3e-7);
        }
        for (size_t i = 2 * half; i < d; ++i) EXPECT_EQ(y.data()[i], x[i]);
        std::vector<float> in_place = x;
        kernels.rotary(d, half, in_place.data(), c.data(), s.data(),
                       in_place.data());
        EXPECT_EQ(in_place, y.Values());
      }
    }
  }
}

}  // namespace
}  // namespace lathe::kernels
