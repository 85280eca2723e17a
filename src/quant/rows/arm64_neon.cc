// 64-bit Arm with NEON.

#if defined(__aarch64__)  // Other targets compile this file to nothing.

#define LATHE_TABLE kRowsNeon
#define LATHE_TABLE_NAME "quant_rows_neon"
#define LATHE_TABLE_ISA Isa::kNeon
#include "src/quant/rows/rows-inl.h"

#endif  // __aarch64__
