// Choice of the variant, packing of its weights, and the way to its loop.

#include "src/kernels/conv/conv.h"

#include <algorithm>
#include <array>

#include "src/base/aligned_buffer.h"
#include "src/kernels/conv/parts.h"

namespace lathe::kernels {
namespace {

// Floats of the gathered rows of one job: half of a 1 MiB L2.
constexpr size_t kGatherFloats = (size_t{512} << 10) / sizeof(float);
constexpr size_t kMostGatherRows = 192;

ConvVariant ChooseVariant(const ConvShape& s, bool snake) {
  const bool ungrouped = s.groups == 1;
  if (ungrouped && !snake && s.kernel_h == 1 && s.kernel_w == 1 &&
      s.stride_h == 1 && s.stride_w == 1 && s.pad_top == 0 && s.pad_left == 0 &&
      s.out_h == s.in_h && s.out_w == s.in_w) {
    return ConvVariant::kGemm;
  }
  const bool flat = ungrouped && s.kernel_h == 1 && s.in_h == 1 &&
                    s.out_h == 1 && s.pad_top == 0;
  if (!flat) return ConvVariant::kGather;
  if (s.stride_w == 1 && s.kernel_w > 1 && s.out_c <= 4 &&
      s.out_c * s.kernel_w <= 32) {
    return ConvVariant::kTapsAsColumns;
  }
  return ConvVariant::kRows;
}

}  // namespace

std::string_view Name(ConvVariant variant) {
  switch (variant) {
    case ConvVariant::kGemm:
      return "gemm";
    case ConvVariant::kRows:
      return "rows";
    case ConvVariant::kTapsAsColumns:
      return "taps-as-columns";
    case ConvVariant::kGather:
      return "gather";
  }
  return "?";
}

PanelShape GroupPanels(const ConvPlan& plan) {
  const ConvShape& s = plan.shape;
  const size_t channels = s.in_c / s.groups;
  switch (plan.variant) {
    case ConvVariant::kTapsAsColumns:
      return {s.kernel_w * s.out_c, 1, channels};
    case ConvVariant::kRows:
      // Rows without gaps make all taps one run.
      if (plan.row_stride == s.in_c && s.dilation_w == 1) {
        return {s.out_c, 1, s.kernel_w * channels};
      }
      return {s.out_c, s.kernel_w, channels};
    case ConvVariant::kGemm:
    case ConvVariant::kGather:
      return {s.out_c / s.groups, 1, s.kernel_h * s.kernel_w * channels};
  }
  return {};
}

ConvPlan PlanConv(Isa limit, const ConvShape& s, bool snake, size_t threads) {
  ConvPlan plan;
  plan.shape = s;
  plan.snake = snake;
  plan.gemm = &ChooseGemm(limit);
  plan.elementwise = &ChooseElementwise(limit);
  plan.threads = std::max<size_t>(1, threads);
  plan.row_stride = TileRowStride(s.in_c);
  plan.variant = ChooseVariant(s, snake);
  size_t floats = 0;
  switch (plan.variant) {
    case ConvVariant::kGemm:
      break;
    case ConvVariant::kTapsAsColumns:
    case ConvVariant::kRows: {
      plan.tile =
          EvenTile(s.out_w, MostTileRows(s, plan.row_stride), plan.threads);
      const size_t inputs = TileInputs(s, plan.tile);
      floats = RoundUp(inputs * plan.row_stride, 16);
      if (plan.variant == ConvVariant::kTapsAsColumns) {
        floats += RoundUp(inputs * s.out_c * s.kernel_w, 16);
      }
      break;
    }
    case ConvVariant::kGather: {
      const size_t k = GroupPanels(plan).k;
      const size_t most = std::clamp<size_t>(
          kGatherFloats / std::max<size_t>(1, k), 6, kMostGatherRows);
      plan.tile = EvenTile(s.batch * s.out_h * s.out_w, most, plan.threads);
      floats = RoundUp(plan.tile * k, 16);
      break;
    }
  }
  plan.scratch_floats = plan.threads * floats;
  return plan;
}

size_t PackedConvFloats(const ConvPlan& plan) {
  return plan.shape.groups * PackedFloats(*plan.gemm, GroupPanels(plan));
}

void PackConv(const ConvPlan& plan, const float* filter, float* packed,
              ThreadPool* pool) {
  const ConvShape& s = plan.shape;
  const PanelShape panels = GroupPanels(plan);
  const size_t channels = s.in_c / s.groups;
  const size_t taps = s.kernel_h * s.kernel_w;
  if (plan.variant == ConvVariant::kTapsAsColumns) {
    // Column tap * out_c + o.
    std::array<const float*, 256> columns;
    for (size_t i = 0; i < PanelCount(*plan.gemm, panels); ++i) {
      const Panel panel = PanelAt(*plan.gemm, panels, i);
      for (size_t j = 0; j < panel.columns; ++j) {
        const size_t column = panel.first + j;
        columns[j] =
            filter + (column % s.out_c * taps + column / s.out_c) * channels;
      }
      PackColumns(panel.width, channels, columns.data(), panel.columns,
                  packed + panel.offset);
    }
    return;
  }
  for (size_t g = 0; g < s.groups; ++g) {
    PackPanels(*plan.gemm, panels, filter + g * panels.n * taps * channels,
               channels, 1, taps * channels,
               packed + g * PackedFloats(*plan.gemm, panels), pool);
  }
}

void RunConv(const ConvPlan& plan, const ConvArgs& args, ThreadPool& pool,
             float* scratch, StopToken stop) {
  const ConvShape& s = plan.shape;
  switch (plan.variant) {
    case ConvVariant::kGemm: {
      Gemm gemm;
      gemm.m = s.batch * s.out_h * s.out_w;
      gemm.n = s.out_c;
      gemm.k = s.in_c;
      gemm.a = args.x;
      gemm.a_stride = s.in_c;
      gemm.packed = args.packed;
      gemm.c = args.y;
      gemm.c_stride = s.out_c;
      gemm.bias = args.bias;
      gemm.residual = args.residual;
      gemm.residual_stride = s.out_c;
      gemm.activation = args.activation;
      return RunGemm(*plan.gemm, gemm, pool);
    }
    case ConvVariant::kRows:
      return RunRows(plan, args, pool, scratch, stop);
    case ConvVariant::kTapsAsColumns:
      return RunTapsAsColumns(plan, args, pool, scratch, stop);
    case ConvVariant::kGather:
      return RunGather(plan, args, pool, scratch, stop);
  }
}

}  // namespace lathe::kernels
