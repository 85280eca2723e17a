#include "src/kernels/peak/peak.h"

#include "gtest/gtest.h"
#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

TEST(Peak, IsAPlausibleFigureForEveryLevelHere) {
  ThreadPool pool(2);
  double last = 0;
  for (const Isa isa : IsasHere()) {
    const auto peak = MeasurePeak(isa, pool);
    ASSERT_TRUE(peak.has_value()) << peak.error().message;
    EXPECT_EQ(peak->isa, isa);
    EXPECT_GT(peak->gflops, 0.05) << Name(isa);
    EXPECT_LT(peak->gflops, 1e5) << Name(isa);
    EXPECT_GT(peak->gbytes_per_s, 0.05);
    EXPECT_LT(peak->gbytes_per_s, 1e5);
    last = peak->gflops;
  }
  EXPECT_GT(last, 0);
}

TEST(Peak, RefusesALevelThatIsNotHere) {
#if defined(__x86_64__)
  const Isa missing = Isa::kNeon;
#else
  const Isa missing = Isa::kAvx512;
#endif
  ThreadPool pool(1);
  const auto peak = MeasurePeak(missing, pool);
  ASSERT_FALSE(peak.has_value());
  EXPECT_NE(peak.error().message.find(Name(missing)), std::string::npos);
}

}  // namespace
}  // namespace lathe::kernels
