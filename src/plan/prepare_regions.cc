// Regions that passes marked, as fused steps.

#include <algorithm>
#include <utility>

#include "src/kernels/attention/attention.h"
#include "src/kernels/elementwise/elementwise.h"
#include "src/kernels/norm/norm.h"
#include "src/plan/lowering.h"
#include "src/plan/matrices.h"
#include "src/plan/prepare.h"

namespace lathe::plan {
namespace {

// Rows of one job of a row-wise kernel: about 16,000 elements.
size_t RowsPerJob(size_t n) {
  return std::max<size_t>(1, 16384 / std::max<size_t>(1, n));
}

template <typename F>
void ForRows(ThreadPool& pool, size_t rows, size_t n, const F& row) {
  const size_t per_job = RowsPerJob(n);
  pool.Run((rows + per_job - 1) / per_job, [&](size_t job, size_t) {
    const size_t end = std::min(rows, (job + 1) * per_job);
    for (size_t i = job * per_job; i < end; ++i) row(i);
  });
}

// A constant such as gamma [groups, 1, n], against rows of x [groups, r, n]:
// row i uses weights (i / rows_per_group % groups). The shape is the last axis
// alone, or has leading dims that equal x's, with 1 elsewhere.
struct RowWeights {
  int32_t tensor = graph::kNoTensor;
  std::vector<size_t> row_of;  // Weight row per x row; empty: always row 0.
};

RowWeights WeightsOf(const Lowering& lowering, int32_t tensor,
                     const graph::Shape& x) {
  RowWeights weights;
  weights.tensor = tensor;
  if (tensor < 0) return weights;
  const graph::Shape& shape = lowering.ShapeOf(tensor);
  const size_t n = static_cast<size_t>(x.back());
  if (lowering.Elements(tensor) == n) return weights;
  const size_t rows = graph::ElementCount(x) / std::max<size_t>(1, n);
  for (size_t row = 0; row < rows; ++row) {
    size_t rest = row, at = 0, run = 1;
    for (size_t i = x.size() - 1; i-- > 0;) {
      const size_t index = rest % static_cast<size_t>(x[i]);
      rest /= static_cast<size_t>(x[i]);
      const size_t from_right = x.size() - i;
      if (from_right > shape.size()) continue;
      const size_t dim = static_cast<size_t>(shape[shape.size() - from_right]);
      if (dim != 1) at += index * run;
      run *= dim;
    }
    weights.row_of.push_back(at);
  }
  return weights;
}

const float* RowOfWeights(const StepContext& context, const RowWeights& weights,
                          size_t row, size_t n) {
  if (weights.tensor < 0) return nullptr;
  const float* all = context.As<float>(weights.tensor);
  return weights.row_of.empty() ? all : all + weights.row_of[row] * n;
}

// The axes that a TRANSPOSE had which does the opposite.
std::vector<int64_t> Inverse(const std::vector<int64_t>& perm) {
  std::vector<int64_t> inverse(perm.size());
  for (size_t i = 0; i < perm.size(); ++i) {
    inverse[static_cast<size_t>(perm[i])] = static_cast<int64_t>(i);
  }
  return inverse;
}

}  // namespace

Status PrepareSnake(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], a = node.inputs[1], b = node.inputs[2];
  const int32_t y = node.outputs[0];
  const kernels::ElementwiseKernels& kernels =
      kernels::ChooseElementwise(lowering.options().isa);
  const size_t n = static_cast<size_t>(lowering.ShapeOf(x).back());
  const size_t rows = n ? lowering.Elements(x) / n : 0;
  Step step;
  step.name = "snake";
  step.kernel = kernels.name;
  step.inputs = {x};
  step.outputs = {y};
  step.may_overwrite = x;
  step.run = [=, &kernels](const StepContext& context) -> Status {
    ForRows(*context.pool, rows, n, [&](size_t i) {
      kernels.snake(n, context.As<float>(x) + i * n, context.As<float>(a),
                    context.As<float>(b), context.As<float>(y) + i * n);
    });
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareLayerNorm(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const graph::Shape& shape = lowering.ShapeOf(x);
  const kernels::NormKernels& kernels =
      kernels::ChooseNorm(lowering.options().isa);
  const size_t n = static_cast<size_t>(shape.back());
  const size_t rows = n ? lowering.Elements(x) / n : 0;
  const float epsilon = node.region->epsilon;
  Step step;
  step.name = "layer_norm";
  step.kernel = kernels.name;
  step.inputs = {x};
  step.outputs = {y};
  step.may_overwrite = x;
  step.run = [=, &kernels, gamma = WeightsOf(lowering, node.inputs[1], shape),
              beta = WeightsOf(lowering, node.inputs[2], shape)](
                 const StepContext& context) -> Status {
    ForRows(*context.pool, rows, n, [&](size_t i) {
      kernels.layer_norm(n, context.As<float>(x) + i * n,
                         RowOfWeights(context, gamma, i, n),
                         RowOfWeights(context, beta, i, n), epsilon,
                         context.As<float>(y) + i * n);
    });
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareRmsNorm(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const graph::Shape& shape = lowering.ShapeOf(x);
  const kernels::NormKernels& kernels =
      kernels::ChooseNorm(lowering.options().isa);
  const size_t n = static_cast<size_t>(shape.back());
  const size_t rows = n ? lowering.Elements(x) / n : 0;
  const float epsilon = node.region->epsilon;
  Step step;
  step.name = "rms_norm";
  step.kernel = kernels.name;
  step.inputs = {x};
  step.outputs = {y};
  step.may_overwrite = x;
  step.run = [=, &kernels, gamma = WeightsOf(lowering, node.inputs[1], shape)](
                 const StepContext& context) -> Status {
    ForRows(*context.pool, rows, n, [&](size_t i) {
      kernels.rms_norm(n, context.As<float>(x) + i * n,
                       RowOfWeights(context, gamma, i, n), epsilon,
                       context.As<float>(y) + i * n);
    });
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareRotary(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], cos = node.inputs[1], sin = node.inputs[2];
  const int32_t y = node.outputs[0];
  const graph::Shape& shape = lowering.ShapeOf(x);
  const kernels::ElementwiseKernels& kernels =
      kernels::ChooseElementwise(lowering.options().isa);
  const size_t d = static_cast<size_t>(shape.back());
  const size_t half = static_cast<size_t>(lowering.ShapeOf(cos).back());
  const size_t rows = d ? lowering.Elements(x) / d : 0;
  // The tables broadcast against the leading dims like any operand: their rows
  // are those of an x whose last axis is `half` long.
  graph::Shape as_rows = shape;
  as_rows.back() = static_cast<int32_t>(half);
  const RowWeights angles = WeightsOf(lowering, cos, as_rows);
  Step step;
  step.name = "rotary";
  step.kernel = kernels.name;
  step.inputs = {x, cos, sin};
  step.outputs = {y};
  step.may_overwrite = x;
  step.run = [=, &kernels](const StepContext& context) -> Status {
    ForRows(*context.pool, rows, d, [&](size_t i) {
      const size_t at = angles.row_of.empty() ? 0 : angles.row_of[i] * half;
      kernels.rotary(d, half, context.As<float>(x) + i * d,
                     context.As<float>(cos) + at, context.As<float>(sin) + at,
                     context.As<float>(y) + i * d);
    });
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareGatedSilu(Lowering& lowering, const Node& node) {
  const int32_t y = node.outputs[0];
  const graph::Shape& shape = lowering.ShapeOf(y);
  const kernels::ElementwiseKernels& kernels =
      kernels::ChooseElementwise(lowering.options().isa);
  const size_t n = shape.empty() ? 1 : static_cast<size_t>(shape.back());
  const size_t rows = n ? lowering.Elements(y) / n : 0;
  const bool halves = node.halves_of >= 0;
  const int32_t value = node.inputs[0];
  const int32_t gate = halves ? value : node.inputs[1];
  const size_t stride = halves ? 2 * n : n;
  const size_t gate_first = halves ? n : 0;
  Step step;
  step.name = "gated_silu";
  step.kernel = kernels.name;
  step.inputs = node.inputs;
  step.outputs = {y};
  step.run = [=, &kernels](const StepContext& context) -> Status {
    ForRows(*context.pool, rows, n, [&](size_t i) {
      kernels.gated_silu(n, context.As<float>(value) + i * stride,
                         context.As<float>(gate) + i * stride + gate_first,
                         context.As<float>(y) + i * n);
    });
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareAttention(Lowering& lowering, const Node& node) {
  const int32_t q = node.inputs[0], k = node.inputs[1], v = node.inputs[2];
  const int32_t y = node.outputs[0];
  const Matrices q_view(lowering.ShapeOf(q), node.perms[0]);
  const Matrices k_view(lowering.ShapeOf(k), node.perms[1]);
  const Matrices v_view(lowering.ShapeOf(v), node.perms[2]);
  const Matrices y_view(lowering.ShapeOf(y), Inverse(node.perms[3]));
  const bool transposed = node.region->transposed_k;
  LATHE_TRY(CheckMatrices(y_view.shape));
  kernels::AttentionShape shape;
  shape.n_q = q_view.Dim(1);
  shape.d = q_view.Dim(0);
  shape.n_k = k_view.Dim(transposed ? 0 : 1);
  shape.d_v = v_view.Dim(0);
  shape.q_row = q_view.Stride(1);
  shape.k_row = k_view.Stride(transposed ? 0 : 1);
  shape.k_column = k_view.Stride(transposed ? 1 : 0);
  shape.v_row = v_view.Stride(1);
  shape.o_row = y_view.Stride(1);
  shape.scale = node.region->scale;
  shape.batches = 1;
  for (size_t back = 2; back < y_view.shape.size(); ++back) {
    shape.batches *= y_view.Dim(back);
  }
  shape.q_offsets = q_view.Offsets(y_view, shape.batches);
  shape.k_offsets = k_view.Offsets(y_view, shape.batches);
  shape.v_offsets = v_view.Offsets(y_view, shape.batches);
  shape.o_offsets = y_view.Offsets(y_view, shape.batches);
  std::vector<int32_t> biases(node.inputs.begin() + 3, node.inputs.end());
  if (biases.size() > 2) {
    return Unsupported("attention with {} bias terms", biases.size());
  }
  for (const int32_t bias : biases) {
    const Matrices view(lowering.ShapeOf(bias), {});
    kernels::AttentionShape::Bias facts;
    facts.column = view.Dim(0) != 1 ? 1 : 0;
    facts.row = view.Dim(1) != 1 ? view.Stride(1) : 0;
    facts.offsets = view.Offsets(y_view, shape.batches);
    shape.biases.push_back(std::move(facts));
  }
  const size_t flops =
      2 * shape.batches * shape.n_q * shape.n_k * (shape.d + shape.d_v);
  const kernels::AttentionPlan plan = kernels::PlanAttention(
      lowering.options().isa, std::move(shape), lowering.options().threads);
  Step step;
  step.name = "attention";
  step.kernel = plan.gemm->name;
  step.flops = flops;
  step.inputs = node.inputs;
  step.outputs = {y};
  step.scratch_bytes = plan.scratch_floats * sizeof(float);
  step.run = [=](const StepContext& context) -> Status {
    const float* terms[2] = {};
    for (size_t i = 0; i < biases.size(); ++i) {
      terms[i] = context.As<float>(biases[i]);
    }
    kernels::RunAttention(plan, context.As<float>(q), context.As<float>(k),
                          context.As<float>(v), terms, context.As<float>(y),
                          *context.pool,
                          reinterpret_cast<float*>(context.scratch));
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

}  // namespace lathe::plan
