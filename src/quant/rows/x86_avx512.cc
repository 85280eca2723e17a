// x86 with AVX-512.

#if defined(__x86_64__)  // Other targets compile this file to nothing.

#define LATHE_TABLE kRowsAvx512
#define LATHE_TABLE_NAME "quant_rows_avx512"
#define LATHE_TABLE_ISA Isa::kAvx512
#include "src/quant/rows/rows-inl.h"

#endif  // __x86_64__
