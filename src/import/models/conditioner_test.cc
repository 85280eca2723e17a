// T5's distance buckets.

#include "src/import/models/conditioner.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "gtest/gtest.h"

namespace lathe::importer {
namespace {

// Section 2.2 of the reference, read line by line.
int32_t TableOf32And128(int32_t r) {
  const int32_t base = r <= 0 ? 0 : 16, m = std::abs(r);
  if (m < 8) return base + m;
  if (m <= 11) return base + 8;
  if (m <= 15) return base + 9;
  if (m <= 22) return base + 10;
  if (m <= 31) return base + 11;
  if (m <= 45) return base + 12;
  if (m <= 63) return base + 13;
  if (m <= 90) return base + 14;
  return base + 15;
}

TEST(RelativeBucket, IsThePublishedTableFor32BucketsUpTo128) {
  for (int32_t r = -600; r <= 600; ++r) {
    EXPECT_EQ(RelativeBucket(r, 32, 128), TableOf32And128(r)) << r;
  }
}

TEST(RelativeBucket, GrowsWithTheDistanceAndStaysInRangeForOtherSizes) {
  for (const auto& [buckets, furthest] :
       {std::pair{4, 2}, {8, 20}, {16, 64}, {64, 256}, {32, 100}}) {
    for (const int32_t sign : {-1, 1}) {
      int32_t before = -1;
      for (int32_t m = 0; m < 2 * furthest; ++m) {
        const int32_t bucket = RelativeBucket(sign * m, buckets, furthest);
        const int32_t base = sign * m > 0 ? buckets / 2 : 0;
        EXPECT_GE(bucket, std::max(before, base));
        EXPECT_LT(bucket, base + buckets / 2);
        if (m < buckets / 4) EXPECT_EQ(bucket, base + m);
        if (m >= furthest) EXPECT_EQ(bucket, base + buckets / 2 - 1);
        before = bucket;
      }
    }
  }
}

}  // namespace
}  // namespace lathe::importer
