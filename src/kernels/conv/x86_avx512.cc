// x86 with AVX-512.

#if defined(__x86_64__)  // Other targets compile this file to nothing.

#define LATHE_TABLE kDepthwiseAvx512
#define LATHE_TABLE_NAME "depthwise_f32_avx512"
#define LATHE_TABLE_ISA Isa::kAvx512
#include "src/kernels/conv/depthwise-inl.h"

#endif  // __x86_64__
