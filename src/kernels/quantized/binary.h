// Operators of two quantized tensors whose shapes are broadcast against each
// other.

#ifndef LATHE_KERNELS_QUANTIZED_BINARY_H_
#define LATHE_KERNELS_QUANTIZED_BINARY_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "src/base/thread_pool.h"
#include "src/kernels/elementwise/broadcast.h"
#include "src/kernels/quantized/requantize.h"

namespace lathe::kernels {

enum class QuantizedType : uint8_t { kInt8, kUint8, kInt16 };

enum class ScaledBinary : uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kSquaredDifference,
  kMaximum,
  kMinimum,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
};

// How an operand enters: q - zero_point, moved left by `shift` bits (right,
// half away from zero, if negative), then times the multiplier if `scaled`.
struct ScaledOperand {
  int32_t zero_point = 0;
  int32_t shift = 0;
  bool scaled = false;
  Multiplier multiplier;
};

// y = clamp(out_zero + multiplier * f(a, b)); without the multiplier if not
// `scaled`. kMaximum and kMinimum compare the integers as they are and ignore
// all of this; comparisons write one byte, 0 or 1.
struct ScaledBinaryParams {
  ScaledOperand a, b;
  bool scaled = true;
  Multiplier multiplier;
  int32_t out_zero = 0;
  IntegerRange range;
};

// All three tensors are of `type`, but bool behind comparisons. Returns a
// position of y whose divisor is zero (kDiv), and then y is not to be used.
std::optional<size_t> RunScaledBinary(ScaledBinary kind, QuantizedType type,
                                      const ScaledBinaryParams& params,
                                      const BroadcastLoops& loops,
                                      const void* a, const void* b, void* y,
                                      ThreadPool& pool);

// y = x >= 0 ? x * positive : x * alpha * negative, where x and alpha are the
// integers less their zero points, plus out_zero. alpha is int8 where x is
// int16, else of x's type.
struct PreluParams {
  int32_t x_zero = 0, alpha_zero = 0, out_zero = 0;
  Multiplier positive, negative;
};
void RunQuantizedPrelu(QuantizedType type, const PreluParams& params,
                       const BroadcastLoops& loops, const void* x,
                       const void* alpha, void* y, ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_BINARY_H_
