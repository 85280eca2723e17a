#include "src/kernels/quantized/quantized.h"

#include <array>

namespace lathe::kernels {

std::span<const QuantizedKernels* const> AllQuantized() {
  static constexpr std::array kAll = {
#define LATHE_QUANTIZED(table) &table,
#include "src/kernels/quantized/kernels.inc"
#undef LATHE_QUANTIZED
  };
  return kAll;
}

const QuantizedKernels& ChooseQuantized(Isa limit) {
  for (const QuantizedKernels* kernels : AllQuantized()) {
    if (kernels->isa <= limit && CpuHas(kernels->isa)) return *kernels;
  }
  return kQuantizedScalar;
}

}  // namespace lathe::kernels
