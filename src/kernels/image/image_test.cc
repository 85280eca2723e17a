// Pools and resizing against their definitions, on every level here.

#include "src/kernels/image/image.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

double DefinePool(Pool kind, const PoolShape& s, const std::vector<float>& x,
                  size_t n, size_t oh, size_t ow, size_t c) {
  double sum = 0, most = -1e30;
  int count = 0;
  for (size_t i = 0; i < s.kernel_h; ++i) {
    for (size_t j = 0; j < s.kernel_w; ++j) {
      const size_t h = oh * s.stride_h + i, w = ow * s.stride_w + j;
      if (h < s.pad_top || h - s.pad_top >= s.in_h || w < s.pad_left ||
          w - s.pad_left >= s.in_w) {
        continue;
      }
      const double v =
          x[((n * s.in_h + h - s.pad_top) * s.in_w + w - s.pad_left) *
                s.channels +
            c];
      sum += kind == Pool::kL2 ? v * v : v;
      most = std::max(most, v);
      ++count;
    }
  }
  if (kind == Pool::kMax) return most;
  return kind == Pool::kL2 ? std::sqrt(sum / count) : sum / count;
}

std::vector<PoolShape> PoolShapes() {
  std::vector<PoolShape> shapes;
  // Around 4, 8 and 16 lanes, and a split of channels.
  for (const size_t channels : {1, 3, 4, 5, 8, 9, 15, 16, 17, 33, 130}) {
    PoolShape s;
    s.batch = 2;
    s.in_h = 5;
    s.in_w = 6;
    s.channels = channels;
    s.out_h = 3;
    s.out_w = 6;
    s.kernel_h = 3;
    s.kernel_w = 2;
    s.stride_h = 2;
    s.pad_top = 1;
    shapes.push_back(s);
  }
  return shapes;
}

TEST(Pools, MatchTheDefinitionWhateverTheThreads) {
  for (const PoolShape& s : PoolShapes()) {
    const auto x =
        RandomFloats(s.batch * s.in_h * s.in_w * s.channels, 1, -2, 2);
    for (const Isa isa : IsasHere()) {
      for (const Pool kind : {Pool::kAverage, Pool::kMax, Pool::kL2}) {
        SCOPED_TRACE(testing::Message() << Name(isa) << " " << s.channels);
        std::vector<float> first;
        for (const int threads : {1, 3}) {
          ThreadPool pool(threads);
          Fenced y(s.batch * s.out_h * s.out_w * s.channels);
          RunPool(ChooseImage(isa), kind, s, x.data(),
                  ClampOf(Activation::kReluN1To1), y.data(), pool);
          EXPECT_TRUE(y.FencesHold());
          if (first.empty()) first = y.Values();
          EXPECT_EQ(y.Values(), first);
        }
        for (size_t i = 0; i < first.size(); ++i) {
          const size_t c = i % s.channels, ow = i / s.channels % s.out_w;
          const size_t oh = i / s.channels / s.out_w % s.out_h;
          const size_t n = i / s.channels / s.out_w / s.out_h;
          const double want =
              std::clamp(DefinePool(kind, s, x, n, oh, ow, c), -1.0, 1.0);
          ASSERT_NEAR(first[i], want, 1e-6) << "element " << i;
        }
      }
    }
  }
}

TEST(Taps, StayInsideForHugeWindows) {
  const Taps all = TapsAt(0, 1, 1 << 30, size_t{1} << 31, 7);
  EXPECT_EQ(all.first, 0u);
  EXPECT_EQ(all.count, 7u);
  EXPECT_EQ(TapsAt(6, 1, 0, 3, 7).count, 1u);
  EXPECT_EQ(TapsAt(9, 1, 0, 3, 7).count, 0u);
}

TEST(MaxPoolWithArgmax, NamesTheTapAndUnpoolPutsItBack) {
  PoolShape s;
  s.in_h = 4;
  s.in_w = 4;
  s.channels = 2;
  s.out_h = s.out_w = 2;
  s.kernel_h = s.kernel_w = s.stride_h = s.stride_w = 2;
  const auto x = RandomFloats(32, 3, 0.5, 1);
  ThreadPool pool(2);
  std::vector<float> y(8), tap(8), back(32), also_back(32);
  std::vector<int32_t> position(8);
  RunMaxPoolWithArgmax(s, x.data(), Clamp(), y.data(), tap.data(),
                       position.data(), pool);
  RunMaxUnpool(s, y.data(), tap.data(), nullptr, back.data(), pool);
  RunMaxUnpool(s, y.data(), nullptr, position.data(), also_back.data(), pool);
  EXPECT_EQ(back, also_back);
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(x[static_cast<size_t>(position[i])], y[i]);
    EXPECT_EQ(back[static_cast<size_t>(position[i])], y[i]);
  }
  EXPECT_EQ(std::ranges::count(back, 0.0f), 24);
}

