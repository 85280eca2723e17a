// Blocks of space into the batch and back: SPACE_TO_BATCH_ND,
// BATCH_TO_SPACE_ND.

#ifndef LATHE_KERNELS_MOVEMENT_BLOCKS_H_
#define LATHE_KERNELS_MOVEMENT_BLOCKS_H_

#include <cstddef>
#include <span>

#include "src/base/thread_pool.h"

namespace lathe::kernels {

// `space` is [batch, space_h, space_w] pixels, `blocks` is [batch block_h
// block_w, blocks_h, blocks_w]: pixel (b, h, w) of block (i, j) at index
// (i block_w + j) batch + b stands for space (b, h block_h + i - top,
// w block_w + j - left).
struct BlockShape {
  size_t batch = 1, space_h = 1, space_w = 1;
  size_t blocks_h = 1, blocks_w = 1, block_h = 1, block_w = 1;
  size_t top = 0, left = 0;
  size_t pixel_bytes = 4;
};

// Pixels outside space are filled with `fill`, repeated.
void RunSpaceToBatch(const BlockShape& shape, std::span<const std::byte> fill,
                     const std::byte* space, std::byte* blocks,
                     ThreadPool& pool);

// Every pixel of space has one in blocks.
void RunBatchToSpace(const BlockShape& shape, const std::byte* blocks,
                     std::byte* space, ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_MOVEMENT_BLOCKS_H_
