// The definition: one lane at a time.

#define LATHE_ONE_LANE 1
#define LATHE_TABLE kDepthwiseScalar
#define LATHE_TABLE_NAME "depthwise_f32_scalar"
#define LATHE_TABLE_ISA Isa::kScalar
#include "src/kernels/conv/depthwise-inl.h"
