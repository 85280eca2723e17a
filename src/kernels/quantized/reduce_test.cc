#include "src/kernels/quantized/reduce.h"

#include <cmath>
#include <random>

#include "gtest/gtest.h"

namespace lathe::kernels {
namespace {

// The inputs of each output, in the order of memory.
template <typename T>
std::vector<std::vector<T>> Lines(const std::vector<int32_t>& shape,
                                  const std::vector<int32_t>& axes,
                                  const std::vector<T>& x, size_t outputs) {
  std::vector<std::vector<T>> lines(outputs);
  for (size_t at = 0; at < x.size(); ++at) {
    std::vector<size_t> index(shape.size());
    size_t rest = at;
    for (size_t i = shape.size(); i-- > 0;) {
      index[i] = rest % static_cast<size_t>(shape[i]);
      rest /= static_cast<size_t>(shape[i]);
    }
    size_t to = 0;
    for (size_t i = 0; i < shape.size(); ++i) {
      if (std::ranges::count(axes, static_cast<int32_t>(i))) continue;
      to = to * static_cast<size_t>(shape[i]) + index[i];
    }
    lines[to].push_back(x[at]);
  }
  return lines;
}

template <typename T>
void Check(QuantizedType type, const Requantized& s) {
  const std::pair<std::vector<int32_t>, std::vector<int32_t>> cases[] = {
      {{5, 7}, {1}},           {{5, 7}, {0}},          {{3, 130, 5}, {1}},
      {{2, 3, 4}, {0, 2}},     {{2, 3, 4}, {0, 1, 2}}, {{3, 4}, {}},
      {{2, 9, 9, 70}, {1, 2}}, {{40, 65}, {0}},
  };
  std::mt19937 rng(7);
  for (const auto& [shape, axes] : cases) {
    size_t n = 1;
    for (const int32_t d : shape) n *= static_cast<size_t>(d);
    std::vector<T> x(n);
    for (T& q : x) q = static_cast<T>(rng() >> 5);
    const ReduceLoops loops = PlanReduce(shape, axes);
    const auto lines = Lines(shape, axes, x, loops.outputs);
    for (const Reduction kind : {Reduction::kMean, Reduction::kSum,
                                 Reduction::kMax, Reduction::kMin}) {
      for (const bool pooled : {false, true}) {
        std::vector<T> y(loops.outputs), again(y.size());
        ThreadPool one(1), three(3);
        const QuantizedReduction reduction{kind, s, pooled};
        RunQuantizedReduce(reduction, type, loops, x.data(), y.data(), one);
        RunQuantizedReduce(reduction, type, loops, x.data(), again.data(),
                           three);
        ASSERT_EQ(y, again);
        for (size_t i = 0; i < y.size(); ++i) {
          double sum = 0;
          for (const T q : lines[i]) {
            sum += double{s.in_scale} * (q - s.in_zero);
          }
          double want = 0;
          if (kind == Reduction::kMax) {
            want = *std::ranges::max_element(lines[i]);
          } else if (kind == Reduction::kMin) {
            want = *std::ranges::min_element(lines[i]);
          } else {
            if (kind == Reduction::kMean) {
              sum /= static_cast<double>(lines[i].size());
            }
            want = std::clamp(sum / double{s.out_scale} + s.out_zero,
                              double(std::numeric_limits<T>::min()),
                              double(std::numeric_limits<T>::max()));
          }
          // Two roundings on the way.
          ASSERT_NEAR(y[i], want, pooled ? 1.01 : 0.76)
              << i << " kind " << static_cast<int>(kind);
        }
      }
    }
  }
}

TEST(QuantizedReduce, IsTheReductionOfTheRealsOverAnyAxes) {
  Check<int8_t>(QuantizedType::kInt8, {0.05F, -20, 0.04F, 11});
  Check<uint8_t>(QuantizedType::kUint8, {0.05F, 200, 0.06F, 100});
  Check<int16_t>(QuantizedType::kInt16, {1e-3F, 0, 2e-3F, 0});
}

TEST(QuantizedReduce, ProductsAreThoseOfTheRealsAndSaturateWithTheirSign) {
  std::mt19937 rng(3);
  const Requantized s{0.02F, 3, 0.05F, -4};
  const std::vector<int32_t> shape = {300, 3}, axes = {1};
  std::vector<int8_t> x(900), y(300);
  for (int8_t& q : x) q = static_cast<int8_t>(rng() >> 5);
  ThreadPool pool(2);
  RunQuantizedReduce({Reduction::kProd, s}, QuantizedType::kInt8,
                     PlanReduce(shape, axes), x.data(), y.data(), pool);
  for (size_t i = 0; i < y.size(); ++i) {
    double product = 1;
    for (size_t j = 0; j < 3; ++j) product *= 0.02 * (x[3 * i + j] - 3);
    const double want = std::clamp(product / 0.05 - 4, -128.0, 127.0);
    // Each factor rounds on the scale of the roots.
    ASSERT_NEAR(y[i], want, 2.5) << i;
  }
}

TEST(QuantizedReduce, NothingGivesTheZeroPoint) {
  const std::vector<int32_t> shape = {2, 0}, axes = {1};
  std::vector<int8_t> y(2, 99);
  ThreadPool pool(1);
  RunQuantizedReduce({Reduction::kMean, {1, 0, 1, -7}}, QuantizedType::kInt8,
                     PlanReduce(shape, axes), y.data(), y.data(), pool);
  EXPECT_EQ(y, (std::vector<int8_t>{-7, -7}));
}

}  // namespace
}  // namespace lathe::kernels
