#include "src/kernels/quantized/densify.h"

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

void Densify(std::span<const SparseLevel> levels, size_t element_bytes,
             const std::byte* values, std::byte* dense) {
  // A level without positions may have parents that are never reached.
  Walk walk{levels, element_bytes, values, dense};
  Visit(walk, 0, 0, 0);
}

}  // namespace lathe::kernels
