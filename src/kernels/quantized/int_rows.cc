#include "src/kernels/quantized/int_rows.h"

#include <algorithm>

namespace lathe::kernels {
namespace {

// Where each array begins in the space; those that are not needed are empty.
struct Layout {
  bool direct = false;  // The numbers stay in x.
  size_t scales = 0, starts = 0, zeros = 0, bytes = 0;
};

Layout LayoutOf(const Product& product, const RowSource& source) {
  Layout layout;
  const size_t rows = source.rows();
  layout.direct =
      !source.dynamic && source.k_stride == 1 &&
      product.k % product.group() == 0 &&
      (product.bytes ? source.type == Integer::kInt8
                     : source.type == Integer::kInt16 && source.zero == 0);
  size_t end = 0;
  const auto place = [&](bool there, size_t bytes) {
    const size_t at = end;
    if (there) end += RoundUp(bytes, kCacheLine);
    return at;
  };
  const bool bytes = product.bytes != nullptr;
  place(!layout.direct, rows * product.padded_k() * (bytes ? 1 : 2));
  layout.scales = place(source.dynamic, rows * sizeof(float));
  layout.starts = place(bytes, rows * product.blocks() * sizeof(int32_t));
  layout.zeros = place(bytes, rows * sizeof(int32_t));
  layout.bytes = end;
  return layout;
}

// x[p * step] for p < k, less `zero`, of one row or column.
void CenterColumn(Integer type, const void* x, size_t at, size_t k, size_t step,
                  int32_t zero, int16_t* to) {
  const auto column = [&](const auto* from) {
    for (size_t p = 0; p < k; ++p) {
      to[p] = static_cast<int16_t>(from[at + p * step] - zero);
    }
  };
  if (type == Integer::kInt8) return column(static_cast<const int8_t*>(x));
  if (type == Integer::kUint8) return column(static_cast<const uint8_t*>(x));
  column(static_cast<const int16_t*>(x));
}

// The same of floats; returns their scale.
float QuantizeColumn(const QuantizedKernels& kernels, const float* x, size_t k,
                     size_t step, bool asymmetric, int16_t* to) {
  float low = 0, high = 0;
  for (size_t p = 0; p < k; ++p) {
    low = std::min(low, x[p * step]);
    high = std::max(high, x[p * step]);
  }
  const DynamicRange range = DynamicRangeOf(low, high, asymmetric);
  for (size_t p = 0; p < k; ++p) {
    kernels.quantize(x + p * step, 1, range.inverse, range.zero, range.low,
                     range.high, to + p);
  }
  return range.scale;
}

}  // namespace

RowTile Rows::Tile(const Product& product, size_t first, size_t rows) const {
  RowTile tile;
  tile.rows = rows;
  tile.a_stride = stride;
  if (words) tile.a = words + first * stride;
  if (bytes) tile.bytes = bytes + first * stride;
  if (starts) tile.starts = starts + first * product.blocks();
  if (zeros) tile.zeros = zeros + first;
  if (scales) tile.row_scales = scales + first;
  return tile;
}

size_t RowsBytes(const Product& product, const RowSource& source) {
  return LayoutOf(product, source).bytes;
}

Rows RowsAt(const Product& product, const RowSource& source, const void* x,
            const std::byte* space) {
  const Layout layout = LayoutOf(product, source);
  Rows rows;
  rows.stride = product.padded_k();
  const void* numbers = layout.direct ? x : space;
  if (source.dynamic) {
    rows.scales = reinterpret_cast<const float*>(space + layout.scales);
  }
  if (!product.bytes) {
    rows.words = static_cast<const int16_t*>(numbers);
    return rows;
  }
  rows.bytes = static_cast<const int8_t*>(numbers);
  rows.starts = reinterpret_cast<const int32_t*>(space + layout.starts);
  if (source.dynamic ? source.asymmetric
                     : source.zero != 0 || source.type == Integer::kUint8) {
    rows.zeros = reinterpret_cast<const int32_t*>(space + layout.zeros);
  }
  return rows;
}

Rows LayRows(const Product& product, const RowSource& source, const void* x,
             ThreadPool& pool, std::byte* space) {
  const Rows rows = RowsAt(product, source, x, space);
  const Layout layout = LayoutOf(product, source);
  if (layout.direct && !product.bytes) return rows;
  const QuantizedKernels& kernels = *product.kernels;
  const size_t k = product.k, stride = rows.stride, m = source.m;
  const size_t step = source.k_stride, blocks = product.blocks();
  float* scales = reinterpret_cast<float*>(space + layout.scales);
  int32_t* starts = reinterpret_cast<int32_t*>(space + layout.starts);
  int32_t* zeros = reinterpret_cast<int32_t*>(space + layout.zeros);
  const auto lay_bytes = [&](size_t row, size_t at) {
    int8_t* to = reinterpret_cast<int8_t*>(space) + row * stride;
    if (source.dynamic) {
      const DynamicRange range = QuantizeRowToBytes(
          kernels, static_cast<const float*>(x) + at, k, source.asymmetric,
          blocks, to, stride, starts + row * blocks);
      for (size_t i = row * blocks; i < (row + 1) * blocks; ++i) {
        starts[i] = StartOf(product, starts[i]);
      }
      scales[row] = range.scale;
      zeros[row] = range.zero;
      return;
    }
    // Of uint8, 128 is taken off numbers and zero point.
    const bool flip = source.type == Integer::kUint8;
    zeros[row] = source.zero - (flip ? 128 : 0);
    const int8_t* from = static_cast<const int8_t*>(x) + at;
    if (!layout.direct) {
      for (size_t p = 0; p < k; ++p) {
        to[p] = static_cast<int8_t>(from[p] ^ (flip ? -128 : 0));
      }
      std::fill(to + k, to + stride, int8_t{0});
      from = to;
    }
    starts[row] = StartOf(product, kernels.sum_bytes(from, k));
  };
  const auto lay_words = [&](size_t row, size_t at) {
    int16_t* to = reinterpret_cast<int16_t*>(space) + row * stride;
    if (stride > k) to[k] = 0;
    if (source.dynamic) {
      const float* from = static_cast<const float*>(x) + at;
      if (step == 1) {
        QuantizeRows(kernels, from, 1, k, k, source.asymmetric, to, stride,
                     scales + row);
      } else {
        scales[row] =
            QuantizeColumn(kernels, from, k, step, source.asymmetric, to);
      }
    } else if (step == 1) {
      kernels.center(
          source.type,
          static_cast<const std::byte*>(x) + at * BytesOf(source.type), k,
          source.zero, to);
    } else {
      CenterColumn(source.type, x, at, k, step, source.zero, to);
    }
  };
  constexpr size_t kRowsPerJob = 16;
  const size_t all = source.rows();
  pool.Run((all + kRowsPerJob - 1) / kRowsPerJob, [&](size_t job, size_t) {
    const size_t end = std::min(all, (job + 1) * kRowsPerJob);
    for (size_t row = job * kRowsPerJob; row < end; ++row) {
      const size_t at = row / m * m * k + row % m * source.stride;
      if (product.bytes) {
        lay_bytes(row, at);
      } else {
        lay_words(row, at);
      }
    }
  });
  return rows;
}

}  // namespace lathe::kernels
