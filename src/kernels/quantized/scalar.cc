// Every CPU: the definition, with whatever vectors the compiler's base has.

#include "src/kernels/quantized/plain_dot-inl.h"

namespace lathe::kernels {

constinit const QuantizedKernels kQuantizedScalar = {"int8_scalar",
                                                     Isa::kScalar,
                                                     8,
                                                     1,
                                                     PlainDot<8>,
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
