#include "src/kernels/movement/narrow.h"

#include <vector>

#include "gtest/gtest.h"

namespace lathe::kernels {
namespace {

TEST(Narrow, ExtendsTheSign) {
  const std::byte packed[] = {std::byte{0x8F}, std::byte{0x07}};
  std::vector<std::byte> out(3);
  Unpack({4, true}, 3, packed, out.data());
  EXPECT_EQ(out, (std::vector<std::byte>{std::byte{0xFF}, std::byte{0xF8},
                                         std::byte{7}}));
  Unpack({4, false}, 3, packed, out.data());
  EXPECT_EQ(
      out, (std::vector<std::byte>{std::byte{15}, std::byte{8}, std::byte{7}}));
}

TEST(Narrow, SurvivesAWayThere) {
  for (const size_t bits : {1, 2, 4}) {
    for (const bool is_signed : {false, true}) {
      for (size_t n = 0; n < 12; ++n) {
        const Narrow type{bits, is_signed};
        std::vector<std::byte> from(n), back(n),
            packed((n * bits + 7) / 8, std::byte{0xAA});
        for (size_t i = 0; i < n; ++i) {
          from[i] = static_cast<std::byte>(i * 5 % (1u << bits));
        }
        Pack(type, n, from.data(), packed.data());
        Unpack(type, n, packed.data(), back.data());
        std::vector<std::byte> again(packed.size());
        Pack(type, n, back.data(), again.data());
        EXPECT_EQ(again, packed);
        for (size_t i = 0; i < n && !is_signed; ++i) {
          EXPECT_EQ(back[i], from[i]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace lathe::kernels
