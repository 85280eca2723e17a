// Integers below a byte, packed as LiteRT reads them (quantizer reference
// 2.14): the first element in the low bits, rows not padded.

#ifndef LATHE_QUANT_PACK_H_
#define LATHE_QUANT_PACK_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace lathe::quant {

// q.size() * bits / 8 bytes, rounded up; bits beyond the last element are 0.
// bits: 2, 4 or 8.
void Pack(std::span<const int8_t> q, int bits, std::span<std::byte> bytes);
void Unpack(std::span<const std::byte> bytes, int bits, std::span<int8_t> q);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_PACK_H_
