// Combining, reducing windows, slices by index.

#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "src/kernels/window/combine.h"
#include "src/kernels/window/reduce_window.h"
#include "src/kernels/window/slices.h"

namespace lathe::kernels {
namespace {

template <typename T>
T One(Combine combine, Number type, T a, T b) {
  T y{};
  CombineOf(combine, type)(1, &a, &b, &y);
  return y;
}

TEST(Combine, WrapsWholeNumbersOfEveryWidth) {
  EXPECT_EQ(One<int8_t>(Combine::kAdd, Number::kInt8, 127, 1), -128);
  EXPECT_EQ(One<int16_t>(Combine::kMultiply, Number::kInt16, -32768, -1),
            -32768);
  EXPECT_EQ(One<int32_t>(Combine::kAdd, Number::kInt32, INT32_MIN, -1),
            INT32_MAX);
  EXPECT_EQ(One<int64_t>(Combine::kMultiply, Number::kInt64, INT64_MIN, -1),
            INT64_MIN);
  EXPECT_EQ(One<uint64_t>(Combine::kAdd, Number::kUint64, UINT64_MAX, 2), 1u);
}

TEST(Combine, ShiftsOutEverythingBeyondTheWidth) {
  const auto shift = [](int8_t a, int8_t b) {
    return int{One<int8_t>(Combine::kShiftLeft, Number::kInt8, a, b)};
  };
  EXPECT_EQ(shift(3, 2), 12);
  EXPECT_EQ(shift(-1, 7), -128);
  EXPECT_EQ(shift(1, 8), 0);
  EXPECT_EQ(shift(1, -1), 0);
}

TEST(Combine, KnowsWhichTypesHaveWhat) {
  EXPECT_EQ(CombineOf(Combine::kAnd, Number::kFloat32), nullptr);
  EXPECT_EQ(CombineOf(Combine::kShiftLeft, Number::kBool), nullptr);
  EXPECT_NE(CombineOf(Combine::kAnd, Number::kBool), nullptr);
  EXPECT_EQ(One<uint8_t>(Combine::kAnd, Number::kBool, 2, 1), 1);
  EXPECT_EQ(One<uint16_t>(Combine::kAdd, Number::kFloat16, 0x3C00, 0x3C00),
            0x4000);
  EXPECT_EQ(
      One<uint16_t>(Combine::kMultiply, Number::kBfloat16, 0x4000, 0x4040),
      0x40C0);
  EXPECT_EQ(One<float>(Combine::kAll, Number::kFloat32, 0.5f, 2), 1);
}

TEST(ReduceWindow, PadsAndDilatesWithTheInitialValue) {
  // Places of x = [1 2 3] with base dilation 2, one in front, two behind:
  // i 1 i 2 i 3 i i.
  WindowShape s;
  s.rank = 1;
  s.axes[0] = {.in = 3,
               .out = 3,
               .window = 2,
               .stride = 2,
               .base_dilation = 2,
               .window_dilation = 3,
               .low = 1};
  const int32_t x[] = {1, 2, 3}, initial = 10;
  int32_t y[3];
  ThreadPool pool(2);
  RunReduceWindow(CombineOf(Combine::kAdd, Number::kInt32), s,
                  reinterpret_cast<const std::byte*>(x),
                  reinterpret_cast<const std::byte*>(&initial),
                  reinterpret_cast<std::byte*>(y), pool, nullptr);
  // Windows at 0, 2, 4 take places 0 and 3, 2 and 5, 4 and 7.
  EXPECT_EQ(y[0], 10 + 10 + 2);
  EXPECT_EQ(y[1], 10 + 10 + 3);
  EXPECT_EQ(y[2], 10 + 10 + 10);
}

TEST(ReduceWindow, TakesAPlainLastAxisAsOneRun) {
  WindowShape s;
  s.rank = 2;
  s.axes[0] = {.in = 4, .out = 2, .window = 2, .stride = 2};
  s.axes[1] = {.in = 3, .out = 3};
  const float x[] = {1, 9, 3, 4, 5, 6, 7, 8, 2, 0, 1, 5};
  const float initial = -std::numeric_limits<float>::infinity();
  std::vector<float> y(6);
  ThreadPool pool(2);
  RunReduceWindow(CombineOf(Combine::kMaximum, Number::kFloat32), s,
                  reinterpret_cast<const std::byte*>(x),
                  reinterpret_cast<const std::byte*>(&initial),
                  reinterpret_cast<std::byte*>(y.data()), pool, nullptr);
  EXPECT_EQ(y, std::vector<float>({4, 9, 6, 7, 8, 5}));
}

// Rows of a 3 x 2 matrix by index.
SliceShape Rows(size_t count) {
  SliceShape s;
  s.whole_rank = 2;
  s.whole = {3, 2};
  s.slice = {1, 2};
  s.part_rank = 2;
  s.parts[0] = {.size = count, .whole_axis = -1, .index_stride = 1};
  s.parts[1] = {.size = 2, .whole_axis = 1};
  s.components = 1;
  s.component_axis[0] = 0;
  return s;
}

TEST(Slices, GatherMovesStartsInside) {
  const float whole[] = {1, 2, 3, 4, 5, 6};
  const int32_t indices[] = {1, -7, INT32_MAX};
  std::vector<float> parts(6);
  RunGatherSlices(Rows(3), reinterpret_cast<const std::byte*>(whole), indices,
                  reinterpret_cast<std::byte*>(parts.data()));
  EXPECT_EQ(parts, std::vector<float>({3, 4, 1, 2, 5, 6}));
}

TEST(Slices, ScatterLeavesOutWhatIsOutside) {
  std::vector<float> whole = {1, 2, 3, 4, 5, 6};
  const float parts[] = {10, 20, 30, 40, 50, 60, 70, 80};
  SliceShape s = Rows(4);
  s.wide = true;
  const int64_t indices[] = {2, -1, INT64_MAX, 2};
  RunScatterSlices(s, CombineOf(Combine::kAdd, Number::kFloat32),
                   reinterpret_cast<const std::byte*>(parts), indices,
                   reinterpret_cast<std::byte*>(whole.data()));
  EXPECT_EQ(whole, std::vector<float>({1, 2, 3, 4, 85, 106}));
  const int64_t lowest[] = {INT64_MIN, 3, 0, 0};
  RunScatterSlices(s, CombineOf(Combine::kReplace, Number::kFloat32),
                   reinterpret_cast<const std::byte*>(parts), lowest,
                   reinterpret_cast<std::byte*>(whole.data()));
  EXPECT_EQ(whole, std::vector<float>({70, 80, 3, 4, 85, 106}));
}

}  // namespace
}  // namespace lathe::kernels
