#include "src/report/compare.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace lathe::report {
namespace {

// A value that owns its bytes.
template <typename T>
struct Owned {
  Owned(ElementType type, std::vector<int32_t> shape, std::vector<T> numbers)
      : values(std::move(numbers)) {
    value.info.type = type;
    value.info.shape = std::move(shape);
    value.bytes = std::as_bytes(std::span(values));
  }
  std::vector<T> values;
  TensorValue value;
};
using Floats = Owned<float>;

Floats Row(std::vector<float> values) {
  const auto count = static_cast<int32_t>(values.size());
  return {ElementType::kFloat32, {count}, std::move(values)};
}

TEST(Compare, FollowsTheDefinition) {
  const auto a = Row({1, 2, -3, 0.5f}), b = Row({1, 1, -4, 0});
  const TensorDifference d = CompareValues(a.value, b.value, {});
  EXPECT_EQ(d.elements, 4u);
  EXPECT_EQ(d.over, 3u);
  EXPECT_EQ(d.max_abs, 1);
  EXPECT_EQ(d.max_rel, 1);  // 0.5 against 0 has no relative difference.
  EXPECT_DOUBLE_EQ(d.rms, std::sqrt(2.25 / 4));
  EXPECT_FALSE(d.real_values);
  EXPECT_FALSE(d.within());
}

TEST(Compare, AddsTheThreeTolerances) {
  const auto a = Row({10.5f, 0.5f}), b = Row({10, 0});
  EXPECT_EQ(CompareValues(a.value, b.value, {.absolute = 0.5}).over, 0u);
  EXPECT_EQ(CompareValues(a.value, b.value, {.relative = 0.05}).over, 1u);
  EXPECT_EQ(CompareValues(a.value, b.value, {.of_largest = 0.05}).over, 0u);
  EXPECT_EQ(CompareValues(a.value, b.value, {.of_largest = 0.04}).over, 2u);
}

TEST(Compare, TakesNanAndInfinityAsValues) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const auto a = Row({nan, inf, -inf, 1}), b = Row({nan, inf, -inf, 1});
  EXPECT_TRUE(CompareValues(a.value, b.value, {}).within());
  const auto c = Row({1, -inf, nan, 1});
  const TensorDifference d =
      CompareValues(a.value, c.value, {.absolute = 1e30});
  EXPECT_EQ(d.over, 3u);
  EXPECT_EQ(d.not_finite, 3u);
  EXPECT_EQ(d.max_abs, 0);
}

TEST(Compare, SubtractsWideIntegersExactly) {
  const int64_t big = int64_t{1} << 60;
  const Owned<int64_t> a(ElementType::kInt64, {2}, {big + 1, INT64_MIN});
  const Owned<int64_t> b(ElementType::kInt64, {2}, {big, INT64_MAX});
  const TensorDifference d = CompareValues(a.value, b.value, {.absolute = 0.5});
  EXPECT_EQ(d.over, 2u);
  EXPECT_EQ(d.max_abs, 0x1p64);
}

TEST(Compare, TakesRealValuesWhereTypesOrScalesDiffer) {
  Owned<int8_t> a(ElementType::kInt8, {2, 2}, {1, 3, 1, 3});
  a.value.info.quantization = {{0.5f, 2}, {1, 1}, 1};
  const Floats b(ElementType::kFloat32, {2, 2}, {0, 4, 0, 4});
  TensorDifference d = CompareValues(a.value, b.value, {});
  EXPECT_TRUE(d.real_values);
  EXPECT_TRUE(d.within());
  Owned<int8_t> c(ElementType::kInt8, {2, 2}, {0, 2, 0, 2});
  c.value.info.quantization = {{0.5f, 2}, {0, 0}, 1};
  d = CompareValues(a.value, c.value, {});
  EXPECT_TRUE(d.real_values);
  EXPECT_TRUE(d.within());
  c.value.info.quantization = a.value.info.quantization;
  d = CompareValues(a.value, c.value, {});
  EXPECT_FALSE(d.real_values);
  EXPECT_EQ(d.max_abs, 1);
}

TEST(Compare, UnpacksNarrowIntegers) {
  // -1, 7, -8 and a nibble that is no element.
  const Owned<uint8_t> a(ElementType::kInt4, {3}, {0x7F, 0xF8});
  const Owned<int8_t> b(ElementType::kInt8, {3}, {-1, 7, -8});
  EXPECT_TRUE(CompareValues(a.value, b.value, {}).within());
}

TEST(Compare, SaysWhatCannotBeCompared) {
  const auto a = Row({1, 2}), b = Row({1, 2, 3});
  EXPECT_EQ(CompareValues(a.value, b.value, {}).problem,
            "float32 [2] against float32 [3]");
  TensorValue text;
  text.info.type = ElementType::kString;
  text.info.shape = {2};
  EXPECT_FALSE(CompareValues(a.value, text, {}).problem.empty());
  TensorValue none = a.value;
  none.bytes = {};
  EXPECT_FALSE(CompareValues(a.value, none, {}).problem.empty());
}

TEST(Compare, CountsStringsThatDiffer) {
  TensorValue a, b;
  a.info.type = b.info.type = ElementType::kString;
  a.info.shape = b.info.shape = {3};
  a.strings = {"x", "y", ""};
  b.strings = {"x", "z", ""};
  EXPECT_EQ(CompareValues(a, b, {}).over, 1u);
  EXPECT_EQ(CompareValues(a, a, {}).over, 0u);
}

}  // namespace
}  // namespace lathe::report
