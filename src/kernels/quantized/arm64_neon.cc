// 64-bit Arm: the plain loops, whose interleaved loads NEON has.

#if defined(__aarch64__)  // Other targets compile this file to nothing.

#include "src/kernels/quantized/plain_dot-inl.h"

namespace lathe::kernels {

constinit const QuantizedKernels kQuantizedNeon = {"int8_neon",
                                                   Isa::kNeon,
                                                   16,
                                                   1,
                                                   PlainDot<16>,
                                                   Finish,
                                                   Center,
                                                   Range,
                                                   QuantizeCentered,
                                                   SumTaps<EightWords>,
                                                   Store,
                                                   Load,
                                                   QuantizeBytes,
                                                   SumBytes,
                                                   AddScaled};

}  // namespace lathe::kernels

#endif  // __aarch64__
