// The definition: one lane at a time.

#define LATHE_ONE_LANE 1
#define LATHE_TABLE kRowsScalar
#define LATHE_TABLE_NAME "quant_rows_scalar"
#define LATHE_TABLE_ISA Isa::kScalar
#include "src/quant/rows/rows-inl.h"
