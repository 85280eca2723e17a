// Convolutions of integers, plain and transposed: rows of taps are gathered
// from a centred image and multiplied with packed weights.

#ifndef LATHE_KERNELS_QUANTIZED_INT_CONV_H_
#define LATHE_KERNELS_QUANTIZED_INT_CONV_H_

#include <vector>

#include "src/base/stop_token.h"
#include "src/base/thread_pool.h"
#include "src/kernels/conv/conv.h"
#include "src/kernels/conv/transpose_conv.h"
#include "src/kernels/quantized/product.h"

namespace lathe::kernels {

// One axis of a grid of outputs: output first_out + q * out_step, q < count,
// sums taps t < taps at input first_in + q * in_step + t * tap_step with filter
// row first_tap + t * filter_step.
struct ConvAxis {
  size_t count = 0, first_out = 0, out_step = 1;
  ptrdiff_t first_in = 0, in_step = 1, tap_step = 1;
  size_t taps = 0, first_tap = 0, filter_step = 1;
};

// A plain convolution is one grid; a transposed one has a grid for each phase
// of the stride, in which it is a plain convolution walked backwards.
struct ConvGrid {
  ConvAxis h, w;
  std::vector<size_t> taps;  // Where each lies in a column of the filter.
  Product product;           // Of one group.
  size_t packed_at = 0;
};

struct IntConv {
  const QuantizedKernels* kernels = nullptr;
  const ByteDot* bytes = nullptr;  // That of all grids.
  size_t batch = 1, in_h = 1, in_w = 1, in_c = 1;
  size_t out_h = 1, out_w = 1, out_c = 1;
  size_t kernel_h = 1, kernel_w = 1, groups = 1;
  std::vector<ConvGrid> grids;
  size_t threads = 1;
  size_t packed_bytes = 0;

  // How x becomes centred: integers less `zero`, or floats, quantized image by
  // image.
  bool dynamic = false, asymmetric = false;
  Integer type = Integer::kInt8;
  int32_t zero = 0;
};

// Everything but the last four members. Shapes as for the float kernels.
IntConv PlanIntConv(const QuantizedKernels& kernels, const ConvShape& shape,
                    size_t threads);
IntConv PlanIntTransposeConv(const QuantizedKernels& kernels,
                             const TransposeConvShape& shape, size_t threads);
// Lets it multiply bytes, where x can be. After everything else is known;
// `bytes` may be null, and Output::kind kWide does not go with it.
void UseBytes(const ByteDot* bytes, IntConv& conv);

// `filter` is [out_c, kernel_h, kernel_w, in_c / groups]; with `flip` uint8, of
// which 128 is taken off.
void PackIntConv(const IntConv& conv, const int8_t* filter, bool flip,
                 std::byte* packed, ThreadPool* pool = nullptr);

// Centres x as `conv` says: `images` images of n numbers.
struct Centered {
  const int16_t* x = nullptr;
  const float* scales = nullptr;  // One per image; null if not dynamic.
};
size_t CenteredScratchBytes(bool dynamic, Integer type, size_t images,
                            size_t n);
Centered CenterImages(const QuantizedKernels& kernels, bool dynamic,
                      bool asymmetric, Integer type, int32_t zero,
                      const void* x, size_t images, size_t n, ThreadPool& pool,
                      std::byte* scratch);

size_t IntConvScratchBytes(const IntConv& conv);
// Work is split over tiles of outputs. Looks at `stop` between tiles and then
// leaves y undefined.
void RunIntConv(const IntConv& conv, const Output& output, const void* x,
                const std::byte* packed, ThreadPool& pool, std::byte* scratch,
                StopToken stop);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_INT_CONV_H_
