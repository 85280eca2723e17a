#include "src/kernels/elementwise/select.h"

#include <vector>

#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

TEST(Select, BroadcastsAllThreeOperands) {
  const std::vector<int32_t> c_shape = {2, 1, 3}, a_shape = {4, 1},
                             b_shape = {}, shape = {2, 4, 3};
  const uint8_t c[] = {1, 0, 2, 0, 0, 1};
  const uint16_t a[] = {10, 11, 12, 13}, b[] = {99};
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    std::vector<uint16_t> y(24);
    RunSelect(PlanSelect(c_shape, a_shape, b_shape, shape), 2, c,
              reinterpret_cast<const std::byte*>(a),
              reinterpret_cast<const std::byte*>(b),
              reinterpret_cast<std::byte*>(y.data()), pool);
    for (size_t i = 0; i < 24; ++i) {
      const bool take_a = c[i / 12 * 3 + i % 3] != 0;
      EXPECT_EQ(y[i], take_a ? a[i / 3 % 4] : 99);
    }
  }
}

TEST(Select, OfScalarsAndOfNothing) {
  ThreadPool pool(1);
  const uint8_t yes = 1;
  const std::byte a{1}, b{2};
  std::byte y{0};
  RunSelect(PlanSelect({}, {}, {}, {}), 1, &yes, &a, &b, &y, pool);
  EXPECT_EQ(y, a);
  const std::vector<int32_t> none = {2, 0};
  RunSelect(PlanSelect({}, {}, {}, none), 1, &yes, &a, &b, nullptr, pool);
}

}  // namespace
}  // namespace lathe::kernels
