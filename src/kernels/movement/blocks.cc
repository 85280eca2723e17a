#include "src/kernels/movement/blocks.h"

#include <algorithm>
#include <cstring>

namespace lathe::kernels {
namespace {

void Fill(std::span<const std::byte> fill, std::byte* to, size_t bytes) {
  if (std::ranges::all_of(fill, [&](std::byte b) { return b == fill[0]; })) {
    std::memset(to, static_cast<int>(fill[0]), bytes);
    return;
  }
  for (size_t i = 0; i + fill.size() <= bytes; i += fill.size()) {
    std::memcpy(to + i, fill.data(), fill.size());
  }
}

}  // namespace

void RunSpaceToBatch(const BlockShape& shape, std::span<const std::byte> fill,
                     const std::byte* space, std::byte* blocks,
                     ThreadPool& pool) {
  const size_t bytes = shape.pixel_bytes, width = shape.blocks_w;
  if (bytes == 0 || width == 0) return;
  const size_t rows =
      shape.batch * shape.block_h * shape.block_w * shape.blocks_h;
  pool.Run(rows, [&](size_t row, size_t) {
    std::byte* to = blocks + row * width * bytes;
    const size_t image = row / shape.blocks_h;
    const size_t b = image % shape.batch, block = image / shape.batch;
    const size_t i = block / shape.block_w, j = block % shape.block_w;
    const size_t h = row % shape.blocks_h * shape.block_h + i;
    if (h < shape.top || h - shape.top >= shape.space_h) {
      return Fill(fill, to, width * bytes);
    }
    const std::byte* from =
        space + (b * shape.space_h + h - shape.top) * shape.space_w * bytes;
    for (size_t k = 0; k < width; ++k, to += bytes) {
      const size_t w = k * shape.block_w + j;
      if (w < shape.left || w - shape.left >= shape.space_w) {
        Fill(fill, to, bytes);
      } else {
        std::memcpy(to, from + (w - shape.left) * bytes, bytes);
      }
    }
  });
}

void RunBatchToSpace(const BlockShape& shape, const std::byte* blocks,
                     std::byte* space, ThreadPool& pool) {
  const size_t bytes = shape.pixel_bytes, width = shape.space_w;
  if (bytes == 0 || width == 0) return;
  pool.Run(shape.batch * shape.space_h, [&](size_t row, size_t) {
    std::byte* to = space + row * width * bytes;
    const size_t h = row % shape.space_h + shape.top;
    const size_t b = row / shape.space_h;
    const size_t i = h % shape.block_h;
    for (size_t k = 0; k < width; ++k, to += bytes) {
      const size_t w = k + shape.left, j = w % shape.block_w;
      const size_t image = (i * shape.block_w + j) * shape.batch + b;
      const size_t from =
          (image * shape.blocks_h + h / shape.block_h) * shape.blocks_w +
          w / shape.block_w;
      std::memcpy(to, blocks + from * bytes, bytes);
    }
  });
}

}  // namespace lathe::kernels
