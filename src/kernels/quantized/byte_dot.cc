#include "src/kernels/quantized/byte_dot.h"

#include <array>

namespace lathe::kernels {

#if defined(__x86_64__)
extern const ByteDot kByteDotAvx512Vnni;
extern const ByteDot kByteDotAvxVnni;
#endif

namespace {

constexpr size_t kWidth = 8;

void Dot(const ByteTile& tile) {
  for (size_t i = 0; i < tile.rows; ++i) {
    const int8_t* a = tile.a + i * tile.a_stride;
    for (size_t j = 0; j < kWidth; ++j) {
      uint32_t sum = static_cast<uint32_t>(tile.start[i]);
      if (tile.zeros) {
        sum -= static_cast<uint32_t>(tile.zeros[i]) *
               static_cast<uint32_t>(tile.column_sums[j]);
      }
      for (size_t p = 0; p < tile.k; ++p) {
        const uint8_t b = tile.b[(p / 4 * kWidth + j) * 4 + p % 4];
        sum += static_cast<uint32_t>(int32_t{a[p]} * int32_t{b});
      }
      tile.sums[i * tile.sums_stride + j] = static_cast<int32_t>(sum);
    }
  }
}

uint8_t WeightAt(const BlockTile& tile, size_t p, size_t j) {
  if (!tile.nibbles) return tile.b[(p / 4 * kWidth + j) * 4 + p % 4];
  const uint8_t both = tile.b[(p / 8 * kWidth + j) * 4 + p % 4];
  return p / 4 % 2 == 0 ? both & 15 : both >> 4;
}

void DotBlocks(const BlockTile& tile) {
  for (size_t i = 0; i < tile.rows; ++i) {
    for (size_t j = 0; j < kWidth; ++j) {
      float total = 0;
      for (size_t block = 0; block < tile.blocks; ++block) {
        uint32_t sum =
            static_cast<uint32_t>(tile.start[i * tile.blocks + block]);
        if (tile.zeros) {
          sum -= static_cast<uint32_t>(tile.zeros[i]) *
                 static_cast<uint32_t>(tile.column_sums[block * kWidth + j]);
        }
        for (size_t p = block * tile.k; p < (block + 1) * tile.k; ++p) {
          sum += static_cast<uint32_t>(int32_t{tile.a[i * tile.a_stride + p]} *
                                       int32_t{WeightAt(tile, p, j)});
        }
        if (!tile.scales) {
          static_cast<int32_t*>(tile.y)[i * kWidth + j] =
              static_cast<int32_t>(sum);
          break;
        }
        const float product = static_cast<float>(static_cast<int32_t>(sum)) *
                              tile.scales[block * kWidth + j];
        total += product;
      }
      if (tile.scales) static_cast<float*>(tile.y)[i * kWidth + j] = total;
    }
  }
}

void Expand(const uint8_t* from, size_t k, uint8_t* to) {
  for (size_t p = 0; p < k; p += 8, from += 4 * kWidth, to += 8 * kWidth) {
    for (size_t i = 0; i < 4 * kWidth; ++i) {
      to[i] = from[i] & 15;
      to[4 * kWidth + i] = from[i] >> 4;
    }
  }
}

constexpr ByteDot kScalar = {
    "bytes_scalar", Isa::kScalar, kWidth, [] { return true; }, Dot,
    DotBlocks,      Expand};

constexpr std::array kAll = {
#if defined(__x86_64__)
    &kByteDotAvx512Vnni, &kByteDotAvxVnni,
#endif
    &kScalar};

}  // namespace

std::span<const ByteDot* const> AllByteDots() { return kAll; }

const ByteDot* ChooseByteDot(Isa limit, size_t width) {
  for (const ByteDot* dot : kAll) {
    if (dot->isa == Isa::kScalar) break;
    if (dot->isa <= limit && dot->width == width && dot->usable()) return dot;
  }
  return nullptr;
}

}  // namespace lathe::kernels