TEST(MaxUnpool, LeavesOutTapsThatAreNowhere) {
  PoolShape s;
  s.in_h = s.in_w = 2;
  s.out_w = 5;
  s.kernel_h = s.kernel_w = 2;
  ThreadPool pool(1);
  const float x[] = {1, 2, 3, 4, 5};
  const float taps[] = {-1, 4, std::nanf(""), 1e30f, -1e30f};
  const int32_t positions[] = {-1, 4, INT32_MAX, INT32_MIN, 3};
  std::vector<float> y(4, 7);
  RunMaxUnpool(s, x, taps, nullptr, y.data(), pool);
  EXPECT_EQ(y, std::vector<float>(4, 0));
  RunMaxUnpool(s, x, nullptr, positions, y.data(), pool);
  EXPECT_EQ(y, std::vector<float>({0, 0, 0, 5}));
}

TEST(Resize, PlansFollowTheThreeRules) {
  EXPECT_EQ(PlanNearest(2, 5, {}), std::vector<int32_t>({0, 0, 0, 1, 1}));
  EXPECT_EQ(PlanNearest(3, 5, {.align_corners = true}),
            std::vector<int32_t>({0, 1, 1, 2, 2}));
  EXPECT_EQ(PlanNearest(2, 4, {.half_pixel_centers = true}),
            std::vector<int32_t>({0, 0, 1, 1}));
  const BilinearAxis axis = PlanBilinear(2, 4, {.half_pixel_centers = true});
  EXPECT_EQ(axis.lo, std::vector<int32_t>({0, 0, 0, 1}));
  EXPECT_EQ(axis.hi, std::vector<int32_t>({0, 1, 1, 1}));
  EXPECT_EQ(axis.weight, std::vector<float>({0, 0.25f, 0.75f, 0}));
}

TEST(Resize, BilinearBlendsFourPixels) {
  for (const size_t channels : {1, 3, 4, 6, 16, 21}) {
    ResizeShape s{2, 3, 4, channels, 7, 5};
    const auto x = RandomFloats(2 * 3 * 4 * channels, 5);
    const BilinearAxis rows = PlanBilinear(3, 7, {.align_corners = true});
    const BilinearAxis columns = PlanBilinear(4, 5, {});
    for (const Isa isa : IsasHere()) {
      SCOPED_TRACE(testing::Message() << Name(isa) << " " << channels);
      ThreadPool pool(2);
      Fenced y(2 * 7 * 5 * channels);
      RunBilinear(ChooseImage(isa), s, rows, columns, x.data(), y.data(), pool);
      EXPECT_TRUE(y.FencesHold());
      std::vector<double> want;
      for (size_t i = 0; i < y.size(); ++i) {
        const size_t c = i % channels, ow = i / channels % 5;
        const size_t oh = i / channels / 5 % 7, n = i / channels / 35;
        const auto at = [&](int32_t h, int32_t w) {
          return double{x[((n * 3 + static_cast<size_t>(h)) * 4 +
                           static_cast<size_t>(w)) *
                              channels +
                          c]};
        };
        const double v = rows.weight[oh], h = columns.weight[ow];
        const int32_t top = rows.lo[oh], bottom = rows.hi[oh];
        const int32_t left = columns.lo[ow], right = columns.hi[ow];
        want.push_back(
            (1 - v) * ((1 - h) * at(top, left) + h * at(top, right)) +
            v * ((1 - h) * at(bottom, left) + h * at(bottom, right)));
      }
      ExpectNear(y.Values(), want, 1e-6);
    }
  }
}

TEST(Resize, NearestTakesPixelsOfAnySize) {
  for (const size_t bytes : {1, 2, 3, 4, 7, 12, 16, 20}) {
    ResizeShape s{1, 2, 3, 1, 3, 4};
    std::vector<uint8_t> x(6 * bytes), y(12 * bytes);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint8_t>(i);
    const auto rows = PlanNearest(2, 3, {}), columns = PlanNearest(3, 4, {});
    ThreadPool pool(2);
    RunNearest(s, bytes, rows, columns,
               reinterpret_cast<const std::byte*>(x.data()),
               reinterpret_cast<std::byte*>(y.data()), pool);
    for (size_t i = 0; i < 12; ++i) {
      const size_t from = static_cast<size_t>(rows[i / 4] * 3 + columns[i % 4]);
      EXPECT_EQ(std::memcmp(&y[i * bytes], &x[from * bytes], bytes), 0);
    }
  }
}

}  // namespace
}  // namespace lathe::kernels
