// f32 pools and resizing of NHWC images. One set of inner loops per ISA level,
// made of image-inl.h; the walks over images are here too.

#ifndef LATHE_KERNELS_IMAGE_IMAGE_H_
#define LATHE_KERNELS_IMAGE_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "src/base/cpu.h"
#include "src/base/thread_pool.h"
#include "src/kernels/activation.h"

namespace lathe::kernels {

enum class Pool : uint8_t {
  kAverage,  // of the taps inside the image
  kMax,
  kL2,  // sqrt(mean of squares)
};

// Two rows of an image, blended with weight v of the lower one; then n pixels
// between columns lo and hi.
struct BilinearRow {
  size_t n = 0, channels = 0;
  const float* top = nullptr;
  const float* bottom = nullptr;
  float v = 0;
  const int32_t* lo = nullptr;  // n columns
  const int32_t* hi = nullptr;
  const float* h = nullptr;  // n weights of hi
};

// Sums run over rows, then columns, whatever the number of channels or threads.
struct ImageKernels {
  std::string_view name;
  Isa isa;

  // y[c] = clamp(the pool of x[i row_stride + j pixel_stride + c] over i <
  // rows, j < columns) for c < channels; rows and columns at least 1. A NaN
  // tap of kMax counts only where it stands first.
  void (*pool)(Pool kind, size_t rows, size_t columns, size_t channels,
               size_t row_stride, size_t pixel_stride, const float* x,
               Clamp clamp, float* y);

  // y[i, c] = (1 - v) ((1 - h[i]) top[lo[i], c] + h[i] top[hi[i], c]) +
  //           v ((1 - h[i]) bottom[lo[i], c] + h[i] bottom[hi[i], c])
  void (*bilinear)(const BilinearRow& row, float* y);
};

const ImageKernels& ChooseImage(Isa limit);

// Output (n, oh, ow, c) pools the taps x[n, oh stride_h - pad_top + kh,
// ow stride_w - pad_left + kw, c] that lie in the image; at least one does.
struct PoolShape {
  size_t batch = 1, in_h = 1, in_w = 1, channels = 1;
  size_t out_h = 1, out_w = 1;
  size_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
  size_t pad_top = 0, pad_left = 0;
};

void RunPool(const ImageKernels& kernels, Pool kind, const PoolShape& shape,
             const float* x, Clamp clamp, float* y, ThreadPool& pool);

// Where the taps of one window begin and how many are in the image.
struct Taps {
  size_t first = 0, skipped = 0, count = 0;  // skipped: taps before the image.
};
Taps TapsAt(size_t out, size_t stride, size_t pad, size_t kernel, size_t in);

// MAX_POOL that also tells the tap: index = kh kernel_w + kw of the first
// largest, in float plus 0.1 (what MediaPipe's files hold), or in int32 the
// position (h in_w + w) channels + c in the image.
void RunMaxPoolWithArgmax(const PoolShape& shape, const float* x, Clamp clamp,
                          float* y, float* tap, int32_t* position,
                          ThreadPool& pool);

// The way back: y is zero but for y[n, ih stride_h - pad_top + tap / kernel_w,
// iw stride_w - pad_left + tap % kernel_w, c] = x[n, ih, iw, c]; the roles of
// in and out in `shape` are those of the pool (x has out_h by out_w pixels).
// Taps outside y are left out. With positions instead: y[n, position] = x.
void RunMaxUnpool(const PoolShape& shape, const float* x, const float* tap,
                  const int32_t* position, float* y, ThreadPool& pool);

// How one axis of an image is resized (reference tflite-format.md, 2.5.2).
struct ResizeRule {
  bool align_corners = false, half_pixel_centers = false;
};

struct BilinearAxis {
  std::vector<int32_t> lo, hi;
  std::vector<float> weight;  // of hi
};
BilinearAxis PlanBilinear(size_t in, size_t out, ResizeRule rule);
std::vector<int32_t> PlanNearest(size_t in, size_t out, ResizeRule rule);

struct ResizeShape {
  size_t batch = 1, in_h = 1, in_w = 1, channels = 1, out_h = 1, out_w = 1;
};

void RunBilinear(const ImageKernels& kernels, const ResizeShape& shape,
                 const BilinearAxis& rows, const BilinearAxis& columns,
                 const float* x, float* y, ThreadPool& pool);
// Pixels of `pixel_bytes`; shape.channels does not count.
void RunNearest(const ResizeShape& shape, size_t pixel_bytes,
                const std::vector<int32_t>& rows,
                const std::vector<int32_t>& columns, const std::byte* x,
                std::byte* y, ThreadPool& pool);

extern const ImageKernels kImageScalar;
#if defined(__x86_64__)
extern const ImageKernels kImageAvx2;
extern const ImageKernels kImageAvx512;
#endif
#if defined(__aarch64__)
extern const ImageKernels kImageNeon;
#endif

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_IMAGE_IMAGE_H_
