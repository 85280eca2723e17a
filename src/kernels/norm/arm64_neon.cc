// 64-bit Arm with NEON.

#if defined(__aarch64__)  // Other targets compile this file to nothing.

#define LATHE_TABLE kNormNeon
#define LATHE_TABLE_NAME "norm_f32_neon"
#define LATHE_TABLE_ISA Isa::kNeon
#include "src/kernels/norm/norm-inl.h"

#endif  // __aarch64__
