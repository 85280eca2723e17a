// Tiles of rows times packed weights, finished into outputs: what matrix
// products and convolutions of integers share.
//
// Rows are centred int16 numbers, or int8 numbers as they are where the CPU
// multiplies bytes (byte_dot.h); the outputs are the same to the last bit.
//
// Comes after: quantized.h (operations on rows), dynamic.h (floats)
// Comes before: matmul.h, int_conv.h (where the rows come from)

#ifndef LATHE_KERNELS_QUANTIZED_PRODUCT_H_
#define LATHE_KERNELS_QUANTIZED_PRODUCT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "src/base/aligned_buffer.h"
#include "src/base/thread_pool.h"
#include "src/kernels/elementwise/elementwise.h"
#include "src/kernels/quantized/byte_dot.h"
#include "src/kernels/quantized/dynamic.h"
#include "src/kernels/quantized/quantized.h"

namespace lathe::kernels {

struct Product {
  const QuantizedKernels* kernels = nullptr;
  size_t n = 0, k = 0;
  // Not null: rows and panels are bytes. As wide as `kernels`; Output::kind
  // kWide does not go with it.
  const ByteDot* bytes = nullptr;
  // With bytes: weights have 4 bits, and panels hold two in each byte. Many
  // rows without blocks meet panels that are made bytes first: nibbles is false
  // then.
  bool four_bits = false, nibbles = false;
  // Taken off every weight: (a, b - zero) is found as (a, b) - zero * sum(a).
  int32_t weight_zero = 0;
  // Blocks of weights along k with scales of their own (Output::kind is
  // kFloatSum): block_scales[(panel * blocks + block) * width + j % width].
  // 0 is none; else a multiple of `group`, divides k.
  size_t block = 0;
  const float* block_scales = nullptr;
  // The last n / 2 columns are gates of the first: output j is value *
  // (gate * logistic(gate)) of sums j and n / 2 + j. Output::kind is kFloat or
  // kFloatSum.
  const ElementwiseKernels* gates = nullptr;

  size_t outputs() const { return gates ? n / 2 : n; }
  std::string_view name() const { return bytes ? bytes->name : kernels->name; }
  // Rows are filled up with zeros to a multiple of this.
  size_t group() const { return !bytes ? 2 : four_bits ? 8 : 4; }
  // Added to weights in bytes.
  int32_t offset() const { return four_bits ? kNibbleOffset : kByteOffset; }
  size_t padded_k() const { return RoundUp(k, group()); }
  size_t blocks() const { return block == 0 ? 1 : k / block; }
};

// Makes it one of `bytes` where that fits; null fits nothing.
void UseBytes(const ByteDot* bytes, Product& product);
// For weights from -8 to 7, after UseBytes.
void UseNibbles(Product& product);

// Weights b(p, j), p < k, j < n, cut into panels of kernels->width columns, one
// behind the other, zeros beyond: padded_k * width weights and, of bytes, the
// sums of the columns, centred, for each block. A panel of gates comes behind
// the one of their values.
size_t PanelCount(const Product& product);
struct PanelColumns {
  size_t first = 0, count = 0;
};
PanelColumns ColumnsOf(const Product& product, size_t panel);
size_t PanelBytes(const Product& product);
// Panels of nibbles, `count` one behind the other, as those of bytes.
void ExpandPanels(const Product& product, size_t count, const std::byte* packed,
                  std::byte* to);
inline size_t PackedBytes(const Product& product) {
  return PanelCount(product) * PanelBytes(product);
}

// Of Product::block_scales.
inline size_t BlockScaleCount(const Product& product) {
  return PanelCount(product) * product.blocks() * product.kernels->width;
}

// Where b lies: p = tap * per_tap + c is
// source[taps[tap] + c * k_stride + j * n_stride]. With `flip` the source is
// uint8 and 128 is taken off each number (take zero_point - 128 then).
struct WeightSource {
  const int8_t* data = nullptr;
  std::span<const size_t> taps;
  size_t per_tap = 0, k_stride = 1, n_stride = 0;
  bool flip = false;
};
// Panels [first, last), to their place behind `packed`, which is where panel
// `first` goes.
void PackPanels(const Product& product, const WeightSource& source,
                size_t first, size_t last, std::byte* packed,
                ThreadPool* pool = nullptr);

// How sums become outputs; arrays have one entry per column. They must outlive
// the calls.
struct Output {
  FinishRows::Kind kind = FinishRows::Kind::kRequantize;
  Integer type = Integer::kInt8;
  const int32_t* multiplier = nullptr;
  const int32_t* shift = nullptr;
  int32_t zero_point = 0, low = 0, high = 0;
  const float* scales = nullptr;
  Clamp clamp;
  // What the caller sets for a run.
  const void* bias = nullptr;
  bool wide_bias = false;
  // Of kFloat and kFloatSum: null, or laid out as y and added; may be y.
  const float* residual = nullptr;
  std::byte* y = nullptr;

  size_t element_bytes() const {
    return kind >= FinishRows::Kind::kRaw ? 4 : BytesOf(type);
  }
};

// What the sums of a row of bytes with this sum start with, modulo 2^32.
int32_t StartOf(const Product& product, int32_t sum);

// Most rows of a tile.
inline constexpr size_t kTileRows = 48;

// Rows of padded_k numbers, zeros behind k: `a`, or with Product::bytes
// `bytes`, of which zeros[row] has yet to be taken off (null: nothing has) and
// starts[row * blocks + block] is StartOf their sum. Output (i, j) goes to
// element at[i] + j of Output::y, or where `at` is null first + i * outputs() +
// j; row_scales is null or has one factor per row for kFloat and kFloatSum.
// Products of bytes bring `ahead` into the cache meanwhile.
struct RowTile {
  size_t rows = 0;
  const int16_t* a = nullptr;
  const int8_t* bytes = nullptr;
  size_t a_stride = 0;
  const int32_t* starts = nullptr;
  const int32_t* zeros = nullptr;
  const size_t* at = nullptr;
  size_t first = 0;
  const float* row_scales = nullptr;
  std::span<const std::byte> ahead;
};

// Scratch of one thread.
size_t TileScratchBytes(const QuantizedKernels& kernels);
// Finishes columns of panels [first, last), with gates an even number of them;
// `packed` is where panel `first` lies.
void RunTile(const Product& product, const Output& output, const RowTile& tile,
             size_t first, size_t last, const std::byte* packed,
             std::byte* scratch);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_PRODUCT_H_
