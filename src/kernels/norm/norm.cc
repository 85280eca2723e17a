#include "src/kernels/norm/norm.h"

#include <array>

namespace lathe::kernels {

const NormKernels& ChooseNorm(Isa limit) {
  static constexpr std::array kAll = {// Best first.
#if defined(__x86_64__)
                                      &kNormAvx512, &kNormAvx2,
#endif
#if defined(__aarch64__)
                                      &kNormNeon,
#endif
                                      &kNormScalar};
  for (const NormKernels* kernels : kAll) {
    if (kernels->isa <= limit && CpuHas(kernels->isa)) return *kernels;
  }
  return kNormScalar;
}

}  // namespace lathe::kernels
