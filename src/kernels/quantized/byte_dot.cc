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

constexpr ByteDot kScalar = {"bytes_scalar", Isa::kScalar, kWidth,
                             [] { return true; }, Dot};

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
