// Per block of rows: scores, exponentials, weighted sum of v, division.

#include "src/kernels/attention/attention.h"

#include <algorithm>
#include <utility>

#include "src/base/aligned_buffer.h"

namespace lathe::kernels {
namespace {

// Rows of one job: eight register tiles of six. 48 rows of 257 scores are
// 49 KB, well inside L2; several thousand columns still fit.
constexpr size_t kRows = 48;

// Up to this many rows, reading k and v once for each takes less time than
// packing them (measured with attention_bench, 64 to 1,024 keys).
constexpr size_t kFewRows = 4;

// The sum of the biases of row i, or null where there are none.
const float* BiasRow(const AttentionShape& s, const float* const* biases,
                     size_t batch, size_t i, float* sum) {
  if (s.biases.empty()) return nullptr;
  for (size_t x = 0; x < s.biases.size(); ++x) {
    const AttentionShape::Bias& bias = s.biases[x];
    const float* from = biases[x] + bias.offsets[batch] + i * bias.row;
    for (size_t j = 0; j < s.n_k; ++j) {
      const float value = from[j * bias.column];
      sum[j] = x == 0 ? value : sum[j] + value;
    }
  }
  return sum;
}

void RunDirect(const AttentionPlan& plan, const float* q, const float* k,
               const float* v, const float* const* biases, float* o,
               ThreadPool& pool, float* scratch) {
  const AttentionShape& s = plan.shape;
  const NormKernels& rows = *plan.norm;
  pool.Run(s.batches, [&](size_t b, size_t thread) {
    float* scores = scratch + thread * plan.score_floats;
    for (size_t i = 0; i < s.n_q; ++i) {
      const float* query = q + s.q_offsets[b] + i * s.q_row;
      const float* keys = k + s.k_offsets[b];
      if (s.k_column == 1) {
        rows.dot_rows(s.d, s.n_k, query, keys, s.k_row, scores);
      } else {
        rows.sum_rows(s.d, s.n_k, query, keys, s.k_column, scores);
      }
      const float sum = rows.exp_scores(
          s.n_k, scores, s.scale, BiasRow(s, biases, b, i, scores + s.n_k));
      float* out = o + s.o_offsets[b] + i * s.o_row;
      rows.sum_rows(s.n_k, s.d_v, scores, v + s.v_offsets[b], s.v_row, out);
      for (size_t j = 0; j < s.d_v; ++j) out[j] *= 1.0f / sum;
    }
  });
}

}  // namespace

AttentionPlan PlanAttention(Isa limit, AttentionShape shape, size_t threads) {
  AttentionPlan plan;
  plan.gemm = &ChooseGemm(limit);
  plan.norm = &ChooseNorm(limit);
  plan.direct =
      shape.n_q <= kFewRows && (shape.k_column == 1 || shape.k_row == 1);
  if (plan.direct) {
    plan.score_floats = RoundUp(2 * shape.n_k, 16);
    plan.scratch_floats = threads * plan.score_floats;
    plan.shape = std::move(shape);
    return plan;
  }
  plan.packed_k =
      RoundUp(PackedFloats(*plan.gemm, {shape.n_k, 1, shape.d}), 16);
  plan.packed_v =
      RoundUp(PackedFloats(*plan.gemm, {shape.d_v, 1, shape.n_k}), 16);
  plan.score_floats = RoundUp(kRows * shape.n_k + shape.n_k, 16);
  plan.scratch_floats = shape.batches * (plan.packed_k + plan.packed_v) +
                        threads * plan.score_floats;
  plan.shape = std::move(shape);
  return plan;
}

void RunAttention(const AttentionPlan& plan, const float* q, const float* k,
                  const float* v, const float* const* biases, float* o,
                  ThreadPool& pool, float* scratch) {
  if (plan.direct) {
    return RunDirect(plan, q, k, v, biases, o, pool, scratch);
  }
  const AttentionShape& s = plan.shape;
  const PanelShape k_shape{s.n_k, 1, s.d};
  const PanelShape v_shape{s.d_v, 1, s.n_k};
  float* packed_k = scratch;
  float* packed_v = packed_k + s.batches * plan.packed_k;
  float* all_scores = packed_v + s.batches * plan.packed_v;

  pool.Run(2 * s.batches, [&](size_t job, size_t) {
    const size_t b = job / 2;
    if (job % 2 == 0) {
      PackPanels(*plan.gemm, k_shape, k + s.k_offsets[b], 0, s.k_column,
                 s.k_row, packed_k + b * plan.packed_k);
    } else {
      PackPanels(*plan.gemm, v_shape, v + s.v_offsets[b], 0, s.v_row, 1,
                 packed_v + b * plan.packed_v);
    }
  });

  const size_t blocks = (s.n_q + kRows - 1) / kRows;
  pool.Run(s.batches * blocks, [&](size_t job, size_t thread) {
    const size_t b = job / blocks;
    const size_t first = job % blocks * kRows;
    const size_t rows = std::min(kRows, s.n_q - first);
    float* scores = all_scores + thread * plan.score_floats;
    float* bias_row = scores + kRows * s.n_k;
    Tile tile;
    tile.rows = rows;
    tile.a = q + s.q_offsets[b] + first * s.q_row;
    tile.a_stride = s.q_row;
    tile.c = scores;
    tile.c_stride = s.n_k;
    RunPanels(*plan.gemm, k_shape, packed_k + b * plan.packed_k, tile);
    float inverse[kRows];
    for (size_t i = 0; i < rows; ++i) {
      inverse[i] = 1.0f / plan.norm->exp_scores(
                              s.n_k, scores + i * s.n_k, s.scale,
                              BiasRow(s, biases, b, first + i, bias_row));
    }
    float* out = o + s.o_offsets[b] + first * s.o_row;
    tile.a = scores;
    tile.a_stride = s.n_k;
    tile.c = out;
    tile.c_stride = s.o_row;
    RunPanels(*plan.gemm, v_shape, packed_v + b * plan.packed_v, tile);
    for (size_t i = 0; i < rows; ++i) {
      for (size_t j = 0; j < s.d_v; ++j) out[i * s.o_row + j] *= inverse[i];
    }
  });
}

}  // namespace lathe::kernels
