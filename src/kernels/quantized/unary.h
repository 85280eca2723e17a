// Operators of one quantized tensor.

#ifndef LATHE_KERNELS_QUANTIZED_UNARY_H_
#define LATHE_KERNELS_QUANTIZED_UNARY_H_

#include <cstddef>
#include <cstdint>
#include <functional>

#include "src/base/thread_pool.h"
#include "src/kernels/quantized/requantize.h"
#include "src/kernels/quantized/table.h"

namespace lathe::kernels {

enum class QuantizedUnary : uint8_t {
  kRelu,
  kRelu6,
  kReluN1To1,
  kRelu0To1,
  kLeakyRelu,
  kAbs,
  kHardSwish,  // Bytes only.
  kSqrt,       // Rounds towards zero; x must be >= 0.
  kRsqrt,      // x must be >= 0; 0 gives the largest output.
  kExp,
  kLog,  // The lowest output for x <= 0.
  kElu,  // Bytes only.
  kGelu,
  kGeluTanh,
  kTanh,
  kLogistic,
};

// Whether inputs below zero have no result.
inline bool NeedsPositive(QuantizedUnary kind) {
  return kind == QuantizedUnary::kSqrt || kind == QuantizedUnary::kRsqrt;
}

// The table of a function; is_signed tells int8 from uint8.
ByteTable UnaryByteTable(QuantizedUnary kind, bool is_signed,
                         const Requantized& scales, float alpha);

// The same for int16, as y = f(x) over n values; zero points are 0. kTanh and
// kLogistic write with scale 2^-15, whatever out_scale says. Null for kinds
// that only bytes have.
std::function<void(size_t n, const int16_t* x, int16_t* y, ThreadPool& pool)>
UnaryInt16(QuantizedUnary kind, const Requantized& scales, float alpha);

// Whether x is a power of two to within a thousandth of its logarithm.
bool IsPowerOfTwo(float x, int* exponent);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_UNARY_H_
