// LSTM layers in float32, also with int8 weights.

#ifndef LATHE_KERNELS_RECURRENT_LSTM_H_
#define LATHE_KERNELS_RECURRENT_LSTM_H_

#include "src/kernels/recurrent/product.h"

namespace lathe::kernels {

// The gates in the order of the weights' blocks. A coupled layer has no input
// gate (i = 1 - f) and its blocks are f, g, o.
enum LstmGate : uint8_t { kInputGate, kForgetGate, kCellGate, kOutputGate };

// One direction. With x the input and h, c the states before the step:
//
//   gates = Wx x + Wa aux + Wh h (or diagonal * h) + peephole * c + bias
//   i, f, o = sigmoid, g = activation
//   c = clip(f c + i g)
//   h = o activation(c), or clip(P of that + projection bias)
//
// The output gate's peephole sees the new c. With `norm`, the gates are brought
// to mean 0 and variance 1 over the cells (epsilon 1e-8) and multiplied by it
// before the bias. Null pointers: left out. A clip of 0 clips nothing.
struct LstmWeights {
  size_t inputs = 0, aux_inputs = 0, cells = 0, outputs = 0;
  bool coupled = false;
  RecurrentMatrix input, aux, recurrent, projection;
  std::array<const float*, 4> diagonal{}, peephole{}, norm{}, bias{};
  const float* projection_bias = nullptr;
  float cell_clip = 0, projection_clip = 0;
  GateActivation activation = GateActivation::kTanh;
};

// x is [time, batch, inputs] or [batch, time, inputs], aux and y likewise; rows
// of y are y_stride floats apart. The states h [batch, outputs] and c [batch,
// cells] are read and written. Backward: from the last time to the first.
struct LstmSequence {
  size_t batch = 0, time = 0;
  bool time_major = false, backward = false;
  const float* x = nullptr;
  const float* aux = nullptr;
  float* h = nullptr;
  float* c = nullptr;
  float* y = nullptr;
  size_t y_stride = 0;
};

// Pointers of `weights` need not be set but for `packed` and norm.
size_t LstmScratch(const LstmWeights& weights, size_t batch, size_t time);
void RunLstm(const RecurrentKernels& kernels, const LstmWeights& weights,
             const LstmSequence& sequence, std::byte* scratch,
             ThreadPool& pool);

// The basic kernel: gates = W [x, h] + bias in the order i, g, f, o with no
// options. `matrix` is one block [4 cells, inputs + cells]; joined [batch,
// inputs
// + cells] and gates [batch, 4 cells] are outputs too.
void RunBasicLstm(const RecurrentKernels& kernels,
                  const RecurrentMatrix& matrix, size_t batch, size_t inputs,
                  size_t cells, const float* x, const float* h_before,
                  const float* bias, const float* c_before, float* h, float* c,
                  float* joined, float* gates, ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_RECURRENT_LSTM_H_
