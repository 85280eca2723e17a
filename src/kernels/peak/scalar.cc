// The definition: one lane at a time.

#define LATHE_ONE_LANE 1
#define LATHE_TABLE kPeakScalar
#define LATHE_TABLE_NAME "peak_f32_scalar"
#define LATHE_TABLE_ISA Isa::kScalar
#include "src/kernels/peak/peak-inl.h"
