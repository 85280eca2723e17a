// The rotation of the last axis before quantization (quantizer reference 2.7):
// every n neighbours are multiplied by H / sqrt(n), H in natural order, which
// spreads an outlier over n values. Its own inverse.

#ifndef LATHE_QUANT_HADAMARD_H_
#define LATHE_QUANT_HADAMARD_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace lathe::quant {

// The largest power of 2 that divides `width`, not above the largest power of 2
// <= `limit` (0: no limit).
int64_t HadamardSize(int64_t width, int64_t limit);

// Rotates x.size() / size pieces; `size` a power of 2 that divides x.size().
// Fast transform: log2(size) additions for each element.
void RotateAll(std::span<float> x, size_t size);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_HADAMARD_H_
