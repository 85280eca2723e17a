// FULLY_CONNECTED and BATCH_MATMUL.

#include <utility>

#include "src/kernels/gemm/gemm.h"
#include "src/kernels/gemm/half.h"
#include "src/plan/lowering.h"
#include "src/plan/matrices.h"
#include "src/plan/prepare.h"

namespace lathe::plan {

Status PrepareFullyConnected(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], w = node.inputs[1];
  const int32_t bias = node.inputs.size() > 2 ? node.inputs[2] : -1;
  const int32_t y = node.outputs[0], residual = node.residual;
  LATHE_TRY(NeedFloat(lowering, node));
  const graph::Shape& weights = lowering.ShapeOf(w);
  const size_t n = weights[0], k = weights[1];
  const size_t m = k ? lowering.Elements(x) / k : 0;
  kernels::Activation activation = kernels::Activation::kNone;
  const FusedActivation late = LateActivationOf(node.op->options);
  if (late == FusedActivation::kNone) {
    LATHE_ASSIGN(activation, ActivationOf(node.op->options));
  }
  const kernels::GemmKernel& kernel =
      kernels::ChooseGemm(lowering.options().isa);
  const kernels::PanelShape panels{n, 1, k};
  const size_t floats = kernels::PackedFloats(kernel, panels);

  Packed packed;
  // Half the memory, and the same values.
  const bool half = lowering.IsWidenedHalf(w);
  if (half) {
    LATHE_ASSIGN(
        packed, lowering.Pack(
                    w, fmt::format("fc-half-{}", kernel.name), (floats + 1) / 2,
                    [&](const float* from, float* to) {
                      kernels::PackHalfPanels(kernel, panels, from, 1, k,
                                              reinterpret_cast<uint16_t*>(to));
                    }));
  } else if (lowering.IsConstant(w) && lowering.options().keep_packed) {
    LATHE_ASSIGN(packed,
                 lowering.Pack(w, fmt::format("fc-{}", kernel.name), floats,
                               [&](const float* from, float* to) {
                                 kernels::PackPanels(kernel, panels, from, 0, 1,
                                                     k, to,
                                                     lowering.options().pool);
                               }));
  }
  Step step;
  step.name = "FULLY_CONNECTED";
  step.kernel = kernel.name;
  step.flops = 2 * m * n * k;
  step.inputs = {x};
  if (!packed) step.inputs.push_back(w);
  if (bias >= 0) step.inputs.push_back(bias);
  if (residual >= 0) {
    step.inputs.push_back(residual);
    if (!half && !kernels::SplitsSum(kernel, panels)) {
      step.may_overwrite = residual;
    }
  }
  step.outputs = {y};
  if (half) {
    step.kernel = fmt::format("{}/half", kernel.name);
    step.scratch_bytes = lowering.options().threads *
                         kernels::kHalfScratchFloats * sizeof(float);
  } else if (!packed) {
    step.scratch_bytes = floats * sizeof(float);
  }
  step.run = [=, &kernel](const StepContext& context) -> Status {
    kernels::Gemm gemm;
    gemm.m = m;
    gemm.n = n;
    gemm.k = k;
    gemm.a = context.As<float>(x);
    gemm.a_stride = k;
    float* scratch = reinterpret_cast<float*>(context.scratch);
    if (half) {
      gemm.halves = packed->as<uint16_t>();
    } else if (packed) {
      gemm.packed = packed->as<float>();
    } else {
      kernels::PackPanels(kernel, panels, context.As<float>(w), 0, 1, k,
                          scratch, context.pool);
      gemm.packed = scratch;
    }
    gemm.c = context.As<float>(y);
    gemm.c_stride = n;
    gemm.bias = bias >= 0 ? context.As<float>(bias) : nullptr;
    gemm.residual = residual >= 0 ? context.As<float>(residual) : nullptr;
    gemm.residual_stride = n;
    gemm.activation = activation;
    kernels::RunGemm(kernel, gemm, *context.pool, scratch);
    ApplyLate(late, m * n, context.As<float>(y));
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareBatchMatmul(Lowering& lowering, const Node& node) {
  const int32_t a = node.inputs[0], b = node.inputs[1], y = node.outputs[0];
  LATHE_TRY(NeedFloat(lowering, node));
  const bool adj_x = node.op->options.Bool("adj_x");
  const bool adj_y = node.op->options.Bool("adj_y");
  const graph::Shape& sa = lowering.ShapeOf(a);
  const graph::Shape& sb = lowering.ShapeOf(b);
  const graph::Shape& sy = lowering.ShapeOf(y);
  const size_t rank = sy.size();
  LATHE_TRY(CheckMatrices(sy));
  kernels::BatchGemm gemm;
  gemm.m = sy[rank - 2];
  gemm.n = sy[rank - 1];
  gemm.k = adj_x ? sa[sa.size() - 2] : sa[sa.size() - 1];
  gemm.a_stride = adj_x ? 1 : gemm.k;
  gemm.a_k_stride = adj_x ? gemm.m : 1;
  gemm.b_k_stride = adj_y ? 1 : gemm.n;
  gemm.b_n_stride = adj_y ? gemm.k : 1;
  gemm.c_stride = gemm.n;

  gemm.batches = 1;
  for (size_t i = 0; i + 2 < rank; ++i) gemm.batches *= sy[i];
  const Matrices y_matrices(sy);
  const std::vector<size_t> a_offsets =
      Matrices(sa).Offsets(y_matrices, gemm.batches);
  const std::vector<size_t> b_offsets =
      Matrices(sb).Offsets(y_matrices, gemm.batches);
  const std::vector<size_t> c_offsets =
      y_matrices.Offsets(y_matrices, gemm.batches);
  const kernels::GemmKernel& kernel =
      kernels::ChooseGemm(lowering.options().isa);
  Step step;
  step.name = "BATCH_MATMUL";
  step.kernel = kernel.name;
  step.flops = 2 * gemm.batches * gemm.m * gemm.n * gemm.k;
  step.inputs = {a, b};
  step.outputs = {y};
  step.scratch_bytes =
      sizeof(float) *
      kernels::BatchGemmScratchFloats(kernel, gemm, lowering.options().threads);
  step.run = [=, &kernel](const StepContext& context) mutable -> Status {
    gemm.a = context.As<float>(a);
    gemm.b = context.As<float>(b);
    gemm.c = context.As<float>(y);
    gemm.a_offsets = a_offsets.data();
    gemm.b_offsets = b_offsets.data();
    gemm.c_offsets = c_offsets.data();
    kernels::RunBatchGemm(kernel, gemm, *context.pool,
                          reinterpret_cast<float*>(context.scratch));
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

namespace {

using graph::OpCode;

constexpr OpRow kRows[] = {
    {OpCode::kFullyConnected, PrepareFullyConnected, kFloat32, -1,
     FloatOperands, "all operands float32"},
    {OpCode::kBatchMatmul, PrepareBatchMatmul, kFloat32, -1, FloatOperands,
     "all operands float32"},
};

}  // namespace

std::span<const OpRow> MatmulRows() { return kRows; }

}  // namespace lathe::plan
