#include "src/kernels/quantized/narrow.h"

#include <cstring>

namespace lathe::kernels {
namespace {

struct Walk {
  std::span<const SparseLevel> levels;
  size_t element_bytes;
  const std::byte* values;
  std::byte* dense;
};

// `parent` is the index of this branch among its level's parents; leaves come
// in order, so values are simply taken one after the other.
void Visit(Walk& walk, size_t level, size_t parent, size_t at) {
  if (level == walk.levels.size()) {
    std::memcpy(walk.dense + at * walk.element_bytes, walk.values,
                walk.element_bytes);
    walk.values += walk.element_bytes;
    return;
  }
  const SparseLevel& l = walk.levels[level];
  if (!l.compressed) {
    for (size_t i = 0; i < l.size; ++i) {
      Visit(walk, level + 1, parent * l.size + i, at + i * l.stride);
    }
    return;
  }
  const size_t end = static_cast<size_t>(l.segments[parent + 1]);
  for (size_t i = static_cast<size_t>(l.segments[parent]); i < end; ++i) {
    Visit(walk, level + 1, i,
          at + static_cast<size_t>(l.indices[i]) * l.stride);
  }
}

}  // namespace

void UnpackNarrow(const std::byte* packed, size_t bits, bool is_signed,
                  size_t n, int8_t* to) {
  const size_t per_byte = 8 / bits;
  const int mask = (1 << bits) - 1;
  const int sign = is_signed ? 1 << (bits - 1) : 0;
  for (size_t i = 0; i < n; ++i) {
    const int byte = static_cast<int>(packed[i / per_byte]);
    const int value = (byte >> (i % per_byte * bits)) & mask;
    to[i] = static_cast<int8_t>((value ^ sign) - sign);
  }
}

void PackNarrow(const int8_t* from, size_t bits, size_t n, std::byte* packed) {
  const size_t per_byte = 8 / bits;
  const unsigned mask = (1u << bits) - 1;
  for (size_t i = 0; i < n; i += per_byte) {
    unsigned byte = 0;
    for (size_t j = 0; j < per_byte && i + j < n; ++j) {
      byte |= (static_cast<unsigned>(from[i + j]) & mask) << (j * bits);
    }
    packed[i / per_byte] = static_cast<std::byte>(byte);
  }
}

void Densify(std::span<const SparseLevel> levels, size_t element_bytes,
             const std::byte* values, std::byte* dense) {
  // A level without positions may have parents that are never reached.
  Walk walk{levels, element_bytes, values, dense};
  Visit(walk, 0, 0, 0);
}

}  // namespace lathe::kernels
