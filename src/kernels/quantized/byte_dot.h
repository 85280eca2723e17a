// Products of int8 rows with weights kept as uint8, for CPUs that multiply
// bytes at once.
//
// The weight's sign is taken off by adding 128 (8 to those of 4 bits), which
// costs that many times the sum of the row: known when the row is quantized, so
// the sums start there. What a row's own zero point costs is known from the
// sums of the columns.
// Comes before: product.h, which uses it where the rows are int8.

#ifndef LATHE_KERNELS_QUANTIZED_BYTE_DOT_H_
#define LATHE_KERNELS_QUANTIZED_BYTE_DOT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "src/base/cpu.h"

namespace lathe::kernels {

inline constexpr int32_t kByteOffset = 128, kNibbleOffset = 8;

// sums[i, j] = start[i] - zeros[i] * column_sums[j] + the sum over p < k of
// a[i * a_stride + p] * b(p, j), modulo 2^32, for i < rows and j < the kernel's
// width. `k` is a multiple of 4. Where zeros is null, all are 0.
// `b` is a panel: element (p, j) lies at (p / 4 * width + j) * 4 + p % 4.
struct ByteTile {
  size_t rows = 0, k = 0;
  const int8_t* a = nullptr;
  size_t a_stride = 0;
  const uint8_t* b = nullptr;
  const int32_t* start = nullptr;
  const int32_t* zeros = nullptr;
  const int32_t* column_sums = nullptr;
  int32_t* sums = nullptr;
  size_t sums_stride = 0;
  // What comes next: brought into the L2 meanwhile, never read.
  std::span<const std::byte> ahead;
};

// Weights of nibbles, or with scales by block, whose sums stay in registers.
// For `blocks` blocks of k, and s[block] what ByteTile says of one, starting at
// start[i * blocks + block]:
// y[i, j] = s[0] as int32, or with scales the sum over the blocks, in order and
// rounded twice, of float(s[block]) * scales[block * width + j].
// With `nibbles` k is a multiple of 8 and element (p, j) is the half p / 4 % 2
// (0: the lower) of the byte at (p / 8 * width + j) * 4 + p % 4.
struct BlockTile {
  size_t rows = 0, k = 0, blocks = 1;
  const int8_t* a = nullptr;
  size_t a_stride = 0;
  const uint8_t* b = nullptr;
  bool nibbles = false;
  const int32_t* start = nullptr;
  const int32_t* zeros = nullptr;
  const int32_t* column_sums = nullptr;  // [blocks][width]
  const float* scales = nullptr;
  void* y = nullptr;  // Rows are `width` apart.
};

struct ByteDot {
  std::string_view name;
  Isa isa;           // The level from which on it is chosen.
  uint8_t width;     // Columns of a panel.
  bool (*usable)();  // Whether this CPU can run it.
  void (*dot)(const ByteTile& tile);
  void (*dot_blocks)(const BlockTile& tile);
  // A panel of nibbles, 4 * width bytes for each of k / 8, as one of bytes.
  void (*expand)(const uint8_t* from, size_t k, uint8_t* to);
};

// Every level in this build, fastest first; the scalar one is the definition.
std::span<const ByteDot* const> AllByteDots();
// The one for panels of `width` columns that this CPU has and whose level is
// not above `limit`, or null where products of int16 are as fast.
const ByteDot* ChooseByteDot(Isa limit, size_t width);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_BYTE_DOT_H_
