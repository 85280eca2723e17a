#include "src/kernels/image/image.h"

#include <array>

namespace lathe::kernels {

const ImageKernels& ChooseImage(Isa limit) {
  static constexpr std::array kAll = {// Best first.
#if defined(__x86_64__)
                                      &kImageAvx512, &kImageAvx2,
#endif
#if defined(__aarch64__)
                                      &kImageNeon,
#endif
                                      &kImageScalar};
  for (const ImageKernels* kernels : kAll) {
    if (kernels->isa <= limit && CpuHas(kernels->isa)) return *kernels;
  }
  return kImageScalar;
}

}  // namespace lathe::kernels
