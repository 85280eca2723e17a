// f32 convolution: the GEMM driver with another way to find a row.

#ifndef LATHE_KERNELS_CONV_CONV_H_
#define LATHE_KERNELS_CONV_CONV_H_

#include <cstddef>
#include <string_view>

#include "src/base/cpu.h"
#include "src/base/stop_token.h"
#include "src/base/thread_pool.h"
#include "src/kernels/activation.h"
#include "src/kernels/elementwise/elementwise.h"
#include "src/kernels/gemm/gemm.h"

namespace lathe::kernels {

// NHWC. Output (n, oh, ow, o) sums over kh, kw, c of
//   filter[o, kh, kw, c] * f(x[n, oh stride_h - pad_top + kh dilation_h,
//                             ow stride_w - pad_left + kw dilation_w, c'])
// with c' = c + (o / (out_c / groups)) * (in_c / groups); taps outside the
// input add nothing. f is the identity or snake (ConvArgs::snake_a).
struct ConvShape {
  size_t batch = 1, in_h = 1, in_w = 1, in_c = 1;
  size_t out_h = 1, out_w = 1, out_c = 1;
  size_t kernel_h = 1, kernel_w = 1;
  size_t stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  size_t pad_top = 0, pad_left = 0;
  size_t groups = 1;
};

// How the sum is found. A plan names its variant; a later one (minimal
// filtering) is another row here, never a silent change.
enum class ConvVariant : uint8_t {
  kGemm,           // 1x1, stride 1: the input's rows are the matrix.
  kRows,           // Height 1: rows are copied once into a tile buffer.
  kTapsAsColumns,  // Few outputs: one product with all taps, then shifted sums.
  kGather,         // Anything else: each output's taps are gathered.
};
std::string_view Name(ConvVariant variant);

struct ConvPlan {
  ConvShape shape;
  ConvVariant variant = ConvVariant::kGather;
  const GemmKernel* gemm = nullptr;
  const ElementwiseKernels* elementwise = nullptr;
  bool snake = false;
  size_t tile = 0;            // Output positions of one job.
  size_t row_stride = 0;      // Floats between rows of the tile buffer.
  size_t scratch_floats = 0;  // For all threads.
  size_t threads = 1;
};

// Chooses for the shape and the ISA. `threads` sizes tiles and scratch only: it
// changes no bit, and is the most that the pool of RunConv may have.
ConvPlan PlanConv(Isa limit, const ConvShape& shape, bool snake,
                  size_t threads);

size_t PackedConvFloats(const ConvPlan& plan);
// `filter` is [out_c, kernel_h, kernel_w, in_c / groups].
void PackConv(const ConvPlan& plan, const float* filter, float* packed,
              ThreadPool* pool = nullptr);

struct ConvArgs {
  const float* x = nullptr;
  const float* packed = nullptr;
  const float* bias = nullptr;     // out_c floats, or null.
  const float* snake_a = nullptr;  // in_c floats each when plan.snake.
  const float* snake_b = nullptr;
  const float* residual = nullptr;  // As y, added last; may be y itself.
  float* y = nullptr;
  Activation activation = Activation::kNone;
};

// Work is split over tiles of outputs. Looks at `stop` between tiles and then
// leaves y undefined.
void RunConv(const ConvPlan& plan, const ConvArgs& args, ThreadPool& pool,
             float* scratch, StopToken stop);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_CONV_CONV_H_
