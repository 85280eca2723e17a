// QUANTIZE, DEQUANTIZE and DENSIFY.

#include <optional>

#include "src/kernels/quantized/convert.h"
#include "src/plan/lowering.h"
#include "src/plan/prepare.h"
#include "src/plan/prepare_quantized.h"

namespace lathe::plan {
namespace {

using graph::OpCode;
using graph::Type;
using kernels::Stored;

std::optional<Stored> StoredOf(Type type) {
  switch (type) {
    case Type::kInt8:
      return Stored::kInt8;
    case Type::kUint8:
      return Stored::kUint8;
    case Type::kInt16:
      return Stored::kInt16;
    case Type::kInt4:
      return Stored::kInt4;
    case Type::kUint4:
      return Stored::kUint4;
    case Type::kInt2:
      return Stored::kInt2;
    case Type::kFloat16:
      return Stored::kFloat16;
    case Type::kBfloat16:
      return Stored::kBfloat16;
    default:
      return std::nullopt;
  }
}

// Scales and zero points of a tensor; `scaling` points into them.
struct Scales {
  std::vector<float> scale;
  std::vector<int32_t> zero;
  size_t channels = 1, inner = 1, n = 0;

  kernels::Scaling Get() const {
    return {n, channels, inner, scale.data(), zero.data()};
  }
};

Result<Scales> ScalesOf(const Lowering& lowering, int32_t tensor) {
  if (HasBlocks(lowering, tensor)) {
    LATHE_ASSIGN(const Blocks blocks, BlocksOf(lowering, tensor));
    Scales scales;
    scales.n = lowering.Elements(tensor);
    scales.inner = blocks.size;
    scales.channels = std::max<size_t>(scales.n / blocks.size, 1);
    for (size_t i = 0; i < scales.channels && scales.n > 0; ++i) {
      scales.scale.push_back(blocks.Scale(i));
      scales.zero.push_back(blocks.Zero(i));
    }
    return scales;
  }
  const graph::Quantization* q = lowering.QuantizationOf(tensor);
  if (q == nullptr || q->scale.empty()) {
    return Invalid("tensor {} \"{}\" {} has no scale", tensor,
                   lowering.NameOf(tensor), Name(lowering.TypeOf(tensor)));
  }
  Scales scales;
  scales.scale = q->scale;
  scales.n = lowering.Elements(tensor);
  scales.channels = q->scale.size();
  LATHE_ASSIGN(scales.zero, ZeroPointsOf(lowering, tensor));
  if (scales.channels > 1) {
    const graph::Shape& shape = lowering.ShapeOf(tensor);
    const size_t axis = shape.size() == 1 ? 0 : static_cast<size_t>(q->axis);
    if (axis >= shape.size() ||
        static_cast<size_t>(shape[axis]) != scales.channels) {
      return Invalid("tensor {} \"{}\": {} scales along axis {} of {}", tensor,
                     lowering.NameOf(tensor), scales.channels, q->axis,
                     graph::ToString(shape));
    }
    for (size_t i = axis + 1; i < shape.size(); ++i) {
      scales.inner *= static_cast<size_t>(shape[i]);
    }
    scales.inner = std::max<size_t>(scales.inner, 1);
  }
  return scales;
}

Status PrepareDequantize(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const kernels::QuantizedKernels& kernels =
      kernels::ChooseQuantized(lowering.options().isa);
  const Type type = lowering.TypeOf(x);
  const Stored stored = *StoredOf(type);
  Scales scales;
  scales.n = lowering.Elements(x);
  std::string how = std::string(Name(type));
  if (type != Type::kFloat16 && type != Type::kBfloat16) {
    LATHE_ASSIGN(scales, ScalesOf(lowering, x));
    how += fmt::format(" {} {} ", scales.channels, scales.inner);
    const graph::Quantization& q = *lowering.QuantizationOf(x);
    if (HasBlocks(lowering, x)) {
      how += fmt::format("blocks {} {}", q.scales_tensor, q.zero_points_tensor);
    } else {
      how += fmt::format("{:a} {}", fmt::join(scales.scale, ","),
                         fmt::join(scales.zero, ","));
    }
  }
  if (lowering.IsConstant(x)) {
    lowering.MakeConstant(
        y, x, "float32 of " + how,
        [=, &kernels](std::span<const std::byte> from,
                      std::span<std::byte> to) {
          // The file promises no alignment.
          std::vector<std::byte> copy;
          if (reinterpret_cast<uintptr_t>(from.data()) % 2 != 0) {
            copy.assign(from.begin(), from.end());
            from = copy;
          }
          kernels::Dequantize(kernels, stored, scales.Get(), from.data(),
                              reinterpret_cast<float*>(to.data()));
        });
    return {};
  }
  Step step;
  step.name = "DEQUANTIZE";
  step.kernel = kernels.name;
  step.inputs = {x};
  step.outputs = {y};
  step.run = [=, &kernels](const StepContext& context) -> Status {
    kernels::RunDequantize(kernels, stored, scales.Get(), context.tensors[x],
                           context.As<float>(y), *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareQuantize(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const kernels::QuantizedKernels& kernels =
      kernels::ChooseQuantized(lowering.options().isa);
  LATHE_ASSIGN(const Scales scales, ScalesOf(lowering, y));
  const Stored stored = *StoredOf(lowering.TypeOf(y));
  Step step;
  step.name = "QUANTIZE";
  step.kernel = kernels.name;
  step.inputs = {x};
  step.outputs = {y};
  step.run = [=, &kernels](const StepContext& context) -> Status {
    kernels::RunQuantize(kernels, stored, scales.Get(), context.As<float>(x),
                         context.tensors[y], *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// QUANTIZE from integers to integers.
Status PrepareRequantize(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_ASSIGN(const Lowering::Affine from, lowering.AffineOf(x));
  LATHE_ASSIGN(const Lowering::Affine to, lowering.AffineOf(y));
  kernels::Requantization how;
  how.multiplier = kernels::MultiplierOf(static_cast<double>(from.scale) /
                                         static_cast<double>(to.scale));
  how.x_zero = from.zero_point;
  how.y_zero = to.zero_point;
  const kernels::Integer x_type = *IntegerOf(lowering.TypeOf(x));
  const kernels::Integer y_type = *IntegerOf(lowering.TypeOf(y));
  const size_t n = lowering.Elements(y);
  Step step;
  step.name = "QUANTIZE";
  step.kernel = "requantize";
  step.inputs = {x};
  step.outputs = {y};
  step.may_overwrite = x;
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunRequantize(x_type, y_type, how, n, context.tensors[x],
                           context.tensors[y], *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// Sparse constants are dense for everyone (Lowering), so nothing is left to do.
Status PrepareDensify(Lowering& lowering, const Node& node) {
  if (!lowering.IsConstant(node.inputs[0])) {
    return Unsupported("its input \"{}\" is not a constant",
                       lowering.NameOf(node.inputs[0]));
  }
  lowering.Alias(node.outputs[0], node.inputs[0]);
  return {};
}

bool ToFloat32(const OpTypes& types) {
  return types.Out(0).type == Type::kFloat32;
}
bool ToInteger(const OpTypes& types) {
  return IntegerOf(types.Out(0).type).has_value();
}
bool FromFloat32(const OpTypes& types) {
  return types.In(0).type == Type::kFloat32;
}
bool KeepsType(const OpTypes& types) {
  return types.In(0).type == types.Out(0).type;
}

constexpr TypeMask kStored =
    Types({Type::kInt8, Type::kUint8, Type::kInt16, Type::kInt4, Type::kUint4,
           Type::kInt2, Type::kFloat16, Type::kBfloat16});

constexpr OpRow kRows[] = {
    {OpCode::kDequantize, PrepareDequantize, kStored, 0, ToFloat32,
     "to float32"},
    {OpCode::kQuantize, PrepareQuantize,
     Types(
         {Type::kInt8, Type::kUint8, Type::kInt16, Type::kInt4, Type::kUint4}),
     -1, FromFloat32, "from float32"},
    {OpCode::kQuantize, PrepareRequantize,
     Types({Type::kInt8, Type::kUint8, Type::kInt16, Type::kInt32}), 0,
     ToInteger, "to int8, uint8, int16 or int32"},
    {OpCode::kDensify, PrepareDensify,
     kMovable | Types({Type::kInt4, Type::kInt2}), -1, KeepsType,
     "input of the same type"},
};

}  // namespace

std::span<const OpRow> ConvertRows() { return kRows; }

}  // namespace lathe::plan
