// Shapes of convolutions, read off a node.

#ifndef LATHE_PLAN_PREPARE_CONV_H_
#define LATHE_PLAN_PREPARE_CONV_H_

#include "src/kernels/conv/conv.h"
#include "src/kernels/conv/transpose_conv.h"
#include "src/plan/lowering.h"

namespace lathe::plan {

kernels::ConvShape Conv2dShapeOf(const Lowering& lowering, const Node& node);
kernels::ConvShape DepthwiseShapeOf(const Lowering& lowering, const Node& node);
kernels::TransposeConvShape TransposeConvShapeOf(const Lowering& lowering,
                                                 const Node& node);

inline uint64_t FlopsOf(const kernels::ConvShape& s) {
  return uint64_t{2} * s.batch * s.out_h * s.out_w * s.out_c * s.kernel_h *
         s.kernel_w * (s.in_c / s.groups);
}
inline uint64_t FlopsOf(const kernels::TransposeConvShape& s) {
  return uint64_t{2} * s.batch * s.in_h * s.in_w * s.in_c * s.kernel_h *
         s.kernel_w * s.out_c;
}

}  // namespace lathe::plan

#endif  // LATHE_PLAN_PREPARE_CONV_H_
