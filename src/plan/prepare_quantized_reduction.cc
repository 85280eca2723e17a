// Quantized operators that look at several values: reductions, pools, softmax,
// normalisation, resizing, concatenation.

#include <algorithm>
#include <array>
#include <cmath>

#include "src/kernels/quantized/lookup.h"
#include "src/kernels/quantized/pool.h"
#include "src/kernels/quantized/reduce.h"
#include "src/kernels/quantized/softmax.h"
#include "src/plan/prepare.h"
#include "src/plan/prepare_quantized.h"
#include "src/plan/prepare_quantized_elementwise.h"

namespace lathe::plan {
namespace {

using graph::OpCode;
using graph::Type;
using kernels::QuantizedType;

Status PrepareQuantizedReduce(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedOneType(lowering, {x, y}));
  kernels::QuantizedReduction reduction;
  switch (node.op->code) {
    case OpCode::kSum:
      reduction.kind = kernels::Reduction::kSum;
      break;
    case OpCode::kReduceProd:
      reduction.kind = kernels::Reduction::kProd;
      break;
    case OpCode::kReduceMax:
      reduction.kind = kernels::Reduction::kMax;
      break;
    case OpCode::kReduceMin:
      reduction.kind = kernels::Reduction::kMin;
      break;
    default:
      break;
  }
  const Type type = lowering.TypeOf(x);
  if (reduction.kind != kernels::Reduction::kMax &&
      reduction.kind != kernels::Reduction::kMin) {
    LATHE_ASSIGN(reduction.scales, RequantizedOf(lowering, x, y));
  }
  LATHE_ASSIGN(const std::vector<int64_t> axes, lowering.Ints(node.inputs[1]));
  const graph::Shape& shape = lowering.ShapeOf(x);
  std::vector<int32_t> positive;
  for (const int64_t axis : axes) {
    positive.push_back(static_cast<int32_t>(AxisOf(axis, shape.size())));
  }
  std::ranges::sort(positive);
  const auto [end, last] = std::ranges::unique(positive);
  positive.erase(end, last);
  reduction.pooled = type != Type::kInt16 && shape.size() == 4 &&
                     node.op->options.Bool("keep_dims") &&
                     positive == std::vector<int32_t>{1, 2};
  const kernels::ReduceLoops loops = kernels::PlanReduce(shape, positive);
  const QuantizedType quantized = QuantizedTypeOf(type);
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {x};
  step.outputs = {y};
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunQuantizedReduce(reduction, quantized, loops, context.tensors[x],
                                context.tensors[y], *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

size_t Dim(const graph::Shape& shape, size_t axis) {
  return static_cast<size_t>(shape[axis]);
}

Status PrepareQuantizedPool(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedOneType(lowering, {x, y}));
  const graph::Options& options = node.op->options;
  const graph::Shape& in = lowering.ShapeOf(x);
  const graph::Shape& out = lowering.ShapeOf(y);
  LATHE_ASSIGN(const kernels::Activation activation, ActivationOf(options));
  Lowering::Affine affine;
  if (activation != kernels::Activation::kNone) {
    LATHE_ASSIGN(affine, lowering.AffineOf(y));
  }
  const Type type = lowering.TypeOf(x);
  const kernels::IntegerRange range = IntegerRangeOf(type, activation, affine);
  kernels::QuantizedPoolShape shape;
  shape.batch = Dim(in, 0);
  shape.height = Dim(in, 1);
  shape.width = Dim(in, 2);
  shape.channels = Dim(in, 3);
  shape.out_height = Dim(out, 1);
  shape.out_width = Dim(out, 2);
  shape.window_height = static_cast<size_t>(options.Int("filter_height"));
  shape.window_width = static_cast<size_t>(options.Int("filter_width"));
  shape.stride_height = static_cast<size_t>(options.Int("stride_h"));
  shape.stride_width = static_cast<size_t>(options.Int("stride_w"));
  // The odd pixel goes behind.
  const auto before = [](size_t outs, size_t stride, size_t window,
                         size_t size) {
    const size_t covered = outs == 0 ? 0 : (outs - 1) * stride + window;
    return covered > size ? (covered - size) / 2 : 0;
  };
  shape.pad_top = before(shape.out_height, shape.stride_height,
                         shape.window_height, shape.height);
  shape.pad_left = before(shape.out_width, shape.stride_width,
                          shape.window_width, shape.width);
  const bool largest = node.op->code == OpCode::kMaxPool2d;
  const QuantizedType quantized = QuantizedTypeOf(type);
  const bool empty = lowering.Elements(y) == 0 || lowering.Elements(x) == 0;
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {x};
  step.outputs = {y};
  step.run = [=](const StepContext& context) -> Status {
    if (empty) return {};
    kernels::RunQuantizedPool(largest, quantized, shape, range,
                              context.tensors[x], context.tensors[y],
                              *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

struct Rows {
  size_t rows = 0, n = 1;
};
Rows RowsOf(const Lowering& lowering, int32_t tensor) {
  const graph::Shape& shape = lowering.ShapeOf(tensor);
  Rows rows;
  if (!shape.empty()) rows.n = Dim(shape, shape.size() - 1);
  rows.rows = rows.n ? lowering.Elements(tensor) / rows.n : 0;
  return rows;
}

Status WantOutput(const Lowering& lowering, const Node& node, float scale,
                  int32_t zero_point) {
  LATHE_ASSIGN(const Lowering::Affine y, lowering.AffineOf(node.outputs[0]));
  if (std::abs(y.scale - scale) > 0.001F * scale ||
      y.zero_point != zero_point) {
    return Invalid(
        "{} {}: output scale {} and zero point {}, expected {} and {}",
        Name(node.op->code), Name(lowering.TypeOf(node.outputs[0])), y.scale,
        y.zero_point, scale, zero_point);
  }
  return {};
}

Status PrepareQuantizedSoftmax(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_ASSIGN(const Lowering::Affine in, QuantizedAffineOf(lowering, x));
  LATHE_ASSIGN(const Lowering::Affine out, QuantizedAffineOf(lowering, y));
  const Rows rows = RowsOf(lowering, x);
  const Type type = lowering.TypeOf(x), to = lowering.TypeOf(y);
  const float beta = static_cast<float>(node.op->options.Float("beta"));
  const bool widens = to == Type::kInt16 && type != Type::kInt16;
  if (!widens) LATHE_TRY(NeedOneType(lowering, {x, y}));
  Step step;
  step.name = "SOFTMAX";
  step.inputs = {x};
  step.outputs = {y};
  if (type == Type::kInt16) {
    LATHE_TRY(WantOutput(lowering, node, 1.0F / 32768, 0));
    step.run = [=, softmax = kernels::WordSoftmax(in.scale, beta)](
                   const StepContext& context) -> Status {
      softmax.Run(rows.rows, rows.n, context.As<int16_t>(x),
                  context.As<int16_t>(y), *context.pool);
      return {};
    };
  } else {
    const bool is_signed = type == Type::kInt8;
    if (widens) {
      LATHE_TRY(WantOutput(lowering, node, 1.0F / 32768, 0));
    } else {
      LATHE_TRY(WantOutput(lowering, node, 1.0F / 256, is_signed ? -128 : 0));
      step.may_overwrite = x;
    }
    step.run = [=, table = kernels::ExpTableOf(in.scale * beta)](
                   const StepContext& context) -> Status {
      const uint8_t* from = context.As<uint8_t>(x);
      if (widens) {
        kernels::RunByteToWordSoftmax(is_signed, table, out.scale, rows.rows,
                                      rows.n, from, context.As<int16_t>(y),
                                      *context.pool);
      } else {
        kernels::RunByteSoftmax(is_signed, table, out.scale, out.zero_point,
                                rows.rows, rows.n, from, context.As<uint8_t>(y),
                                *context.pool);
      }
      return {};
    };
  }
  lowering.Add(std::move(step));
  return {};
}

Status PrepareQuantizedLogSoftmax(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_ASSIGN(const kernels::Requantized scales,
               RequantizedOf(lowering, x, y));
  const bool is_signed = lowering.TypeOf(x) == Type::kInt8;
  LATHE_TRY(WantOutput(lowering, node, 16.0F / 256, is_signed ? 127 : 255));
  const Rows rows = RowsOf(lowering, x);
  Step step;
  step.name = "LOG_SOFTMAX";
  step.inputs = {x};
  step.outputs = {y};
  step.may_overwrite = x;
  step.run = [=, table = kernels::ExpTableOf(scales.in_scale)](
                 const StepContext& context) -> Status {
    kernels::RunByteLogSoftmax(is_signed, table, scales, rows.rows, rows.n,
                               context.As<uint8_t>(x), context.As<uint8_t>(y),
                               *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareQuantizedL2Norm(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedOneType(lowering, {x, y}));
  LATHE_ASSIGN(const Lowering::Affine in, lowering.AffineOf(x));
  const bool is_signed = lowering.TypeOf(x) == Type::kInt8;
  LATHE_TRY(WantOutput(lowering, node, 1.0F / 128, is_signed ? 0 : 128));
  const Rows rows = RowsOf(lowering, x);
  Step step;
  step.name = "L2_NORMALIZATION";
  step.inputs = {x};
  step.outputs = {y};
  step.may_overwrite = x;
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunByteL2Norm(is_signed, in.zero_point, rows.rows, rows.n,
                           context.As<uint8_t>(x), context.As<uint8_t>(y),
                           *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareQuantizedBilinear(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedOneType(lowering, {x, y}));
  const graph::Shape& in = lowering.ShapeOf(x);
  const graph::Shape& out = lowering.ShapeOf(y);
  kernels::QuantizedResizeShape shape;
  shape.batch = Dim(in, 0);
  shape.height = Dim(in, 1);
  shape.width = Dim(in, 2);
  shape.channels = Dim(in, 3);
  shape.out_height = Dim(out, 1);
  shape.out_width = Dim(out, 2);
  shape.align = node.op->options.Bool("align_corners");
  shape.half_pixel = node.op->options.Bool("half_pixel_centers");
  if (lowering.Elements(x) == 0 && lowering.Elements(y) != 0) {
    return Invalid("an image of {} by {} cannot be resized", shape.height,
                   shape.width);
  }
  const QuantizedType quantized = QuantizedTypeOf(lowering.TypeOf(x));
  Step step;
  step.name = "RESIZE_BILINEAR";
  step.inputs = {x};
  step.outputs = {y};
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunQuantizedBilinear(quantized, shape, context.tensors[x],
                                  context.tensors[y], *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// Whether an input has another scale or zero point than the output; only uint8
// rescales.
bool HasOtherScales(const OpTypes& types) {
  const auto& out = types.Out(0).quantization;
  if (!out || out->scale.size() != 1) return false;
  for (size_t i = 0; i < types.op.inputs.size(); ++i) {
    if (!types.Has(i)) continue;
    const auto& in = types.In(i).quantization;
    if (in && in->scale.size() == 1 &&
        (in->scale != out->scale || in->zero_point != out->zero_point)) {
      return true;
    }
  }
  return false;
}

Status PrepareRescalingConcatenation(Lowering& lowering, const Node& node) {
  const int32_t y = node.outputs[0];
  LATHE_ASSIGN(const Lowering::Affine out, lowering.AffineOf(y));
  const graph::Shape& shape = lowering.ShapeOf(y);
  const size_t axis = AxisOf(node.op->options.Int("axis"), shape.size());
  size_t outer = 1;
  for (size_t i = 0; i < axis; ++i) outer *= Dim(shape, i);
  struct Part {
    int32_t tensor;
    size_t bytes;  // Per outer index.
    kernels::ByteTable table;
  };
  std::vector<Part> parts;
  Step step;
  for (const int32_t x : node.inputs) {
    if (x < 0) return Invalid("an input is left out");
    LATHE_TRY(NeedOneType(lowering, {x, y}));
    LATHE_ASSIGN(const Lowering::Affine in, lowering.AffineOf(x));
    const float scale = in.scale * (1.0F / out.scale);
    const float bias = static_cast<float>(-in.zero_point) * scale;
    const bool same = in.scale == out.scale && in.zero_point == out.zero_point;
    Part part{
        x, outer ? lowering.Elements(x) / outer : 0,
        kernels::ByteTableOf<uint8_t>([&](int32_t q) {
          if (same) return q;
          const float steps = std::round(static_cast<float>(q) * scale + bias);
          return static_cast<int32_t>(std::clamp(steps, -0x1p30f, 0x1p30f)) +
                 out.zero_point;
        })};
    parts.push_back(part);
    step.inputs.push_back(x);
  }
  step.name = "CONCATENATION";
  step.outputs = {y};
  step.run = [=,
              parts = std::move(parts)](const StepContext& context) -> Status {
    uint8_t* to = context.As<uint8_t>(y);
    for (size_t i = 0; i < outer; ++i) {
      for (const Part& part : parts) {
        kernels::RunByteTable(part.table, part.bytes,
                              context.As<uint8_t>(part.tensor) + i * part.bytes,
                              to, *context.pool);
        to += part.bytes;
      }
    }
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// Tables of small integers whose rows come out as floats.
bool IsNarrowTable(const OpTypes& types) {
  if (!types.Has(1)) return false;
  const Type type = types.In(1).type;
  return type == Type::kInt8 || type == Type::kInt4 || type == Type::kInt2;
}

Status PrepareDequantizingLookup(Lowering& lowering, const Node& node) {
  const int32_t ids = node.inputs[0], table = node.inputs[1];
  const int32_t y = node.outputs[0];
  const graph::Quantization* q = lowering.QuantizationOf(table);
  const size_t rows = Dim(lowering.ShapeOf(table), 0);
  const size_t n = rows ? lowering.Elements(table) / rows : 0;
  // Values that share a scale follow each other.
  std::vector<float> scales;
  size_t run = n;
  if (q != nullptr && q->details == graph::Quantization::Details::kBlockwise) {
    run = static_cast<size_t>(q->block_size);
    LATHE_ASSIGN(scales, BlockScalesOf(lowering, table, rows, n));
  } else if (q == nullptr || q->scale.empty() ||
             (q->scale.size() != 1 &&
              (q->axis != 0 || q->scale.size() != rows))) {
    return Invalid("tensor {} \"{}\": {} scales, expected 1 or one of {} rows",
                   table, lowering.NameOf(table), q ? q->scale.size() : 0,
                   rows);
  } else {
    scales = q->scale;
  }
  const size_t count = lowering.Elements(ids);
  const size_t bits = graph::BitsPerElement(lowering.TypeOf(table));
  Step step;
  step.name = "EMBEDDING_LOOKUP";
  step.inputs = {ids, table};
  step.outputs = {y};
  step.run = [=, scales =
                     std::move(scales)](const StepContext& context) -> Status {
    const int32_t* id = context.As<int32_t>(ids);
    float* to = context.As<float>(y);
    for (size_t i = 0; i < count; ++i) {
      if (id[i] < 0 || static_cast<size_t>(id[i]) >= rows) {
        return Invalid("id {} is {}; allowed: 0 to {}", i, id[i],
                       static_cast<int64_t>(rows) - 1);
      }
      const size_t row = static_cast<size_t>(id[i]);
      for (size_t j = 0; j < n; j += run) {
        const size_t first = row * n + j;
        kernels::DequantizeNarrow(context.tensors[table], bits, first, run,
                                  scales[scales.size() == 1 ? 0 : first / run],
                                  to + i * n + j);
      }
    }
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

constexpr OpRow Reduce(OpCode code, TypeMask types) {
  return {code, PrepareQuantizedReduce, types, 0, IsQuantized, "quantized"};
}

constexpr OpRow kRows[] = {
    Reduce(OpCode::kMean, kQuantized),
    Reduce(OpCode::kSum, kQuantized),
    Reduce(OpCode::kReduceProd, kSignedQuantized),
    {OpCode::kReduceMax, PrepareQuantizedReduce, kQuantized},
    {OpCode::kReduceMin, PrepareQuantizedReduce, kQuantized},
    {OpCode::kAveragePool2d, PrepareQuantizedPool, kQuantized},
    {OpCode::kMaxPool2d, PrepareQuantizedPool, kQuantized},
    {OpCode::kSoftmax, PrepareQuantizedSoftmax, kQuantized, -1, IsQuantized,
     "quantized"},
    {OpCode::kLogSoftmax, PrepareQuantizedLogSoftmax, kBytes, -1, IsQuantized,
     "quantized"},
    {OpCode::kL2Normalization, PrepareQuantizedL2Norm, kBytes, -1, IsQuantized,
     "quantized"},
    {OpCode::kResizeBilinear, PrepareQuantizedBilinear, kQuantized},
    {OpCode::kEmbeddingLookup, PrepareDequantizingLookup, kFloat32, -1,
     IsNarrowTable, "a table of int8, int4 or int2"},
    {OpCode::kConcatenation, PrepareRescalingConcatenation,
     Types({Type::kUint8}), -1, HasOtherScales, "other scales than the output"},
};

}  // namespace

std::span<const OpRow> QuantizedReductionRows() { return kRows; }

}  // namespace lathe::plan
