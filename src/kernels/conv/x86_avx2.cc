// x86 with AVX2 and FMA.

#if defined(__x86_64__)  // Other targets compile this file to nothing.

#define LATHE_TABLE kDepthwiseAvx2
#define LATHE_TABLE_NAME "depthwise_f32_avx2"
#define LATHE_TABLE_ISA Isa::kAvx2
#include "src/kernels/conv/depthwise-inl.h"

#endif  // __x86_64__
