// f32 transposed convolution as convolutions of rows (polyphase form).
//
// With kernel k, stride s and padding p, output o = i s + j - p. Write
// o + p = q s + f: phase f of row q sums inputs i = q - m with taps j = f + m s
// for m < ceil(k / s). So rows q are a convolution with ceil(k / s) taps and
// s * out_c columns, and the row's columns, phase after phase, are the output
// samples q s - p .. q s - p + s - 1 in order: whole rows are stored where they
// belong, only the first and the last are cut.

#ifndef LATHE_KERNELS_CONV_TRANSPOSE_CONV_H_
#define LATHE_KERNELS_CONV_TRANSPOSE_CONV_H_

#include "src/kernels/conv/conv.h"

namespace lathe::kernels {

// NHWC, filter [out_c, kernel_h, kernel_w, in_c] as the format has it:
// y[n, ih stride_h + kh - pad_top, iw stride_w + kw - pad_left, o] +=
//     x[n, ih, iw, c] filter[o, kh, kw, c], where the output exists.
struct TransposeConvShape {
  size_t batch = 1, in_h = 1, in_w = 1, in_c = 1;
  size_t out_h = 1, out_w = 1, out_c = 1;
  size_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
  size_t pad_top = 0, pad_left = 0;
};

struct TransposeConvPlan {
  TransposeConvShape shape;
  // Of one image row: ceil(kernel_w / stride_w) taps, stride_w * out_c columns.
  // Where the kernel is higher than 1, the rows of x that meet an output row
  // are added up in the order of kernel_h.
  ConvPlan rows;
  size_t first_row = 0, row_count = 0;  // Rows q that reach an output.
  size_t scratch_floats = 0;            // For all threads.
};

TransposeConvPlan PlanTransposeConv(Isa limit, const TransposeConvShape& shape,
                                    bool snake, size_t threads);
size_t PackedTransposeConvFloats(const TransposeConvPlan& plan);
void PackTransposeConv(const TransposeConvPlan& plan, const float* filter,
                       float* packed);
// args as for RunConv, but args.residual must be null. Work is split over
// (image row, tile of rows q).
void RunTransposeConv(const TransposeConvPlan& plan, const ConvArgs& args,
                      ThreadPool& pool, float* scratch, StopToken stop);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_CONV_TRANSPOSE_CONV_H_
