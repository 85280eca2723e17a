// f32 convolutions of volumes, made of the image kernels: one image
// convolution per tap of depth, one product per tap of depth and height for the
// transposed one.

#ifndef LATHE_KERNELS_CONV_CONV3D_H_
#define LATHE_KERNELS_CONV_CONV3D_H_

#include <cstddef>

#include "src/kernels/conv/conv.h"

namespace lathe::kernels {

// One of depth, height, width.
struct VolumeAxis {
  size_t in = 1, out = 1, kernel = 1, stride = 1, dilation = 1, pad = 0;
};

struct Conv3dShape {
  size_t batch = 1, in_c = 1, out_c = 1;
  VolumeAxis depth, height, width;
};

// NDHWC. y[n, d, h, w, o] = clamp(bias[o] + sum over taps i, j, k and c of
//   x[n, d stride + i dilation - pad, (h ..), (w ..), c] w[i, j, k, c, o]).
struct Conv3dPlan {
  Conv3dShape shape;
  ConvPlan image;  // Of one tap of depth.
  size_t scratch_floats = 0;
};
Conv3dPlan PlanConv3d(Isa limit, const Conv3dShape& shape, size_t threads);
size_t PackedConv3dFloats(const Conv3dPlan& plan);
// `filter` is [depth, height, width, in_c, out_c]. `turned` has room for one
// tap of depth.
void PackConv3d(const Conv3dPlan& plan, const float* filter, float* turned,
                float* packed);
size_t TurnedConv3dFloats(const Conv3dPlan& plan);

// `args` as for RunConv, without snake and residual.
void RunConv3d(const Conv3dPlan& plan, const ConvArgs& args, ThreadPool& pool,
               float* scratch, StopToken stop);

// in and out change places: y[n, d stride + i dilation - pad, (h ..), (w ..),
// o] += x[n, d, h, w, c] w[i, j, k, o, c] where the output exists, from bias.
struct Transpose3dPlan {
  Conv3dShape shape;  // `in` is of x, `out` of y.
  const GemmKernel* gemm = nullptr;
  size_t scratch_floats = 0;  // For all threads.
};
Transpose3dPlan PlanTranspose3d(Isa limit, const Conv3dShape& shape,
                                size_t threads);
size_t PackedTranspose3dFloats(const Transpose3dPlan& plan);
// `filter` is [depth, height, width, out_c, in_c].
void PackTranspose3d(const Transpose3dPlan& plan, const float* filter,
                     float* packed);
void RunTranspose3d(const Transpose3dPlan& plan, const ConvArgs& args,
                    ThreadPool& pool, float* scratch, StopToken stop);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_CONV_CONV3D_H_
