// Memory for numbers.

#include "src/base/aligned_buffer.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "gtest/gtest.h"

namespace lathe {
namespace {

TEST(AlignedBuffer, IsZeroedAndAlignedToACacheLine) {
  for (const size_t bytes : {1, 63, 64, 4096, 5000000}) {
    const auto buffer = AlignedBuffer::Create(bytes);
    ASSERT_TRUE(buffer) << buffer.error().message;
    EXPECT_EQ(buffer->size(), bytes);
    EXPECT_EQ(buffer->bytes().size(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % kCacheLine, 0u);
    EXPECT_TRUE(std::ranges::all_of(
        buffer->bytes(), [](std::byte b) { return b == std::byte{0}; }));
  }
}

TEST(AlignedBuffer, OfNoBytesIsLegal) {
  const auto buffer = AlignedBuffer::Create(0);
  ASSERT_TRUE(buffer);
  EXPECT_EQ(buffer->size(), 0u);
  EXPECT_TRUE(buffer->bytes().empty());
}

TEST(AlignedBuffer, SaysHowMuchCannotBeHad) {
  const size_t huge = std::numeric_limits<size_t>::max() / 2;
  const auto buffer = AlignedBuffer::Create(huge);
  ASSERT_FALSE(buffer);
  EXPECT_EQ(buffer.error().code, ErrorCode::kSystem);
  EXPECT_NE(buffer.error().message.find(std::to_string(huge)),
            std::string::npos);
}

TEST(AlignedBuffer, MovesItsMemory) {
  auto a = AlignedBuffer::Create(100);
  ASSERT_TRUE(a);
  std::byte* const data = a->data();
  data[99] = std::byte{7};
  AlignedBuffer b(*std::move(a));
  EXPECT_EQ(b.data(), data);
  EXPECT_EQ(a->data(), nullptr);
  EXPECT_EQ(a->size(), 0u);

  auto c = AlignedBuffer::Create(8);
  ASSERT_TRUE(c);
  *c = std::move(b);
  EXPECT_EQ(c->data(), data);
  EXPECT_EQ(c->size(), 100u);
  EXPECT_EQ(c->data()[99], std::byte{7});
}

TEST(RoundUp, GivesTheNextMultiple) {
  EXPECT_EQ(RoundUp(0, 64), 0u);
  EXPECT_EQ(RoundUp(1, 64), 64u);
  EXPECT_EQ(RoundUp(64, 64), 64u);
  EXPECT_EQ(RoundUp(65, 64), 128u);
  EXPECT_EQ(RoundUp(7, 6), 12u);
}

}  // namespace
}  // namespace lathe
