// Row-wise f32 kernels: layer norm, rms norm, softmax, sums and products of one
// row with a matrix. One set per ISA level, made of norm-inl.h.

#ifndef LATHE_KERNELS_NORM_NORM_H_
#define LATHE_KERNELS_NORM_NORM_H_

#include <cstddef>
#include <string_view>

#include "src/base/cpu.h"

namespace lathe::kernels {

// Every sum runs over lanes in a fixed order that depends on n and the level
// only, never on threads.
struct NormKernels {
  std::string_view name;
  Isa isa;

  // y = (x - mean) / sqrt(var + epsilon) * gamma + beta over one row of n;
  // biased variance from the centred values. gamma, beta may be null. y may
  // be x.
  void (*layer_norm)(size_t n, const float* x, const float* gamma,
                     const float* beta, float epsilon, float* y);

  // y = x / sqrt(mean(x^2) + epsilon) * gamma.
  void (*rms_norm)(size_t n, const float* x, const float* gamma, float epsilon,
                   float* y);

  // y = x / max(sqrt(sum of x^2), 1e-6). y may be x.
  void (*l2_norm)(size_t n, const float* x, float* y);

  // y = exp(beta x - max(beta x)) / sum of it. n = 0 does nothing. y may be x.
  // One NaN makes the row NaN; -infinity counts as 0 beside a finite number.
  void (*softmax)(size_t n, const float* x, float beta, float* y);

  // y = x - max(x) - log(sum of exp(x - max(x))); y must not be x.
  void (*log_softmax)(size_t n, const float* x, float* y);

  // x[i] = exp(scale x[i] + bias[i] - largest of them), bias may be null;
  // returns the sum. What attention needs of a softmax.
  float (*exp_scores)(size_t n, float* x, float scale, const float* bias);

  float (*sum)(size_t n, const float* x);

  // One row times a matrix whose n rows of k (whose k rows of n) lie `stride`
  // apart: y[j] = sum over p of a[p] b[j * stride + p] (a[p] b[p * stride +
  // j]). For a matrix that is used once or so, which is not worth packing.
  void (*dot_rows)(size_t k, size_t n, const float* a, const float* b,
                   size_t stride, float* y);
  void (*sum_rows)(size_t k, size_t n, const float* a, const float* b,
                   size_t stride, float* y);
};

const NormKernels& ChooseNorm(Isa limit);

extern const NormKernels kNormScalar;
#if defined(__x86_64__)
extern const NormKernels kNormAvx2;
extern const NormKernels kNormAvx512;
#endif
#if defined(__aarch64__)
extern const NormKernels kNormNeon;
#endif

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_NORM_NORM_H_
