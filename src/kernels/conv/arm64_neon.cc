// Arm with NEON.

#if defined(__aarch64__)  // Other targets compile this file to nothing.

#define LATHE_TABLE kDepthwiseNeon
#define LATHE_TABLE_NAME "depthwise_f32_neon"
#define LATHE_TABLE_ISA Isa::kNeon
#include "src/kernels/conv/depthwise-inl.h"

#endif  // __aarch64__
