// The definition: one lane at a time.

#define LATHE_ONE_LANE 1
#define LATHE_TABLE kNormScalar
#define LATHE_TABLE_NAME "norm_f32_scalar"
#define LATHE_TABLE_ISA Isa::kScalar
#include "src/kernels/norm/norm-inl.h"
