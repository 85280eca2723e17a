#include "src/kernels/quantized/dynamic.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace lathe::kernels {

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

DynamicRange QuantizeRowToBytes(const QuantizedKernels& kernels, const float* x,
                                size_t n, bool asymmetric, size_t blocks,
                                int8_t* to, size_t to_stride, int32_t* sums) {
  float low = 0, high = 0;
  if (n > 0) kernels.range(x, n, &low, &high);
  const DynamicRange range = DynamicRangeOf(low, high, asymmetric);
  const size_t block = n / blocks;
  for (size_t i = 0; i < blocks; ++i) {
    sums[i] =
        kernels.quantize_bytes(x + i * block, block, range.inverse, range.zero,
                               range.low, range.high, to + i * block);
  }
  std::fill(to + n, to + to_stride, int8_t{0});
  return range;
}

namespace {

// quantize(image, first number, count, range), in pieces; images of few pieces
// whole, so that images run beside each other.
template <typename Quantize>
void ForPieces(const QuantizedKernels& kernels, const float* x, size_t images,
               size_t n, bool asymmetric, ThreadPool& pool,
               const Quantize& quantize) {
  constexpr size_t kMostPieces = 64, kLeast = size_t{1} << 14;
  const size_t pieces = std::min(kMostPieces, n / kLeast);
  if (pieces <= 1 || images >= pool.threads() * 4) {
    return pool.Run(images, [&](size_t image, size_t) {
      float low = 0, high = 0;
      if (n > 0) kernels.range(x + image * n, n, &low, &high);
      quantize(image, 0, n, DynamicRangeOf(low, high, asymmetric));
    });
  }
  const size_t each = (n + pieces - 1) / pieces;
  const auto count_of = [&](size_t piece) {
    return piece * each < n ? std::min(each, n - piece * each) : 0;
  };
  for (size_t image = 0; image < images; ++image) {
    std::array<float, kMostPieces> low{}, high{};
    pool.Run(pieces, [&](size_t piece, size_t) {
      if (count_of(piece) == 0) return;
      kernels.range(x + image * n + piece * each, count_of(piece), &low[piece],
                    &high[piece]);
    });
    const DynamicRange range =
        DynamicRangeOf(*std::ranges::min_element(low),
                       *std::ranges::max_element(high), asymmetric);
    pool.Run(pieces, [&](size_t piece, size_t) {
      quantize(image, piece * each, count_of(piece), range);
    });
  }
}

}  // namespace

void QuantizeImages(const QuantizedKernels& kernels, const float* x,
                    size_t images, size_t n, bool asymmetric, int8_t* to,
                    DynamicRange* ranges, ThreadPool& pool) {
  ForPieces(
      kernels, x, images, n, asymmetric, pool,
      [&](size_t image, size_t first, size_t count, const DynamicRange& range) {
        const size_t at = image * n + first;
        kernels.quantize_bytes(x + at, count, range.inverse, range.zero,
                               range.low, range.high, to + at);
        if (first == 0) ranges[image] = range;
      });
}

void QuantizeImages(const QuantizedKernels& kernels, const float* x,
                    size_t images, size_t n, bool asymmetric, int16_t* to,
                    float* scales, ThreadPool& pool) {
  ForPieces(
      kernels, x, images, n, asymmetric, pool,
      [&](size_t image, size_t first, size_t count, const DynamicRange& range) {
        const size_t at = image * n + first;
        kernels.quantize(x + at, count, range.inverse, range.zero, range.low,
                         range.high, to + at);
        if (first == 0) scales[image] = range.scale;
      });
}

}  // namespace lathe::kernels
