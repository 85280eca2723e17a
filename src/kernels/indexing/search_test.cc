#include "src/kernels/indexing/search.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <map>
#include <numeric>
#include <vector>

#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

TEST(TopK, IsTheHeadOfAStableSort) {
  const std::vector<float> few = RandomFloats(4000, 3, -4, 4);
  for (const size_t n : {1, 2, 7, 400}) {
    for (const size_t k : {size_t{0}, size_t{1}, size_t{2}, n / 2, n}) {
      if (k > n) continue;
      const size_t rows = 4000 / n;
      std::vector<int16_t> x(4000);
      for (size_t i = 0; i < x.size(); ++i) {
        x[i] = static_cast<int16_t>(few[i]);  // Many are equal.
      }
      for (const int threads : {1, 3}) {
        ThreadPool pool(threads);
        std::vector<int16_t> values(rows * k);
        std::vector<int32_t> at(rows * k), scratch(k * threads);
        RunTopK(Number::kInt16, rows, n, k, x.data(), values.data(), false,
                at.data(), scratch.data(), pool);
        for (size_t row = 0; row < rows; ++row) {
          std::vector<int32_t> order(n);
          std::iota(order.begin(), order.end(), 0);
          const int16_t* from = x.data() + row * n;
          std::ranges::stable_sort(
              order, [&](int32_t a, int32_t b) { return from[a] > from[b]; });
          for (size_t i = 0; i < k; ++i) {
            ASSERT_EQ(at[row * k + i], order[i]);
            ASSERT_EQ(values[row * k + i], from[order[i]]);
          }
        }
      }
    }
  }
}

TEST(TopK, PutsNanLast) {
  ThreadPool pool(1);
  const float x[] = {NAN, -INFINITY, 3, NAN, 5};
  float values[5];
  int16_t at[5];
  int32_t scratch[5];
  RunTopK(Number::kFloat32, 1, 5, 5, x, values, true, at, scratch, pool);
  EXPECT_EQ(std::vector<int16_t>(at, at + 5),
            (std::vector<int16_t>{4, 2, 1, 0, 3}));
}

TEST(Unique, NumbersValuesByFirstPlace) {
  std::vector<int64_t> x(500);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<int64_t>(i * i % 37);
  std::map<int64_t, int64_t> known;
  std::vector<int64_t> want_values, want_numbers;
  for (const int64_t v : x) {
    const auto [found, added] = known.emplace(v, want_values.size());
    if (added) want_values.push_back(v);
    want_numbers.push_back(found->second);
  }
  std::vector<int64_t> values(want_values.size()), numbers(x.size());
  std::vector<int32_t> scratch(2 * x.size());
  EXPECT_EQ(RunUnique(Number::kInt64, x.size(), x.data(), values.size(),
                      values.data(), true, numbers.data(), scratch.data()),
            want_values.size());
  EXPECT_EQ(values, want_values);
  EXPECT_EQ(numbers, want_numbers);
  // With less room the count is still right.
  std::vector<int64_t> two(2);
  EXPECT_EQ(RunUnique(Number::kInt64, x.size(), x.data(), 2, two.data(), true,
                      numbers.data(), scratch.data()),
            want_values.size());
}

TEST(Unique, TakesAllNansForOne) {
  const float x[] = {NAN, 1, NAN, 0.0f, -0.0f};
  float values[5];
  int32_t numbers[5], scratch[10];
  EXPECT_EQ(
      RunUnique(Number::kFloat32, 5, x, 5, values, false, numbers, scratch),
      3u);
  EXPECT_EQ(std::vector<int32_t>(numbers, numbers + 5),
            (std::vector<int32_t>{0, 1, 0, 2, 2}));
}

TEST(Where, ListsIndicesInOrder) {
  const std::vector<int32_t> shape = {2, 3};
  const float x[] = {0, -0.0f, 1, NAN, 0, -2};
  std::vector<int64_t> out(6, -1);
  EXPECT_EQ(RunWhere(Number::kFloat32, shape, x, 3, out.data()), 3u);
  EXPECT_EQ(out, (std::vector<int64_t>{0, 2, 1, 0, 1, 2}));
  EXPECT_EQ(RunWhere(Number::kFloat32, shape, x, 0, nullptr), 3u);
  const uint16_t halves[] = {0x8000, 0x0001, 0, 0, 0, 0x7C00};
  EXPECT_EQ(RunWhere(Number::kFloat16, shape, halves, 0, nullptr), 2u);
  const uint8_t truth = 4;
  EXPECT_EQ(RunWhere(Number::kBool, {}, &truth, 1, nullptr), 1u);
  const std::complex<float> i(0, 1);
  EXPECT_EQ(RunWhere(Number::kComplex64, {}, &i, 1, nullptr), 1u);
}

}  // namespace
}  // namespace lathe::kernels
