// Reductions over every set of axes against a plain loop in double.

#include "src/kernels/reduce/reduce.h"

#include <cmath>
#include <limits>

#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

using Shape = std::vector<int32_t>;
constexpr Reduction kKinds[] = {Reduction::kSum, Reduction::kMean,
                                Reduction::kProd, Reduction::kMax,
                                Reduction::kMin};

// The plain definition: every input goes to the output its kept indices name.
std::vector<double> Define(Reduction kind, const Shape& shape,
                           const Shape& axes, const std::vector<float>& x) {
  size_t outputs = 1, n = 1;
  const auto reduced = [&](size_t i) {
    return std::count(axes.begin(), axes.end(), static_cast<int32_t>(i)) > 0;
  };
  for (size_t i = 0; i < shape.size(); ++i) {
    (reduced(i) ? n : outputs) *= static_cast<size_t>(shape[i]);
  }
  const double first = kind == Reduction::kProd  ? 1
                       : kind == Reduction::kMax ? -HUGE_VAL
                       : kind == Reduction::kMin ? HUGE_VAL
                                                 : 0;
  std::vector<double> y(outputs, first);
  for (size_t at = 0; at < x.size(); ++at) {
    size_t rest = at, to = 0, run = 1;
    for (size_t i = shape.size(); i-- > 0;) {
      const size_t size = static_cast<size_t>(shape[i]);
      if (!reduced(i)) {
        to += rest % size * run;
        run *= size;
      }
      rest /= size;
    }
    const double v = x[at];
    double& slot = y[to];
    if (kind == Reduction::kProd) {
      slot *= v;
    } else if (kind == Reduction::kMax) {
      slot = std::fmax(slot, v);
    } else if (kind == Reduction::kMin) {
      slot = std::fmin(slot, v);
    } else {
      slot += v;
    }
  }
  if (kind == Reduction::kMean) {
    for (double& v : y) v /= static_cast<double>(n);
  }
  return y;
}

TEST(Reduce, EqualsItsDefinitionForEverySetOfAxes) {
  const Shape shapes[] = {{},        {1},        {7},          {3, 70},
                          {70, 3},   {2, 5, 67}, {3, 1, 4, 5}, {2, 3, 2, 3, 4},
                          {130, 129}};
  ThreadPool one(1), two(2), three(3);
  for (const Isa isa : IsasHere()) {
    const NormKernels& kernels = ChooseNorm(isa);
    for (const Shape& shape : shapes) {
      size_t n = 1;
      for (const int32_t d : shape) n *= static_cast<size_t>(d);
      const auto x = RandomFloats(n, 1, 0.5f, 1.5f);
      for (uint32_t set = 0; set < 1u << shape.size(); ++set) {
        Shape axes;
        for (size_t i = 0; i < shape.size(); ++i) {
          if (set >> i & 1) axes.push_back(static_cast<int32_t>(i));
        }
        if (!axes.empty()) axes.push_back(axes[0]);  // Twice is once.
        const ReduceLoops loops = PlanReduce(shape, axes);
        for (const Reduction kind : kKinds) {
          const auto want = Define(kind, shape, axes, x);
          ASSERT_EQ(loops.outputs, want.size());
          Fenced y(want.size()), y2(want.size()), y3(want.size());
          RunReduce(kernels, kind, loops, x.data(), y.data(), one);
          RunReduce(kernels, kind, loops, x.data(), y2.data(), two);
          RunReduce(kernels, kind, loops, x.data(), y3.data(), three);
          EXPECT_TRUE(y.FencesHold() && y2.FencesHold() && y3.FencesHold());
          EXPECT_EQ(y.Values(), y2.Values());
          EXPECT_EQ(y.Values(), y3.Values());
          for (size_t i = 0; i < want.size(); ++i) {
            ASSERT_NEAR(y.data()[i], want[i], 1e-6 * std::fabs(want[i]) + 1e-30)
                << kernels.name << " kind " << int(kind) << " set " << set;
          }
        }
      }
    }
  }
}

TEST(Reduce, OfNothingGivesTheNeutralNumberAndAMeanOfNothingIsNan) {
  ThreadPool pool(2);
  const NormKernels& kernels = ChooseNorm(BestIsa());
  const auto reduce = [&](Reduction kind, const Shape& shape,
                          const Shape& axes) {
    const ReduceLoops loops = PlanReduce(shape, axes);
    std::vector<float> y(loops.outputs, Fenced::kUntouched);
    const float none = 0;
    RunReduce(kernels, kind, loops, &none, y.data(), pool);
    return y;
  };
  for (const auto& [shape, axes] :
       {std::pair<Shape, Shape>{{3, 0}, {1}}, {{0, 3}, {0}}}) {
    EXPECT_EQ(reduce(Reduction::kSum, shape, axes),
              std::vector<float>({0, 0, 0}));
    EXPECT_EQ(reduce(Reduction::kProd, shape, axes),
              std::vector<float>({1, 1, 1}));
    EXPECT_EQ(reduce(Reduction::kMax, shape, axes)[0], -HUGE_VALF);
    EXPECT_EQ(reduce(Reduction::kMin, shape, axes)[2], HUGE_VALF);
    EXPECT_TRUE(std::isnan(reduce(Reduction::kMean, shape, axes)[1]));
  }
  EXPECT_TRUE(reduce(Reduction::kSum, {0, 3}, {1}).empty());
}

TEST(Reduce, NanIsNeverLost) {
  ThreadPool pool(1);
  const NormKernels& kernels = ChooseNorm(BestIsa());
  for (const size_t bad : {0, 5, 99}) {
    auto x = RandomFloats(100, 1);
    x[bad] = std::numeric_limits<float>::quiet_NaN();
    for (const Reduction kind : kKinds) {
      for (const Shape& shape : {Shape{100, 1}, Shape{1, 100}}) {
        const Shape axes = {0, 1};
        float y = 0;
        RunReduce(kernels, kind, PlanReduce(shape, axes), x.data(), &y, pool);
        EXPECT_TRUE(std::isnan(y)) << int(kind) << " NaN at " << bad;
      }
    }
  }
}

TEST(Reduce, SumsOfManyNumbersAcrossRowsAreExactToAFloat) {
  ThreadPool pool(1);
  const size_t rows = 100000;
  std::vector<float> x(rows * 2, 0.1f);
  const Shape shape = {static_cast<int32_t>(rows), 2}, axes = {0};
  float y[2];
  RunReduce(ChooseNorm(BestIsa()), Reduction::kSum, PlanReduce(shape, axes),
            x.data(), y, pool);
  // A running float sum of these is off by 1.4.
  EXPECT_EQ(y[0], static_cast<float>(rows * double{0.1f}));
}

}  // namespace
}  // namespace lathe::kernels
