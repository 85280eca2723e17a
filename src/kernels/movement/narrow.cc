#include "src/kernels/movement/narrow.h"

namespace lathe::kernels {

void Unpack(const Narrow& type, size_t n, const std::byte* from,
            std::byte* to) {
  const size_t per_byte = 8 / type.bits;
  const unsigned mask = (1u << type.bits) - 1;
  const unsigned sign = type.is_signed ? 1u << (type.bits - 1) : 0;
  for (size_t i = 0; i < n; ++i) {
    const auto byte = std::to_integer<unsigned>(from[i / per_byte]);
    const unsigned value = byte >> (i % per_byte * type.bits) & mask;
    to[i] = static_cast<std::byte>((value ^ sign) - sign);
  }
}

void Pack(const Narrow& type, size_t n, const std::byte* from, std::byte* to) {
  const size_t per_byte = 8 / type.bits;
  const unsigned mask = (1u << type.bits) - 1;
  for (size_t i = 0; i < n; i += per_byte) {
    unsigned byte = 0;
    for (size_t k = 0; k < per_byte && i + k < n; ++k) {
      byte |= (std::to_integer<unsigned>(from[i + k]) & mask)
              << (k * type.bits);
    }
    to[i / per_byte] = static_cast<std::byte>(byte);
  }
}

}  // namespace lathe::kernels
