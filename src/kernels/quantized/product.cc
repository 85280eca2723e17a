#include "src/kernels/quantized/product.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lathe::kernels {
namespace {

// 2^15 * 2^7 * 256 = 2^30: sums of 16-bit rows stay exact in int32 this long.
constexpr size_t kWideChunk = 256;

struct Sums {
  int32_t* narrow = nullptr;  // [kTileRows][width]
  int64_t* wide = nullptr;    // The same, or float.
  int64_t* row_sums = nullptr;
};

Sums Carve(const QuantizedKernels& kernels, std::byte* scratch) {
  const size_t cells = kTileRows * kernels.width;
  Sums sums;
  sums.wide = reinterpret_cast<int64_t*>(scratch);
  sums.row_sums = sums.wide + cells;
  sums.narrow = reinterpret_cast<int32_t*>(sums.row_sums + kTileRows);
  return sums;
}

// Panels of groups of kGroup numbers of k, one column behind the other; `flip`
// changes the sign bit of each weight.
template <size_t kGroup>
void PackGroups(size_t width, size_t n, const WeightSource& source, bool flip,
                size_t first, size_t last, std::byte* packed) {
  const size_t k = source.taps.size() * source.per_tap;
  const size_t panel_bytes = RoundUp(k, kGroup) * width;
  const uint8_t sign = flip ? 0x80 : 0;
  for (size_t panel = first; panel < last; ++panel) {
    uint8_t* to =
        reinterpret_cast<uint8_t*>(packed) + (panel - first) * panel_bytes;
    const size_t columns = std::min(width, n - panel * width);
    if (columns < width || k % kGroup != 0) std::memset(to, 0, panel_bytes);
    for (size_t j = 0; j < columns; ++j) {
      const int8_t* column =
          source.data + (panel * width + j) * source.n_stride;
      size_t p = 0;
      for (const size_t tap : source.taps) {
        const int8_t* from = column + tap;
        for (size_t c = 0; c < source.per_tap; ++c, ++p) {
          to[(p / kGroup * width + j) * kGroup + p % kGroup] =
              static_cast<uint8_t>(from[c * source.k_stride]) ^ sign;
        }
      }
    }
  }
}

}  // namespace

size_t PanelCount(const QuantizedKernels& kernels, size_t n) {
  return (n + kernels.width - 1) / kernels.width;
}
size_t PanelBytes(const QuantizedKernels& kernels, size_t k) {
  return RoundUp(k, 2) * kernels.width;
}
size_t TileScratchBytes(const QuantizedKernels& kernels) {
  return kTileRows * kernels.width * (sizeof(int64_t) + sizeof(int32_t)) +
         kTileRows * sizeof(int64_t);
}

void PackPanels(const QuantizedKernels& kernels, size_t n,
                const WeightSource& source, size_t first, size_t last,
                std::byte* packed) {
  PackGroups<2>(kernels.width, n, source, source.flip, first, last, packed);
}

size_t BytePanelBytes(const ByteDot& bytes, size_t k) {
  return RoundUp(k, 4) * bytes.width;
}

size_t PanelBytes(const Product& product) {
  return product.bytes ? BytePanelBytes(*product.bytes, product.k)
                       : PanelBytes(*product.kernels, product.k);
}

// What `flip` takes off and the panel adds cancel out.
void PackBytePanels(const ByteDot& bytes, size_t n, const WeightSource& source,
                    size_t first, size_t last, std::byte* packed) {
  PackGroups<4>(bytes.width, n, source, !source.flip, first, last, packed);
}

float QuantizeRowToBytes(const QuantizedKernels& kernels, const float* x,
                         size_t n, int8_t* to, size_t to_stride) {
  float low = 0, high = 0;
  if (n > 0) kernels.range(x, n, &low, &high);
  const DynamicRange range = DynamicRangeOf(low, high, false);
  constexpr size_t kPiece = 512;
  int16_t piece[kPiece];
  for (size_t p = 0; p < n; p += kPiece) {
    const size_t count = std::min(kPiece, n - p);
    kernels.quantize(x + p, count, range.inverse, range.zero, range.low,
                     range.high, piece);
    for (size_t i = 0; i < count; ++i) {
      to[p + i] = static_cast<int8_t>(piece[i]);
    }
  }
  std::fill(to + n, to + to_stride, int8_t{0});
  return range.scale;
}

