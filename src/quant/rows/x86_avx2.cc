// x86 with AVX2 and FMA.

#if defined(__x86_64__)  // Other targets compile this file to nothing.

#define LATHE_TABLE kRowsAvx2
#define LATHE_TABLE_NAME "quant_rows_avx2"
#define LATHE_TABLE_ISA Isa::kAvx2
#include "src/quant/rows/rows-inl.h"

#endif  // __x86_64__
