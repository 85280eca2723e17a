#include "src/kernels/quantized/lookup.h"

namespace lathe::kernels {

void DequantizeNarrow(const std::byte* q, size_t bits, size_t first, size_t n,
                      float scale, int32_t zero, float* y) {
  if (bits == 8) {
    const int8_t* from = reinterpret_cast<const int8_t*>(q) + first;
    for (size_t i = 0; i < n; ++i) {
      y[i] = static_cast<float>(from[i] - zero) * scale;
    }
    return;
  }
  const size_t per_byte = 8 / bits;
  for (size_t i = 0; i < n; ++i) {
    const size_t at = first + i;
    // The number at the top of a byte, from where it is shifted back with sign.
    const size_t left = 8 - bits - at % per_byte * bits;
    const int8_t top =
        static_cast<int8_t>(static_cast<uint8_t>(q[at / per_byte] << left));
    y[i] = static_cast<float>((top >> (8 - bits)) - zero) * scale;
  }
}

}  // namespace lathe::kernels