void RunTile(const Product& product, const Output& output, const RowTile& tile,
             size_t first, size_t last, const std::byte* packed,
             std::byte* scratch) {
  const QuantizedKernels& kernels = *product.kernels;
  const size_t width = kernels.width;
  const size_t k = RoundUp(product.k, product.bytes ? 4 : 2);
  const size_t panel_bytes = PanelBytes(product);
  const Sums sums = Carve(kernels, scratch);
  const bool wide = output.kind == FinishRow::Kind::kWide;
  const bool floats = output.kind == FinishRow::Kind::kFloatSum;
  size_t chunk = wide ? kWideChunk : floats ? product.block : k;
  chunk = std::max<size_t>(chunk, 1);

  int32_t start[kTileRows];
  if (product.bytes) {
    const uint32_t zero =
        static_cast<uint32_t>(product.weight_zero + kByteOffset);
    for (size_t i = 0; i < tile.rows; ++i) {
      const int8_t* row = tile.bytes + i * tile.a_stride;
      int32_t sum = 0;
      for (size_t p = 0; p < k; ++p) sum += row[p];
      start[i] = static_cast<int32_t>(0u - static_cast<uint32_t>(sum) * zero);
    }
  } else if (product.weight_zero != 0) {
    for (size_t i = 0; i < tile.rows; ++i) {
      const int16_t* row = tile.a + i * tile.a_stride;
      int64_t sum = 0;
      for (size_t p = 0; p < k; ++p) sum += row[p];
      sums.row_sums[i] = sum * product.weight_zero;
    }
  }
  FinishRow finish;
  finish.kind = output.kind;
  finish.type = output.type;
  finish.zero_point = output.zero_point;
  finish.low = output.low;
  finish.high = output.high;
  finish.clamp = output.clamp;
  finish.wide_bias = output.wide_bias;
  const size_t bias_bytes = output.wide_bias ? 8 : 4;
  const size_t element = output.element_bytes();

  for (size_t panel = first; panel < last; ++panel) {
    const size_t column = panel * width;
    const size_t columns = std::min(width, product.n - column);
    DotTile dot;
    dot.rows = tile.rows;
    dot.a_stride = tile.a_stride;
    dot.sums = sums.narrow;
    dot.sums_stride = width;
    const int8_t* b =
        reinterpret_cast<const int8_t*>(packed) + (panel - first) * panel_bytes;
    const size_t cells = tile.rows * width;
    float* float_sums = reinterpret_cast<float*>(sums.wide);
    if (floats) std::fill_n(float_sums, cells, 0.0f);
    if (wide) std::fill_n(sums.wide, cells, 0);
    for (size_t p = 0; p < k || p == 0; p += chunk) {
      if (product.bytes) {
        product.bytes->dot({tile.rows, k, tile.bytes, tile.a_stride,
                            reinterpret_cast<const uint8_t*>(b), start,
                            sums.narrow, width});
        break;
      }
      dot.k = std::min(chunk, k - p);
      dot.a = tile.a + p;
      dot.b = b + p * width;
      kernels.dot(dot);
      if (wide) {
        for (size_t i = 0; i < cells; ++i) sums.wide[i] += sums.narrow[i];
      } else if (floats) {
        const float* scales =
            product.block_scales + p / chunk * product.n + column;
        for (size_t i = 0; i < tile.rows; ++i) {
          for (size_t j = 0; j < columns; ++j) {
            float_sums[i * width + j] +=
                static_cast<float>(sums.narrow[i * width + j]) * scales[j];
          }
        }
      }
    }
    if (product.weight_zero != 0 && !product.bytes) {
      for (size_t i = 0; i < tile.rows; ++i) {
        for (size_t j = 0; j < columns; ++j) {
          const size_t cell = i * width + j;
          if (wide) {
            sums.wide[cell] -= sums.row_sums[i];
          } else {
            sums.narrow[cell] =
                static_cast<int32_t>(static_cast<uint32_t>(sums.narrow[cell]) -
                                     static_cast<uint32_t>(sums.row_sums[i]));
          }
        }
      }
    }
    finish.n = columns;
    if (output.multiplier) {
      finish.multiplier = output.multiplier + column;
      finish.shift = output.shift + column;
    }
    if (output.scales) finish.scales = output.scales + column;
    if (output.bias) {
      finish.bias =
          static_cast<const std::byte*>(output.bias) + column * bias_bytes;
    }
    for (size_t i = 0; i < tile.rows; ++i) {
      finish.sums = wide || floats ? nullptr : sums.narrow + i * width;
      if (wide) finish.sums = sums.wide + i * width;
      if (floats) finish.sums = float_sums + i * width;
      if (tile.row_scales) finish.row_scale = tile.row_scales[i];
      finish.y = output.y + (tile.at[i] + column) * element;
      kernels.finish(finish);
    }
  }
}

DynamicRange DynamicRangeOf(float low, float high, bool asymmetric) {
  DynamicRange range;
  if (!asymmetric) {
    const float most = std::max(std::abs(low), std::abs(high));
    // With an inverse of 0 every number is quantized to 0.
    if (most == 0) return {1, 0, 0, -127, 127};
    range.scale = most / 127;
    range.inverse = 127 / most;
    range.low = -127;
    range.high = 127;
    return range;
  }
  range.low = -128;
  range.high = 127;
  if (low == high) return {1, 0, 0, -128, 127};
  const double least = low, most = high;
  const double scale = (most - least) / 255;
  const double from_low = -128 - least / scale;
  const double from_high = 127 - most / scale;
  // The end with the smaller rounding error decides.
  const double zero =
      128 + std::abs(least / scale) < 127 + std::abs(most / scale) ? from_low
                                                                   : from_high;
  if (zero > -128) {  // Not for NaN.
    range.zero = zero >= 127 ? 127 : static_cast<int32_t>(std::round(zero));
  } else {
    range.zero = -128;
  }
  range.scale = static_cast<float>(scale);
  range.inverse = 1 / range.scale;
  return range;
}

void QuantizeRows(const QuantizedKernels& kernels, const float* x, size_t rows,
                  size_t n, size_t x_stride, bool asymmetric, int16_t* to,
                  size_t to_stride, float* scales) {
  for (size_t i = 0; i < rows; ++i, x += x_stride, to += to_stride) {
    float low = 0, high = 0;
    if (n > 0) kernels.range(x, n, &low, &high);
    const DynamicRange range = DynamicRangeOf(low, high, asymmetric);
    kernels.quantize(x, n, range.inverse, range.zero, range.low, range.high,
                     to);
    std::fill(to + n, to + to_stride, int16_t{0});
    scales[i] = range.scale;
  }
}

}  // namespace lathe::kernels
