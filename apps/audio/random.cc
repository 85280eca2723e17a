// Box-Muller over MT19937, in PyTorch's order of draws.

#include "apps/audio/random.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace lathe::audio {
namespace {

constexpr size_t kBlock = 16;
constexpr size_t kHalf = kBlock / 2;

// In place: 16 uniform values to 16 normal ones.
void Transform(float* values) {
  for (size_t j = 0; j < kHalf; ++j) {
    // 1 - u is in (0, 1], so the logarithm is finite.
    const double radius =
        std::sqrt(-2.0 * std::log(1.0 - static_cast<double>(values[j])));
    const double angle =
        2.0 * std::numbers::pi * static_cast<double>(values[j + kHalf]);
    values[j] = static_cast<float>(radius * std::cos(angle));
    values[j + kHalf] = static_cast<float>(radius * std::sin(angle));
  }
}

}  // namespace

TorchNormal::TorchNormal(uint64_t seed)
    : generator_(static_cast<uint32_t>(seed)) {}

void TorchNormal::FillBlock(float* values) {
  for (size_t j = 0; j < kBlock; ++j) {
    values[j] = static_cast<float>(generator_() & 0xFFFFFF) / 16777216.0f;
  }
  Transform(values);
}

void TorchNormal::Fill(std::span<float> values) {
  const size_t n = values.size();
  if (n < kBlock) {
    float block[kBlock];
    if (n > 0) FillBlock(block);
    std::copy_n(block, n, values.begin());
    return;
  }
  size_t i = 0;
  for (; i + kBlock <= n; i += kBlock) FillBlock(values.data() + i);
  if (i < n) {
    // PyTorch has drawn a uniform value for each place of the rest by now.
    generator_.discard(n - i);
    FillBlock(values.data() + n - kBlock);
  }
}

}  // namespace lathe::audio
