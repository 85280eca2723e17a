// Reductions of quantized tensors over any set of axes.

#ifndef LATHE_KERNELS_QUANTIZED_REDUCE_H_
#define LATHE_KERNELS_QUANTIZED_REDUCE_H_

#include "src/base/thread_pool.h"
#include "src/kernels/quantized/binary.h"
#include "src/kernels/quantized/requantize.h"
#include "src/kernels/quantized/table.h"
#include "src/kernels/reduce/reduce.h"

namespace lathe::kernels {

// With S the sum of an output's n inputs, as they are stored:
//
//   kMean         (S - n * in_zero) * multiplier + out_zero
//   kSum          round(S * scale + bias) + out_zero in float32, scale being
//                 in_scale / out_scale and bias -in_zero * scale * n
//   kMax, kMin    of the stored integers
//   kProd         running product of (q - in_zero), times the multiplier after
//                 each factor and once more at the end, + out_zero; a single
//                 input is copied
//
// clamped to the type. Nothing to reduce gives out_zero for kMean and kSum.
// PooledMean is kMean as it is done over the spatial axes of an image: S times
// a multiplier, plus an integer bias.
struct QuantizedReduction {
  Reduction kind = Reduction::kMean;
  Requantized scales;
  bool pooled = false;  // kMean only.
};

void RunQuantizedReduce(const QuantizedReduction& reduction, QuantizedType type,
                        const ReduceLoops& loops, const void* x, void* y,
                        ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_REDUCE_H_
