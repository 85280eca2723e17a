// x86 with AVX2 and FMA.

#if defined(__x86_64__)  // Other targets compile this file to nothing.

#define LATHE_TABLE kImageAvx2
#define LATHE_TABLE_NAME "image_f32_avx2"
#define LATHE_TABLE_ISA Isa::kAvx2
#include "src/kernels/image/image-inl.h"

#endif  // __x86_64__
