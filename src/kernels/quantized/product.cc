#include "src/kernels/quantized/product.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace lathe::kernels {
namespace {

// 2^15 * 2^7 * 256 = 2^30: sums of 16-bit rows stay exact in int32 this long.
constexpr size_t kWideChunk = 256;

struct Sums {
  int32_t* narrow = nullptr;  // [kTileRows][width]
  int64_t* wide = nullptr;    // The same, or float.
  int64_t* row_sums = nullptr;

  float* floats() const { return reinterpret_cast<float*>(wide); }
  // Behind `floats`, where nothing is wide: finished values of gates.
  float* values(size_t width) const { return floats() + kTileRows * width; }
};

Sums Carve(const QuantizedKernels& kernels, std::byte* scratch) {
  const size_t cells = kTileRows * kernels.width;
  Sums sums;
  sums.wide = reinterpret_cast<int64_t*>(scratch);
  sums.row_sums = sums.wide + cells;
  sums.narrow = reinterpret_cast<int32_t*>(sums.row_sums + kTileRows);
  return sums;
}

// A panel of groups of kGroup numbers of k, one column behind the other; `add`
// is added to each weight.
template <size_t kGroup>
void PackPanel(const Product& product, const WeightSource& source, int32_t add,
               size_t panel, uint8_t* to) {
  const size_t width = product.kernels->width;
  const auto [first, columns] = ColumnsOf(product, panel);
  if (columns < width || product.k % kGroup != 0) {
    std::memset(to, 0, product.padded_k() * width);
  }
  for (size_t j = 0; j < columns; ++j) {
    const int8_t* column = source.data + (first + j) * source.n_stride;
    size_t p = 0;
    for (const size_t tap : source.taps) {
      const int8_t* from = column + tap;
      size_t c = 0;
      if (p % kGroup == 0 && source.k_stride == 1) {
        for (; c + kGroup <= source.per_tap; c += kGroup, p += kGroup) {
          uint8_t* group = to + (p * width + j * kGroup);
          for (size_t i = 0; i < kGroup; ++i) {
            group[i] = static_cast<uint8_t>(from[c + i] + add);
          }
        }
      }
      for (; c < source.per_tap; ++c, ++p) {
        to[(p / kGroup * width + j) * kGroup + p % kGroup] =
            static_cast<uint8_t>(from[c * source.k_stride] + add);
      }
    }
  }
}

// Of a panel of bytes: sum over k of (weight - weight_zero), block by block.
void SumColumns(const Product& product, size_t columns, const uint8_t* panel,
                int32_t* sums) {
  const size_t width = product.kernels->width, blocks = product.blocks();
  const size_t block = product.k / blocks;
  std::fill_n(sums, blocks * width, 0);
  for (size_t p = 0; p < product.k; ++p) {
    const uint8_t* row = panel + p / 4 * 4 * width + p % 4;
    int32_t* to = sums + p / std::max<size_t>(block, 1) * width;
    for (size_t j = 0; j < columns; ++j) {
      to[j] += row[j * 4] - product.offset() - product.weight_zero;
    }
  }
}

void DotBytes(const Product& product, const RowTile& tile, const std::byte* b,
              const float* block_scales, const Sums& sums) {
  const size_t width = product.kernels->width, blocks = product.blocks();
  const bool floats = product.block != 0;
  const uint8_t* weights = reinterpret_cast<const uint8_t*>(b);
  const int32_t* column_sums = reinterpret_cast<const int32_t*>(
      b + product.padded_k() * width / (product.nibbles ? 2 : 1));
  if (floats || product.nibbles) {
    BlockTile dot;
    dot.rows = tile.rows;
    dot.k = floats ? product.block : product.padded_k();
    dot.blocks = blocks;
    dot.a = tile.bytes;
    dot.a_stride = tile.a_stride;
    dot.b = weights;
    dot.nibbles = product.nibbles;
    dot.start = tile.starts;
    dot.zeros = tile.zeros;
    dot.column_sums = column_sums;
    dot.scales = block_scales;
    dot.y = floats ? static_cast<void*>(sums.floats()) : sums.narrow;
    return product.bytes->dot_blocks(dot);
  }
  ByteTile dot;
  dot.rows = tile.rows;
  dot.k = product.padded_k();
  dot.a = tile.bytes;
  dot.a_stride = tile.a_stride;
  dot.b = weights;
  dot.start = tile.starts;
  dot.zeros = tile.zeros;
  dot.column_sums = column_sums;
  dot.sums = sums.narrow;
  dot.sums_stride = width;
  dot.ahead = tile.ahead;
  product.bytes->dot(dot);
}

// sums.row_sums[i] is weight_zero times the sum of row i.
void DotWords(const Product& product, FinishRows::Kind kind,
              const RowTile& tile, const std::byte* b,
              const float* block_scales, const Sums& sums) {
  const QuantizedKernels& kernels = *product.kernels;
  const size_t width = kernels.width, k = product.padded_k();
  const size_t cells = tile.rows * width;
  const bool wide = kind == FinishRows::Kind::kWide;
  const bool floats = product.block != 0;
  const size_t chunk = std::max<size_t>(wide     ? kWideChunk
                                        : floats ? product.block
                                                 : k,
                                        1);
  DotTile dot;
  dot.rows = tile.rows;
  dot.a_stride = tile.a_stride;
  dot.sums = sums.narrow;
  dot.sums_stride = width;
  if (floats) std::fill_n(sums.floats(), cells, 0.0f);
  if (wide) std::fill_n(sums.wide, cells, 0);
  for (size_t p = 0; p < k || p == 0; p += chunk) {
    dot.k = std::min(chunk, k - p);
    dot.a = tile.a + p;
    dot.b = reinterpret_cast<const int8_t*>(b) + p * width;
    kernels.dot(dot);
    if (wide) {
      for (size_t i = 0; i < cells; ++i) sums.wide[i] += sums.narrow[i];
    } else if (floats) {
      for (size_t i = 0; i < tile.rows; ++i) {
        kernels.add_scaled(sums.narrow + i * width,
                           block_scales + p / chunk * width, width,
                           sums.floats() + i * width);
      }
    }
  }
  if (product.weight_zero == 0) return;
  for (size_t i = 0; i < tile.rows; ++i) {
    for (size_t j = 0; j < width; ++j) {
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

// Outputs of a panel of values and the panel of their gates, `panel`.
void WriteGated(const Product& product, const Output& output,
                const RowTile& tile, size_t panel, const Sums& sums) {
  const size_t width = product.kernels->width;
  const size_t column = panel / 2 * width;
  const size_t columns = ColumnsOf(product, panel).count;
  float* values = sums.values(width);
  product.gates->gated_silu(tile.rows * width, values, sums.floats(), values);
  float* y = reinterpret_cast<float*>(output.y);
  for (size_t i = 0; i < tile.rows; ++i) {
    const size_t at = tile.at ? tile.at[i] : i * product.outputs();
    std::copy_n(values + i * width, columns, y + tile.first + at + column);
  }
}

}  // namespace

void UseBytes(const ByteDot* bytes, Product& product) {
  if (bytes != nullptr && bytes->width == product.kernels->width &&
      product.block % 4 == 0) {
    product.bytes = bytes;
  }
}

void UseNibbles(Product& product) {
  if (product.bytes != nullptr && product.block % 8 == 0) {
    product.four_bits = product.nibbles = true;
  }
}

int32_t StartOf(const Product& product, int32_t sum) {
  const int32_t zero = product.weight_zero + product.offset();
  return static_cast<int32_t>(0u - static_cast<uint32_t>(sum) *
                                       static_cast<uint32_t>(zero));
}

size_t PanelCount(const Product& product) {
  const size_t width = product.kernels->width;
  const size_t panels = (product.outputs() + width - 1) / width;
  return product.gates ? 2 * panels : panels;
}

PanelColumns ColumnsOf(const Product& product, size_t panel) {
  const size_t width = product.kernels->width, outputs = product.outputs();
  const size_t at = (product.gates ? panel / 2 : panel) * width;
  const bool gates = product.gates && panel % 2 == 1;
  return {at + (gates ? outputs : 0), std::min(width, outputs - at)};
}

size_t PanelBytes(const Product& product) {
  const size_t width = product.kernels->width;
  const size_t sums =
      product.bytes ? product.blocks() * width * sizeof(int32_t) : 0;
  return product.padded_k() * width / (product.nibbles ? 2 : 1) + sums;
}

void ExpandPanels(const Product& product, size_t count, const std::byte* packed,
                  std::byte* to) {
  const size_t width = product.kernels->width, k = product.padded_k();
  const size_t sums = product.blocks() * width * sizeof(int32_t);
  for (size_t i = 0; i < count; ++i) {
    product.bytes->expand(reinterpret_cast<const uint8_t*>(packed), k,
                          reinterpret_cast<uint8_t*>(to));
    std::memcpy(to + k * width, packed + k * width / 2, sums);
    packed += PanelBytes(product);
    to += k * width + sums;
  }
}

size_t TileScratchBytes(const QuantizedKernels& kernels) {
  return kTileRows * kernels.width * (sizeof(int64_t) + sizeof(int32_t)) +
         kTileRows * sizeof(int64_t);
}

void PackPanels(const Product& product, const WeightSource& source,
                size_t first, size_t last, std::byte* packed,
                ThreadPool* pool) {
  const size_t width = product.kernels->width;
  RunJobs(pool, last - first, [&](size_t i, size_t) {
    const size_t panel = first + i;
    uint8_t* to = reinterpret_cast<uint8_t*>(packed + i * PanelBytes(product));
    if (!product.bytes) {
      return PackPanel<2>(product, source, source.flip ? -128 : 0, panel, to);
    }
    // Groups of 4 also where more are padded to.
    const size_t weights = product.padded_k() * width;
    std::vector<uint8_t> plain(product.nibbles ? weights : 0);
    uint8_t* bytes = product.nibbles ? plain.data() : to;
    PackPanel<4>(product, source, product.offset() - (source.flip ? 128 : 0),
                 panel, bytes);
    const size_t stored = product.nibbles ? weights / 2 : weights;
    SumColumns(product, ColumnsOf(product, panel).count, bytes,
               reinterpret_cast<int32_t*>(to + stored));
    for (size_t p = 0; product.nibbles && p < weights; p += 8 * width) {
      for (size_t j = 0; j < 4 * width; ++j) {
        to[p / 2 + j] =
            static_cast<uint8_t>(bytes[p + j] | bytes[p + 4 * width + j] << 4);
      }
    }
  });
}

void RunTile(const Product& product, const Output& output, const RowTile& whole,
             size_t first, size_t last, const std::byte* packed,
             std::byte* scratch) {
  const QuantizedKernels& kernels = *product.kernels;
  const size_t width = kernels.width;
  const Sums sums = Carve(kernels, scratch);
  if (!product.bytes && product.weight_zero != 0) {
    for (size_t i = 0; i < whole.rows; ++i) {
      const int16_t* row = whole.a + i * whole.a_stride;
      int64_t sum = 0;
      for (size_t p = 0; p < product.padded_k(); ++p) sum += row[p];
      sums.row_sums[i] = sum * product.weight_zero;
    }
  }
  FinishRows finish;
  finish.kind = output.kind;
  finish.type = output.type;
  finish.zero_point = output.zero_point;
  finish.low = output.low;
  finish.high = output.high;
  finish.clamp = output.clamp;
  finish.wide_bias = output.wide_bias;
  const size_t bias_bytes = output.wide_bias ? 8 : 4;
  const size_t element = output.element_bytes();
  const bool wide = output.kind == FinishRows::Kind::kWide;
  const bool floats = output.kind == FinishRows::Kind::kFloatSum;
  finish.sums =
      wide || floats ? static_cast<const void*>(sums.wide) : sums.narrow;
  finish.sums_stride = width * (wide ? sizeof(int64_t) : sizeof(int32_t));
  finish.rows = whole.rows;
  finish.at = product.gates ? nullptr : whole.at;
  finish.y_stride = product.gates ? width : product.n;
  finish.row_scales = whole.row_scales;

  RowTile tile = whole;
  const size_t ahead =
      whole.ahead.empty() ? 0 : whole.ahead.size() / (last - first);
  for (size_t panel = first; panel < last; ++panel) {
    const auto [column, columns] = ColumnsOf(product, panel);
    tile.ahead = whole.ahead.subspan((panel - first) * ahead, ahead);
    const float* block_scales = nullptr;
    if (product.block != 0) {
      block_scales = product.block_scales + panel * product.blocks() * width;
    }
    if (product.bytes) {
      DotBytes(product, tile, packed, block_scales, sums);
    } else {
      DotWords(product, output.kind, tile, packed, block_scales, sums);
    }
    packed += PanelBytes(product);
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
    if (product.gates) {
      finish.y = panel % 2 == 0 ? sums.values(width) : sums.floats();
      kernels.finish(finish);
      if (panel % 2 == 1) WriteGated(product, output, tile, panel, sums);
      continue;
    }
    finish.y = output.y + (tile.first + column) * element;
    if (output.residual) {
      finish.residual = output.residual + tile.first + column;
    }
    kernels.finish(finish);
  }
}

}  // namespace lathe::kernels
