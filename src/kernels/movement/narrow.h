// Elements of less than a byte: one per byte and back.

#ifndef LATHE_KERNELS_MOVEMENT_NARROW_H_
#define LATHE_KERNELS_MOVEMENT_NARROW_H_

#include <cstddef>

namespace lathe::kernels {

// 8 / bits elements share a byte, the first one in its low bits.
struct Narrow {
  size_t bits = 4;  // 1, 2 or 4.
  bool is_signed = true;
};

// to[i] = element i, sign-extended where signed.
void Unpack(const Narrow& type, size_t n, const std::byte* from, std::byte* to);

// The other way round, of the low bits; unused bits of the last byte are 0.
void Pack(const Narrow& type, size_t n, const std::byte* from, std::byte* to);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_MOVEMENT_NARROW_H_
