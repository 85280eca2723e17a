// Resizing of images.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "src/kernels/image/image.h"

namespace lathe::kernels {
namespace {

// float throughout: which pixel is taken depends on its rounding.
float ScaleOf(size_t in, size_t out, ResizeRule rule) {
  return rule.align_corners && out > 1
             ? static_cast<float>(in - 1) / static_cast<float>(out - 1)
             : static_cast<float>(in) / static_cast<float>(out);
}

template <size_t kBytes>
void TakePixels(size_t n, const int32_t* columns, const std::byte* from,
                std::byte* to) {
  for (size_t i = 0; i < n; ++i) {
    std::memcpy(to + i * kBytes,
                from + static_cast<size_t>(columns[i]) * kBytes, kBytes);
  }
}

}  // namespace

BilinearAxis PlanBilinear(size_t in, size_t out, ResizeRule rule) {
  BilinearAxis axis;
  axis.lo.resize(out);
  axis.hi.resize(out);
  axis.weight.resize(out);
  if (in == 0) return axis;
  const float scale = ScaleOf(in, out, rule);
  const int64_t last = static_cast<int64_t>(in - 1);
  const auto place = [&](float v) {
    return static_cast<int32_t>(
        std::clamp<int64_t>(static_cast<int64_t>(v), 0, last));
  };
  for (size_t i = 0; i < out; ++i) {
    const float at = rule.half_pixel_centers
                         ? (static_cast<float>(i) + 0.5f) * scale - 0.5f
                         : static_cast<float>(i) * scale;
    axis.lo[i] = place(std::floor(at));
    axis.hi[i] = place(std::ceil(at));
    axis.weight[i] =
        axis.lo[i] == axis.hi[i] ? 0 : at - static_cast<float>(axis.lo[i]);
  }
  return axis;
}

std::vector<int32_t> PlanNearest(size_t in, size_t out, ResizeRule rule) {
  std::vector<int32_t> axis(out);
  if (in == 0) return axis;
  const float scale = ScaleOf(in, out, rule);
  const float offset = rule.half_pixel_centers ? 0.5f : 0.0f;
  for (size_t i = 0; i < out; ++i) {
    const float at = (static_cast<float>(i) + offset) * scale;
    const float whole = rule.align_corners ? std::round(at) : std::floor(at);
    axis[i] = static_cast<int32_t>(std::clamp<int64_t>(
        static_cast<int64_t>(whole), 0, static_cast<int64_t>(in - 1)));
  }
  return axis;
}

void RunBilinear(const ImageKernels& kernels, const ResizeShape& shape,
                 const BilinearAxis& rows, const BilinearAxis& columns,
                 const float* x, float* y, ThreadPool& pool) {
  const size_t in_row = shape.in_w * shape.channels;
  const size_t out_row = shape.out_w * shape.channels;
  if (in_row == 0 || shape.in_h == 0) return;
  pool.Run(shape.batch * shape.out_h, [&](size_t job, size_t) {
    const size_t oh = job % shape.out_h;
    const float* image = x + job / shape.out_h * shape.in_h * in_row;
    BilinearRow row;
    row.n = shape.out_w;
    row.channels = shape.channels;
    row.top = image + static_cast<size_t>(rows.lo[oh]) * in_row;
    row.bottom = image + static_cast<size_t>(rows.hi[oh]) * in_row;
    row.v = rows.weight[oh];
    row.lo = columns.lo.data();
    row.hi = columns.hi.data();
    row.h = columns.weight.data();
    kernels.bilinear(row, y + job * out_row);
  });
}

void RunNearest(const ResizeShape& shape, size_t pixel_bytes,
                const std::vector<int32_t>& rows,
                const std::vector<int32_t>& columns, const std::byte* x,
                std::byte* y, ThreadPool& pool) {
  const size_t in_row = shape.in_w * pixel_bytes;
  const size_t out_row = shape.out_w * pixel_bytes;
  if (in_row == 0 || shape.in_h == 0) return;
  pool.Run(shape.batch * shape.out_h, [&](size_t job, size_t) {
    const size_t oh = job % shape.out_h;
    const std::byte* from =
        x + (job / shape.out_h * shape.in_h + static_cast<size_t>(rows[oh])) *
                in_row;
    std::byte* to = y + job * out_row;
    const int32_t* column = columns.data();
    switch (pixel_bytes) {
      case 1:
        return TakePixels<1>(shape.out_w, column, from, to);
      case 3:
        return TakePixels<3>(shape.out_w, column, from, to);
      case 4:
        return TakePixels<4>(shape.out_w, column, from, to);
      case 12:
        return TakePixels<12>(shape.out_w, column, from, to);
      case 16:
        return TakePixels<16>(shape.out_w, column, from, to);
      default:
        for (size_t i = 0; i < shape.out_w; ++i) {
          std::memcpy(to + i * pixel_bytes,
                      from + static_cast<size_t>(column[i]) * pixel_bytes,
                      pixel_bytes);
        }
    }
  });
}

}  // namespace lathe::kernels
