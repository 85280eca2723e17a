// Pools of images, and the way back.

#include <algorithm>
#include <cmath>
#include <limits>

#include "src/kernels/image/image.h"

namespace lathe::kernels {
namespace {

// Rows of few images are split further, into this many channels.
constexpr size_t kChannels = 64;
constexpr size_t kFewRows = 16;

}  // namespace

Taps TapsAt(size_t out, size_t stride, size_t pad, size_t kernel, size_t in) {
  Taps taps;
  const size_t at = out * stride;
  taps.skipped = at < pad ? pad - at : 0;
  taps.first = at < pad ? 0 : at - pad;
  if (taps.skipped >= kernel || taps.first >= in) return taps;
  taps.count = std::min(kernel - taps.skipped, in - taps.first);
  return taps;
}

void RunPool(const ImageKernels& kernels, Pool kind, const PoolShape& shape,
             const float* x, Clamp clamp, float* y, ThreadPool& pool) {
  const size_t rows = shape.batch * shape.out_h;
  const size_t channels = shape.channels;
  if (rows == 0 || shape.out_w == 0 || channels == 0) return;
  const size_t per_job = rows < kFewRows ? kChannels : channels;
  const size_t parts = (channels + per_job - 1) / per_job;
  const size_t row_stride = shape.in_w * channels;
  pool.Run(rows * parts, [&](size_t job, size_t) {
    const size_t row = job / parts, c = job % parts * per_job;
    const size_t n = std::min(per_job, channels - c);
    const Taps down = TapsAt(row % shape.out_h, shape.stride_h, shape.pad_top,
                             shape.kernel_h, shape.in_h);
    const float* from =
        x + (row / shape.out_h * shape.in_h + down.first) * row_stride + c;
    float* to = y + row * shape.out_w * channels + c;
    for (size_t ow = 0; ow < shape.out_w; ++ow, to += channels) {
      const Taps across = TapsAt(ow, shape.stride_w, shape.pad_left,
                                 shape.kernel_w, shape.in_w);
      kernels.pool(kind, down.count, across.count, n, row_stride, channels,
                   from + across.first * channels, clamp, to);
    }
  });
}

void RunMaxPoolWithArgmax(const PoolShape& shape, const float* x, Clamp clamp,
                          float* y, float* tap, int32_t* position,
                          ThreadPool& pool) {
  const size_t channels = shape.channels;
  pool.Run(shape.batch * shape.out_h, [&](size_t row, size_t) {
    const Taps down = TapsAt(row % shape.out_h, shape.stride_h, shape.pad_top,
                             shape.kernel_h, shape.in_h);
    const float* image =
        x + row / shape.out_h * shape.in_h * shape.in_w * channels;
    size_t at = row * shape.out_w * channels;
    for (size_t ow = 0; ow < shape.out_w; ++ow) {
      const Taps across = TapsAt(ow, shape.stride_w, shape.pad_left,
                                 shape.kernel_w, shape.in_w);
      for (size_t c = 0; c < channels; ++c, ++at) {
        float best = std::numeric_limits<float>::lowest();
        size_t best_tap = 0, best_position = c;
        for (size_t i = 0; i < down.count; ++i) {
          for (size_t j = 0; j < across.count; ++j) {
            const size_t from =
                ((down.first + i) * shape.in_w + across.first + j) * channels +
                c;
            if (image[from] > best) {
              best = image[from];
              best_position = from;
              best_tap =
                  (down.skipped + i) * shape.kernel_w + across.skipped + j;
            }
          }
        }
        y[at] = std::clamp(best, clamp.low, clamp.high);
        // The 0.1 keeps a reader that truncates on the right side.
        if (tap) tap[at] = static_cast<float>(best_tap) + 0.1f;
        if (position) position[at] = static_cast<int32_t>(best_position);
      }
    }
  });
}

void RunMaxUnpool(const PoolShape& shape, const float* x, const float* tap,
                  const int32_t* position, float* y, ThreadPool& pool) {
  const size_t channels = shape.channels;
  const size_t image = shape.in_h * shape.in_w * channels;
  const size_t taps = shape.kernel_h * shape.kernel_w;
  // Windows may overlap, and then the last one counts: one image, one job.
  pool.Run(shape.batch, [&](size_t n, size_t) {
    float* to = y + n * image;
    std::fill_n(to, image, 0.0f);
    size_t at = n * shape.out_h * shape.out_w * channels;
    for (size_t oh = 0; oh < shape.out_h; ++oh) {
      for (size_t ow = 0; ow < shape.out_w; ++ow) {
        for (size_t c = 0; c < channels; ++c, ++at) {
          if (position) {
            const int64_t p = position[at];
            if (p >= 0 && p < static_cast<int64_t>(image)) to[p] = x[at];
            continue;
          }
          // Also false for NaN.
          if (!(tap[at] >= 0 && tap[at] < static_cast<float>(taps))) continue;
          const size_t k = static_cast<size_t>(tap[at]);
          const size_t h = oh * shape.stride_h + k / shape.kernel_w;
          const size_t w = ow * shape.stride_w + k % shape.kernel_w;
          if (h < shape.pad_top || h - shape.pad_top >= shape.in_h ||
              w < shape.pad_left || w - shape.pad_left >= shape.in_w) {
            continue;
          }
          to[((h - shape.pad_top) * shape.in_w + w - shape.pad_left) *
                 channels +
             c] = x[at];
        }
      }
    }
  });
}

}  // namespace lathe::kernels
