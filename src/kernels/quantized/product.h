// Tiles of centred rows times packed weights, finished into outputs: what
// matrix products and convolutions of integers share.
//
// Comes after: quantized.h (rows)
// Comes before: matmul.h, int_conv.h (where the rows come from)

#ifndef LATHE_KERNELS_QUANTIZED_PRODUCT_H_
#define LATHE_KERNELS_QUANTIZED_PRODUCT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "src/base/aligned_buffer.h"
#include "src/kernels/quantized/byte_dot.h"
#include "src/kernels/quantized/quantized.h"

namespace lathe::kernels {

// Weights b(p, j), p < k, j < n, cut into panels of kernels.width columns:
// RoundUp(k, 2) * width bytes each, one behind the other, zeros beyond.
size_t PanelCount(const QuantizedKernels& kernels, size_t n);
size_t PanelBytes(const QuantizedKernels& kernels, size_t k);
inline size_t PackedBytes(const QuantizedKernels& kernels, size_t n, size_t k) {
  return PanelCount(kernels, n) * PanelBytes(kernels, k);
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
// Panels [first, last) of n columns, to their place behind `packed`, which is
// where panel `first` goes.
void PackPanels(const QuantizedKernels& kernels, size_t n,
                const WeightSource& source, size_t first, size_t last,
                std::byte* packed);

// The same for ByteDot: panels of RoundUp(k, 4) * width bytes, each weight 128
// more than it is.
size_t BytePanelBytes(const ByteDot& bytes, size_t k);
void PackBytePanels(const ByteDot& bytes, size_t n, const WeightSource& source,
                    size_t first, size_t last, std::byte* packed);

// How sums become outputs; arrays have one entry per column. They must outlive
// the calls.
struct Output {
  FinishRow::Kind kind = FinishRow::Kind::kRequantize;
  Integer type = Integer::kInt8;
  const int32_t* multiplier = nullptr;
  const int32_t* shift = nullptr;
  int32_t zero_point = 0, low = 0, high = 0;
  const float* scales = nullptr;
  Clamp clamp;
  // What the caller sets for a run.
  const void* bias = nullptr;
  bool wide_bias = false;
  std::byte* y = nullptr;

  size_t element_bytes() const {
    return kind >= FinishRow::Kind::kRaw ? 4 : BytesOf(type);
  }
};

struct Product {
  const QuantizedKernels* kernels = nullptr;
  size_t n = 0, k = 0;
  // Not null: rows are int8 and panels those of PackBytePanels; as wide as
  // `kernels`, and neither `block` nor Output::kind kWide goes with it.
  const ByteDot* bytes = nullptr;
  // Taken off every weight: (a, b - zero) is found as (a, b) - zero * sum(a).
  int32_t weight_zero = 0;
  // Blocks of weights along k with scales of their own (Output::kind is
  // kFloatSum): block_scales[block * n + j]. 0 is none; else even, divides k.
  size_t block = 0;
  const float* block_scales = nullptr;
};

// Bytes of a panel of the product, and of all of them.
size_t PanelBytes(const Product& product);
inline size_t PackedBytes(const Product& product) {
  return PanelCount(*product.kernels, product.n) * PanelBytes(product);
}

// Most rows of a tile.
inline constexpr size_t kTileRows = 48;

// Rows of RoundUp(k, 2) numbers, of which the last is 0 where k is odd; or,
// with Product::bytes, rows of RoundUp(k, 4) int8, zeros behind k. Output (i,
// j) goes to element at[i] + j of Output::y; row_scales is null or has one
// factor per row for kFloat and kFloatSum.
struct RowTile {
  size_t rows = 0;
  const int16_t* a = nullptr;
  const int8_t* bytes = nullptr;
  size_t a_stride = 0;
  const size_t* at = nullptr;
  const float* row_scales = nullptr;
};

// Scratch of one thread.
size_t TileScratchBytes(const QuantizedKernels& kernels);
// Finishes columns of panels [first, last); `packed` is where panel `first`
// lies.
void RunTile(const Product& product, const Output& output, const RowTile& tile,
             size_t first, size_t last, const std::byte* packed,
             std::byte* scratch);

// Scale and zero point of one row of floats, found by the rules of the format
// for dynamic ranges; symmetric: zero 0 and numbers from -127 to 127.
struct DynamicRange {
  float scale = 1, inverse = 1;
  int32_t zero = 0, low = 0, high = 0;
};
DynamicRange DynamicRangeOf(float low, float high, bool asymmetric);

// Centres `rows` rows of n floats, `x_stride` apart, into rows of `to_stride`,
// filled up with zeros; scales[row] stands for the quantizer's scale.
void QuantizeRows(const QuantizedKernels& kernels, const float* x, size_t rows,
                  size_t n, size_t x_stride, bool asymmetric, int16_t* to,
                  size_t to_stride, float* scales);
// One row to int8, symmetric, filled up with zeros to `to_stride`; returns the
// scale.
float QuantizeRowToBytes(const QuantizedKernels& kernels, const float* x,
                         size_t n, int8_t* to, size_t to_stride);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_PRODUCT_H_
