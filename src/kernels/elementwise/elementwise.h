// Element-wise f32 kernels on contiguous runs, one set per ISA level.
//
// Broadcasting, other types and threads are in broadcast.h; the code itself is
// elementwise-inl.h, compiled once for each level.

#ifndef LATHE_KERNELS_ELEMENTWISE_ELEMENTWISE_H_
#define LATHE_KERNELS_ELEMENTWISE_ELEMENTWISE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "src/base/cpu.h"
#include "src/kernels/activation.h"

namespace lathe::kernels {

enum class Unary : uint8_t {
  kAbs,
  kNeg,
  kSqrt,
  kRsqrt,
  kSquare,
  kExp,
  kLog,
  kSin,
  kCos,
  kTanh,
  kLogistic,
  kRelu,
  kRelu6,
  kReluN1To1,
  kRelu0To1,
  kElu,        // x > 0 ? x : e^x - 1
  kHardSwish,  // x * relu6(x + 3) / 6
  kLeakyRelu,  // x > 0 ? x : alpha x
  kGelu,       // 0.5 x erfc(-x / sqrt 2)
  kGeluTanh,   // the tanh approximation
  kFloor,
  kCeil,
  kRound,  // half to even
  kSign,
  kSilu,      // x / (1 + e^-x)
  kSoftplus,  // log(1 + e^x)
};

enum class Binary : uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMaximum,
  kMinimum,
  kSquaredDifference,
  kPrelu,  // a >= 0 ? a : a b
};

struct ElementwiseKernels {
  std::string_view name;
  Isa isa;

  // y[i] = f(x[i]) for every float; y may be x. NaN stays NaN, a result out of
  // range is infinity or 0. Relative error below 2e-7 (sin, cos: absolute, for
  // any x; the GELUs: 5e-7 of x).
  void (*unary)(Unary kind, size_t n, const float* x, float* y, float alpha);

  // y[i] = clamp(f(a[i * a_step], b[i * b_step])), steps 0 or 1; y may be an
  // operand of step 1. Arithmetic and clamps pass NaN on; kMaximum is a > b ?
  // a : b and kMinimum a < b ? a : b.
  void (*binary)(Binary kind, size_t n, const float* a, size_t a_step,
                 const float* b, size_t b_step, float* y, Clamp clamp);

  // y[i] = x[i] + sin^2(x[i] a[i]) b[i] for a row of n channels. Error below
  // 2e-7 of b for |x a| up to 10,000.
  void (*snake)(size_t n, const float* x, const float* a, const float* b,
                float* y);

  // y[i] = value[i] * gate[i] / (1 + e^-gate[i]); y may be either.
  void (*gated_silu)(size_t n, const float* value, const float* gate, float* y);

  // Half-split rotary embedding of one row: for i < half,
  // y[i] = x[i] cos[i] - x[half + i] sin[i],
  // y[half + i] = x[half + i] cos[i] + x[i] sin[i]; the other d - 2 half
  // channels are copied. y may be x.
  void (*rotary)(size_t d, size_t half, const float* x, const float* cos,
                 const float* sin, float* y);

  // y[i] = the IEEE binary16 x[i], exact.
  void (*from_half)(size_t n, const uint16_t* x, float* y);
};

// The best set not above `limit` that this CPU has.
const ElementwiseKernels& ChooseElementwise(Isa limit);

extern const ElementwiseKernels kElementwiseScalar;
#if defined(__x86_64__)
extern const ElementwiseKernels kElementwiseAvx2;
extern const ElementwiseKernels kElementwiseAvx512;
#endif
#if defined(__aarch64__)
extern const ElementwiseKernels kElementwiseNeon;
#endif

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_ELEMENTWISE_ELEMENTWISE_H_
