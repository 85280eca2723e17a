// Integer products: the row operations that every ISA implements.
//
// Sums are found between centred rows, int16 numbers whose zero point is taken
// off already, and packed int8 weights. So padding is 0, and activations of 8
// and 16 bits, static and dynamic, are one kernel.
// Comes before: product.h (tiles of rows), int_conv.h, int_depthwise.h
//
// Add a kernel: write <isa>.cc, add its row to kernels.inc.

#ifndef LATHE_KERNELS_QUANTIZED_QUANTIZED_H_
#define LATHE_KERNELS_QUANTIZED_QUANTIZED_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "src/base/cpu.h"
#include "src/kernels/activation.h"
#include "src/kernels/conv/taps.h"

namespace lathe::kernels {

enum class Integer : uint8_t { kInt8, kUint8, kInt16, kInt32 };
inline constexpr size_t BytesOf(Integer type) {
  return type == Integer::kInt32 ? 4 : type == Integer::kInt16 ? 2 : 1;
}

// sums[i, j] = sum over p < k of a[i * a_stride + p] * b(p, j), modulo 2^32,
// for i < rows and j < the kernel's width. `k` is even. `b` is a panel: element
// (p, j) lies at (p / 2 * width + j) * 2 + p % 2.
struct DotTile {
  size_t rows = 0, k = 0;
  const int16_t* a = nullptr;
  size_t a_stride = 0;
  const int8_t* b = nullptr;
  int32_t* sums = nullptr;
  size_t sums_stride = 0;
};

// Rows of sums become n outputs each:
//   kRequantize:  zero_point + Rescale(int32 sum + bias, multiplier[j]),
//   kWide:        zero_point + Rescale64(int64 sum + bias, multiplier[j]),
//                 both clamped to [low, high];
//   kRaw:         the int32 sum, to int32;
//   kFloat:       clamp(sum * (row_scale * scales[j]) + bias[j]) + residual;
//   kFloatSum:    the same from float sums, without scales.
// Pointers are to the first column. Row i has its sums `sums_stride` bytes
// behind those of row i - 1, its outputs at[i] elements behind y (null: i *
// y_stride) and the scale row_scales[i] (null: 1). The residual (null: 0) lies
// as the outputs do, and may be what they replace, as float sums may be.
struct FinishRows {
  enum class Kind : uint8_t { kRequantize, kWide, kRaw, kFloat, kFloatSum };
  Kind kind = Kind::kRequantize;
  Integer type = Integer::kInt8;
  size_t rows = 1, n = 0;
  size_t sums_stride = 0, y_stride = 0;
  const size_t* at = nullptr;
  const float* row_scales = nullptr;
  const void* sums = nullptr;  // int32; int64 for kWide, float for kFloatSum.
  // int32, int64 or float; null for none. kWide takes int32 too.
  const void* bias = nullptr;
  bool wide_bias = false;
  const int32_t* multiplier = nullptr;  // Multiplier::value and ::shift.
  const int32_t* shift = nullptr;
  int32_t zero_point = 0, low = 0, high = 0;
  const float* scales = nullptr;
  Clamp clamp;
  const float* residual = nullptr;
  void* y = nullptr;
};

// to[i] = x[i] - zero, of int8, uint8 or int16 numbers.
using CenterFn = void (*)(Integer type, const void* x, size_t n, int32_t zero,
                          int16_t* to);
// The smallest and the largest of n > 0 numbers and 0; NaN counts as 0.
using RangeFn = void (*)(const float* x, size_t n, float* low, float* high);
// to[i] = clamp(round(zero + x[i] * inverse), low, high) - zero, halves away
// from zero, for |low|, |high| below 2^20; NaN gives low - zero.
using QuantizeFn = void (*)(const float* x, size_t n, float inverse,
                            int32_t zero, int32_t low, int32_t high,
                            int16_t* to);
// The same without taking zero off, to int8; returns the sum of to[i].
using QuantizeBytesFn = int32_t (*)(const float* x, size_t n, float inverse,
                                    int32_t zero, int32_t low, int32_t high,
                                    int8_t* to);
using SumBytesFn = int32_t (*)(const int8_t* x, size_t n);
// to[i] += sums[i] * scales[i], rounded twice.
using AddScaledFn = void (*)(const int32_t* sums, const float* scales, size_t n,
                             float* to);
// sums[i] = the sum over the taps of x[in[t] + i / multiplier] *
// w[filter[t] + i] for i < n, modulo 2^32.
using TapsFn = void (*)(const Taps& taps, const int16_t* x, const int16_t* w,
                        size_t n, size_t multiplier, int32_t* sums);
// y[i] = QuantizeOne(x[i], scale, zero, low, high).
using StoreFn = void (*)(const float* x, size_t n, float scale, int32_t zero,
                         int32_t low, int32_t high, Integer type, void* y);
// y[i] = scale * (x[i] - zero).
using LoadFn = void (*)(Integer type, const void* x, size_t n, float scale,
                        int32_t zero, float* y);

struct QuantizedKernels {
  std::string_view name;
  Isa isa;
  uint8_t width;  // Columns of a panel.
  uint8_t rows;   // Of one register tile; dot takes any number.
  void (*dot)(const DotTile& tile);
  void (*finish)(const FinishRows& rows);
  CenterFn center;
  RangeFn range;
  QuantizeFn quantize;
  TapsFn taps;
  StoreFn store;
  LoadFn load;
  QuantizeBytesFn quantize_bytes;
  SumBytesFn sum_bytes;
  AddScaledFn add_scaled;
};

// Every level in this build, fastest first, and the fastest not above `limit`
// that this CPU has.
std::span<const QuantizedKernels* const> AllQuantized();
const QuantizedKernels& ChooseQuantized(Isa limit);

#define LATHE_QUANTIZED(table) extern const QuantizedKernels table;
#include "src/kernels/quantized/kernels.inc"
#undef LATHE_QUANTIZED

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_QUANTIZED_H_
