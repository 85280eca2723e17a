// 64-bit Arm with NEON.

#if defined(__aarch64__)  // Other targets compile this file to nothing.

#define LATHE_TABLE kElementwiseNeon
#define LATHE_TABLE_NAME "elementwise_f32_neon"
#define LATHE_TABLE_ISA Isa::kNeon
#include "src/kernels/elementwise/elementwise-inl.h"

#endif  // __aarch64__
