// The activations that the format fuses behind an operator.

#ifndef LATHE_KERNELS_ACTIVATION_H_
#define LATHE_KERNELS_ACTIVATION_H_

#include <cstdint>
#include <limits>

namespace lathe::kernels {

// Each is a clamp to [low, high]; the format's numbers.
enum class Activation : uint8_t {
  kNone = 0,
  kRelu = 1,
  kReluN1To1 = 2,
  kRelu6 = 3
};

struct Clamp {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

inline Clamp ClampOf(Activation activation) {
  Clamp clamp;
  switch (activation) {
    case Activation::kNone:
      break;
    case Activation::kRelu:
      clamp.low = 0;
      break;
    case Activation::kReluN1To1:
      clamp.low = -1;
      clamp.high = 1;
      break;
    case Activation::kRelu6:
      clamp.low = 0;
      clamp.high = 6;
      break;
  }
  return clamp;
}

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_ACTIVATION_H_
