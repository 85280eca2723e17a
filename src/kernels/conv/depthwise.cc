#include "src/kernels/conv/depthwise.h"

#include <algorithm>
#include <array>

#include "src/base/aligned_buffer.h"

namespace lathe::kernels {

#if defined(__x86_64__)
extern const DepthwiseKernels kDepthwiseAvx512;
extern const DepthwiseKernels kDepthwiseAvx2;
#endif
#if defined(__aarch64__)
extern const DepthwiseKernels kDepthwiseNeon;
#endif
extern const DepthwiseKernels kDepthwiseScalar;

namespace {

size_t ListBytes(const ConvShape& shape) {
  return RoundUp(TapLists::Words(shape) * sizeof(size_t), kCacheLine);
}

}  // namespace

const DepthwiseKernels& ChooseDepthwise(Isa limit) {
  static constexpr std::array kAll = {// Best first.
#if defined(__x86_64__)
                                      &kDepthwiseAvx512, &kDepthwiseAvx2,
#endif
#if defined(__aarch64__)
                                      &kDepthwiseNeon,
#endif
                                      &kDepthwiseScalar};
  for (const DepthwiseKernels* kernels : kAll) {
    if (kernels->isa <= limit && CpuHas(kernels->isa)) return *kernels;
  }
  return kDepthwiseScalar;
}

size_t PixelsPerJob(size_t row, size_t work) {
  constexpr size_t kWorkPerJob = 16384;
  return std::clamp<size_t>(kWorkPerJob / std::max<size_t>(1, work), 1,
                            std::max<size_t>(1, row));
}

size_t DepthwiseScratchBytes(const ConvShape& shape, size_t threads) {
  return threads * ListBytes(shape);
}

void RunDepthwise(const DepthwiseKernels& kernels, const ConvShape& s,
                  const DepthwiseArgs& args, ThreadPool& pool,
                  std::byte* scratch, StopToken stop) {
  const Clamp clamp = ClampOf(args.activation);
  if (s.out_c == 0 || s.out_w == 0) return;
  const size_t multiplier = s.out_c / s.in_c;
  const size_t pixels =
      PixelsPerJob(s.out_w, s.kernel_h * s.kernel_w * s.out_c);
  const size_t pieces = (s.out_w + pixels - 1) / pixels;
  pool.Run(s.batch * s.out_h * pieces, [&](size_t job, size_t thread) {
    if (Stopped(stop)) return;
    const size_t row = job / pieces, begin = job % pieces * pixels;
    const size_t end = std::min(s.out_w, begin + pixels);
    TapLists lists(s,
                   reinterpret_cast<size_t*>(scratch + thread * ListBytes(s)));
    const float* image = args.x + row / s.out_h * (s.in_h * s.in_w * s.in_c);
    for (size_t ow = begin; ow < end; ++ow) {
      ptrdiff_t origin = 0;
      const Taps taps = lists.At(row % s.out_h, ow, &origin);
      kernels.pixel(taps, image + origin, args.filter, args.bias, s.out_c,
                    multiplier, clamp, args.y + (row * s.out_w + ow) * s.out_c);
    }
  });
}

}  // namespace lathe::kernels
