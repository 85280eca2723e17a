// Normal noise equal to PyTorch's CPU generator: torch.manual_seed, then
// torch.randn of one tensor after the other.

#ifndef LATHE_APPS_AUDIO_RANDOM_H_
#define LATHE_APPS_AUDIO_RANDOM_H_

#include <cstdint>
#include <random>
#include <span>

namespace lathe::audio {

// MT19937 seeded with the low 32 bits; u = (output mod 2^24) / 2^24. In blocks
// of 16, for j < 8: r = sqrt(-2 ln(1 - u[j])), a = 2 pi u[j+8];
// value[j] = r cos a, value[j+8] = r sin a. A rest below 16 makes the last 16
// values of the tensor anew from 16 more outputs. (Reference
// stable-audio-open-small.md, section 3.2; agrees to 2e-6, the rounding of
// PyTorch's own float functions. Ours are rounded from double, so that they are
// the same on every machine.)
class TorchNormal {
 public:
  explicit TorchNormal(uint64_t seed);

  // One tensor; the stream goes on with the next call. Fewer than 16 values are
  // the first of a block of 16; PyTorch takes another way there.
  void Fill(std::span<float> values);

 private:
  void FillBlock(float* values);
  std::mt19937 generator_;
};

}  // namespace lathe::audio

#endif  // LATHE_APPS_AUDIO_RANDOM_H_
