#include "src/quant/rows/rows.h"

#include <array>

namespace lathe::quant {

const RowKernels& ChooseRows(Isa limit) {
  static constexpr std::array kAll = {// Best first.
#if defined(__x86_64__)
                                      &kRowsAvx512, &kRowsAvx2,
#endif
#if defined(__aarch64__)
                                      &kRowsNeon,
#endif
                                      &kRowsScalar};
  for (const RowKernels* kernels : kAll) {
    if (kernels->isa <= limit && CpuHas(kernels->isa)) return *kernels;
  }
  return kRowsScalar;
}

const RowKernels& Rows() {
  static const RowKernels& best = ChooseRows(BestIsa());
  return best;
}

}  // namespace lathe::quant
