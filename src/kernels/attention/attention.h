// f32 attention with the scores never leaving the cache.

#ifndef LATHE_KERNELS_ATTENTION_ATTENTION_H_
#define LATHE_KERNELS_ATTENTION_ATTENTION_H_

#include <cstddef>
#include <vector>

#include "src/base/cpu.h"
#include "src/base/thread_pool.h"
#include "src/kernels/gemm/gemm.h"
#include "src/kernels/norm/norm.h"

namespace lathe::kernels {

// For each batch b < batches (a head of an item), rows i < n_q:
//   s[j] = scale * q[i] . k[j] + bias0[i, j] + bias1[i, j]      j < n_k
//   o[i] = sum over j of exp(s[j] - max s) v[j] / sum over j of exp(...)
// Strides and offsets in floats; k(j, p) = k[j * k_row + p * k_column].
struct AttentionShape {
  size_t batches = 0, n_q = 0, n_k = 0, d = 0, d_v = 0;
  size_t q_row = 0, k_row = 0, k_column = 1, v_row = 0, o_row = 0;
  std::vector<size_t> q_offsets, k_offsets, v_offsets, o_offsets;  // By batch.
  float scale = 1;
  struct Bias {
    size_t row = 0, column = 1;  // 0 where it is broadcast.
    std::vector<size_t> offsets;
  };
  std::vector<Bias> biases;  // At most 2.
};

struct AttentionPlan {
  AttentionShape shape;
  const GemmKernel* gemm = nullptr;
  const NormKernels* norm = nullptr;
  // Few rows of queries read k and v where they lie.
  bool direct = false;
  size_t packed_k = 0, packed_v = 0;  // Floats of one batch.
  size_t score_floats = 0;            // Of one thread.
  size_t scratch_floats = 0;
};

AttentionPlan PlanAttention(Isa limit, AttentionShape shape, size_t threads);

// `biases` has one pointer per shape.biases. Packs k and v of every batch, then
// splits over (batch, block of rows); with plan.direct over batches alone.
void RunAttention(const AttentionPlan& plan, const float* q, const float* k,
                  const float* v, const float* const* biases, float* o,
                  ThreadPool& pool, float* scratch);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_ATTENTION_ATTENTION_H_
