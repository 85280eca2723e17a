// Every 64-bit Arm.

#if defined(__aarch64__)  // Other targets compile this file to nothing.

#define LATHE_TABLE kImageNeon
#define LATHE_TABLE_NAME "image_f32_neon"
#define LATHE_TABLE_ISA Isa::kNeon
#include "src/kernels/image/image-inl.h"

#endif  // __aarch64__
