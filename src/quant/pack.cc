#include "src/quant/pack.h"

#include <algorithm>
#include <cstring>

namespace lathe::quant {
namespace {

template <int kBits>
void PackBits(std::span<const int8_t> q, std::byte* bytes) {
  constexpr size_t kIn = 8 / kBits;  // Elements of one byte.
  constexpr unsigned kMask = (1u << kBits) - 1;
  const auto bits = [&](size_t i) {
    return static_cast<unsigned>(q[i]) & kMask;
  };
  const size_t whole = q.size() / kIn;
  for (size_t b = 0; b < whole; ++b) {
    unsigned byte = 0;
    for (size_t j = 0; j < kIn; ++j) byte |= bits(b * kIn + j) << (j * kBits);
    bytes[b] = static_cast<std::byte>(byte);
  }
  if (q.size() == whole * kIn) return;
  unsigned byte = 0;
  for (size_t i = whole * kIn; i < q.size(); ++i) {
    byte |= bits(i) << (i % kIn * kBits);
  }
  bytes[whole] = static_cast<std::byte>(byte);
}

template <int kBits>
void UnpackBits(const std::byte* bytes, std::span<int8_t> q) {
  constexpr size_t kIn = 8 / kBits;
  for (size_t i = 0; i < q.size(); ++i) {
    const auto byte = static_cast<unsigned>(bytes[i / kIn]);
    // The element's bits to the top, then down again with their sign.
    const auto top = static_cast<int8_t>(byte << (8 - kBits - i % kIn * kBits));
    q[i] = static_cast<int8_t>(top >> (8 - kBits));
  }
}

}  // namespace

void Pack(std::span<const int8_t> q, int bits, std::span<std::byte> bytes) {
  if (bits == 4) return PackBits<4>(q, bytes.data());
  if (bits == 2) return PackBits<2>(q, bytes.data());
  if (!q.empty()) std::memcpy(bytes.data(), q.data(), q.size());
}

void Unpack(std::span<const std::byte> bytes, int bits, std::span<int8_t> q) {
  if (bits == 4) return UnpackBits<4>(bytes.data(), q);
  if (bits == 2) return UnpackBits<2>(bytes.data(), q);
  if (!q.empty()) std::memcpy(q.data(), bytes.data(), q.size());
}

}  // namespace lathe::quant
