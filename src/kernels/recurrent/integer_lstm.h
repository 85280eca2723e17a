// LSTM layers in integers.

#ifndef LATHE_KERNELS_RECURRENT_INTEGER_LSTM_H_
#define LATHE_KERNELS_RECURRENT_INTEGER_LSTM_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "src/base/thread_pool.h"
#include "src/kernels/quantized/requantize.h"
#include "src/kernels/recurrent/lstm.h"

namespace lathe::kernels {

// One gate: int16 sums with 12 bits after the point,
//
//   s = sat16((W x + bias_x) * to_gate_x)
//   s = sat16(s + (R h + bias_h) * to_gate_h)
//   s = sat16(s + peephole * c * to_gate_c)        if there is a peephole
//   s = normalised over the cells, times `norm`    if there is one
//
// with W [cells, inputs], R [cells, outputs].
struct IntegerGate {
  const int8_t* input = nullptr;
  const int8_t* recurrent = nullptr;
  const int16_t* peephole = nullptr;
  const int16_t* norm = nullptr;
  const int32_t* norm_bias = nullptr;
  // The biases less what the zero points add, cells of each.
  const int32_t* input_bias = nullptr;
  const int32_t* recurrent_bias = nullptr;
  Multiplier to_gate_x, to_gate_h, to_gate_c, norm_scale;
  int32_t variance_guard = 1;
};

// c is int16 on the scale 2^cell_exponent; -15 <= cell_exponent <= -9. Gates as
// in lstm.h; the cell gate always is a tanh.
struct IntegerLstm {
  size_t inputs = 0, cells = 0, outputs = 0;
  bool coupled = false;
  std::array<IntegerGate, 4> gates;
  int32_t cell_exponent = -15;
  int16_t cell_clip = 0;  // 0 clips nothing.
  // o * tanh(c) as int8: with the projection's input less its zero point.
  Multiplier to_hidden;
  int32_t hidden_zero = 0;
  const int8_t* projection = nullptr;  // [outputs, cells], or null.
  const int32_t* projection_bias = nullptr;
  Multiplier to_output;
  int32_t output_zero = 0;
  int8_t projection_clip = 0;
};

// As LstmSequence, forward; y has rows of `outputs`.
struct IntegerSequence {
  size_t batch = 0, time = 0;
  bool time_major = false;
  const int8_t* x = nullptr;
  int8_t* h = nullptr;
  int16_t* c = nullptr;
  int8_t* y = nullptr;
};

size_t IntegerLstmScratch(const IntegerLstm& lstm, size_t batch);
void RunIntegerLstm(const IntegerLstm& lstm, const IntegerSequence& sequence,
                    std::byte* scratch, ThreadPool& pool);

// The basic kernel in uint8 with zero points of 128 on x and h, W [4 cells,
// inputs + cells] with its own; c has 4 integer bits. `to_gate` brings sums to
// 12 bits after the point.
struct BasicIntegerLstm {
  size_t batch = 0, inputs = 0, cells = 0;
  int32_t weights_zero = 0;
  Multiplier to_gate;
};
void RunBasicIntegerLstm(const BasicIntegerLstm& lstm, const uint8_t* weights,
                         const int32_t* bias, const uint8_t* x,
                         const uint8_t* h_before, const int16_t* c_before,
                         uint8_t* h, int16_t* c, uint8_t* joined,
                         int16_t* gates, ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_RECURRENT_INTEGER_LSTM_H_
