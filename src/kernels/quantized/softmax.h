// Operators along the last axis of quantized tensors: softmax, its logarithm,
// normalisation to length 1.

#ifndef LATHE_KERNELS_QUANTIZED_SOFTMAX_H_
#define LATHE_KERNELS_QUANTIZED_SOFTMAX_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "src/base/thread_pool.h"
#include "src/kernels/quantized/binary.h"
#include "src/kernels/quantized/requantize.h"
#include "src/kernels/quantized/table.h"

namespace lathe::kernels {

// e^(-scale * i) for i = 0 .. 255.
using ExpTable = std::array<float, 256>;
ExpTable ExpTableOf(float scale);

// Rows of n bytes: with p = table[max - x], y = p / sum p, rounded to the
// output's scale, plus its zero point; uint8 adds a half and cuts instead and
// has no zero point. y may be x.
void RunByteSoftmax(bool is_signed, const ExpTable& table, float out_scale,
                    int32_t out_zero, size_t rows, size_t n, const uint8_t* x,
                    uint8_t* y, ThreadPool& pool);

// The same to int16, without a zero point.
void RunByteToWordSoftmax(bool is_signed, const ExpTable& table,
                          float out_scale, size_t rows, size_t n,
                          const uint8_t* x, int16_t* y, ThreadPool& pool);

// y = (x * in_scale - max - log sum) / out_scale, halves to even, + out_zero,
// with the sum over the same table for in_scale. y may be x.
void RunByteLogSoftmax(bool is_signed, const ExpTable& table,
                       const Requantized& scales, size_t rows, size_t n,
                       const uint8_t* x, uint8_t* y, ThreadPool& pool);

// int16 in fixed point: tables for e^x on [-10, 0] and 1 / (1 + x); the output
// has scale 2^-15. y may not be x.
class WordSoftmax {
 public:
  WordSoftmax(float in_scale, float beta);
  void Run(size_t rows, size_t n, const int16_t* x, int16_t* y,
           ThreadPool& pool) const;

 private:
  Multiplier multiplier_;
  WordTable exp_, reciprocal_;
};

// y = (x - in_zero) / sqrt(sum (x - in_zero)^2) with scale 1/128, zero point 0
// (int8) or 128 (uint8). y may be x.
void RunByteL2Norm(bool is_signed, int32_t in_zero, size_t rows, size_t n,
                   const uint8_t* x, uint8_t* y, ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_SOFTMAX_H_
