#include "src/kernels/movement/blocks.h"

#include <vector>

#include "gtest/gtest.h"

namespace lathe::kernels {
namespace {

TEST(Blocks, SpaceToBatchAndBackIsTheSameImage) {
  BlockShape s;
  s.batch = 2;
  s.space_h = 5;
  s.space_w = 4;
  s.block_h = 2;
  s.block_w = 3;
  s.top = 1;
  s.left = 2;
  s.blocks_h = 3;
  s.blocks_w = 2;
  s.pixel_bytes = 2;
  std::vector<uint8_t> space(2 * 5 * 4 * 2), blocks(12 * 6 * 2), back(80);
  for (size_t i = 0; i < space.size(); ++i) space[i] = static_cast<uint8_t>(i);
  const std::byte fill[] = {std::byte{200}, std::byte{201}};
  ThreadPool pool(3);
  const auto bytes = [](std::vector<uint8_t>& v) {
    return reinterpret_cast<std::byte*>(v.data());
  };
  RunSpaceToBatch(s, fill, bytes(space), bytes(blocks), pool);
  RunBatchToSpace(s, bytes(blocks), bytes(back), pool);
  EXPECT_EQ(back, space);
  // Pixel (0, 0) of block (0, 0) lies above and left of the image.
  EXPECT_EQ(blocks[0], 200);
  EXPECT_EQ(blocks[1], 201);
  // Block (1, 2): pixel (0, 0) is space (0, 0), of batch 0 at image 5 * 2.
  EXPECT_EQ(blocks[10 * 6 * 2], 0);
}

}  // namespace
}  // namespace lathe::kernels
