#include "src/kernels/elementwise/elementwise.h"

#include <array>

namespace lathe::kernels {

const ElementwiseKernels& ChooseElementwise(Isa limit) {
  static constexpr std::array kAll = {// Best first.
#if defined(__x86_64__)
                                      &kElementwiseAvx512, &kElementwiseAvx2,
#endif
#if defined(__aarch64__)
                                      &kElementwiseNeon,
#endif
                                      &kElementwiseScalar};
  for (const ElementwiseKernels* kernels : kAll) {
    if (kernels->isa <= limit && CpuHas(kernels->isa)) return *kernels;
  }
  return kElementwiseScalar;
}

}  // namespace lathe::kernels
