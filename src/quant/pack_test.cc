#include "src/quant/pack.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lathe::quant {
namespace {

std::vector<int> Packed(const std::vector<int8_t>& q, int bits) {
  std::vector<std::byte> bytes((q.size() * static_cast<size_t>(bits) + 7) / 8);
  Pack(q, bits, bytes);
  std::vector<int> result;
  for (const std::byte byte : bytes) result.push_back(static_cast<int>(byte));
  return result;
}

using testing::ElementsAre;

TEST(Pack, TheFirstElementIsInTheLowBits) {
  EXPECT_THAT(Packed({1, -1}, 4), ElementsAre(0xF1));
  EXPECT_THAT(Packed({-8, 7, 3, 0}, 4), ElementsAre(0x78, 0x03));
  // 1, -1, -2, 0 are 01, 11, 10, 00 from the low end.
  EXPECT_THAT(Packed({1, -1, -2, 0}, 2), ElementsAre(0b00101101));
  EXPECT_THAT(Packed({-1, 5}, 8), ElementsAre(0xFF, 5));
}

TEST(Pack, BitsBeyondTheLastElementAreZero) {
  EXPECT_THAT(Packed({-1, -1, -1}, 4), ElementsAre(0xFF, 0x0F));
  EXPECT_THAT(Packed({-1, -1, -1, -1, -1}, 2), ElementsAre(0xFF, 0x03));
  EXPECT_THAT(Packed({}, 4), ElementsAre());
}

TEST(Pack, UnpackGivesBackWhatWasPacked) {
  for (const int bits : {2, 4, 8}) {
    const int low = -(1 << (bits - 1)), levels = 1 << bits;
    for (size_t n = 0; n < 20; ++n) {
      std::vector<int8_t> q(n), back(n);
      for (size_t i = 0; i < n; ++i) {
        q[i] = static_cast<int8_t>(low + static_cast<int>(i * 7) % levels);
      }
      std::vector<std::byte> bytes((n * static_cast<size_t>(bits) + 7) / 8);
      Pack(q, bits, bytes);
      Unpack(bytes, bits, back);
      EXPECT_EQ(back, q) << bits << " bits, " << n;
    }
  }
}

}  // namespace
}  // namespace lathe::quant
