// Simple recurrent layers, and SVDF: filters along time.

#ifndef LATHE_KERNELS_RECURRENT_RNN_H_
#define LATHE_KERNELS_RECURRENT_RNN_H_

#include "src/kernels/quantized/requantize.h"
#include "src/kernels/recurrent/product.h"

namespace lathe::kernels {

// h = activation(W x + A aux + R h + bias), one direction.
struct RnnWeights {
  size_t inputs = 0, aux_inputs = 0, units = 0;
  RecurrentMatrix input, aux, recurrent;
  const float* bias = nullptr;
  GateActivation activation = GateActivation::kNone;
};

// As LstmSequence.
struct RnnSequence {
  size_t batch = 0, time = 0;
  bool time_major = false, backward = false;
  const float* x = nullptr;
  const float* aux = nullptr;
  float* h = nullptr;
  float* y = nullptr;
  size_t y_stride = 0;
};

size_t RnnScratch(const RnnWeights& weights, size_t batch, size_t time);
void RunRnn(const RecurrentKernels& kernels, const RnnWeights& weights,
            const RnnSequence& sequence, std::byte* scratch, ThreadPool& pool);

// Each of `units` has `rank` filters, each filter a memory of its last `memory`
// outputs. Memories move left by one and take W x; then
//
//   y[u] = activation(bias[u] + sum over the unit's filters of time . memory)
//
// state is [batch, filters, memory].
struct SvdfShape {
  size_t batch = 0, inputs = 0, units = 0, rank = 1, memory = 0;
  size_t filters() const { return units * rank; }
};

// `time` [filters, memory], `bias` may be null. Scratch: SvdfScratch.
size_t SvdfScratch(const SvdfShape& shape, const RecurrentMatrix& feature);
void RunSvdf(const RecurrentKernels& kernels, const SvdfShape& shape,
             const RecurrentMatrix& feature, const float* time,
             const float* bias, GateActivation activation, const float* x,
             float* state, float* y, std::byte* scratch, ThreadPool& pool);

// In integers: new memory entries are sat16((x - in_zero) . feature *
// to_state), outputs sat8((sum + bias) * to_output + out_zero).
struct SvdfIntegers {
  Multiplier to_state, to_output;
  int32_t in_zero = 0, out_zero = 0;
};
void RunIntegerSvdf(const SvdfShape& shape, const SvdfIntegers& numbers,
                    const int8_t* feature, const int16_t* time,
                    const int32_t* bias, const int8_t* x, int16_t* state,
                    int8_t* y, ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_RECURRENT_RNN_H_
