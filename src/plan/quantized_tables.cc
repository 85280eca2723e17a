#include <cstring>

#include "src/base/half.h"
#include "src/kernels/movement/narrow.h"
#include "src/kernels/quantized/requantize.h"
#include "src/plan/operands.h"
#include "src/plan/prepare_quantized.h"

namespace lathe::plan {

using graph::Type;
using kernels::FinishRows;
using kernels::Integer;

std::optional<Integer> IntegerOf(Type type) {
  switch (type) {
    case Type::kInt8:
      return Integer::kInt8;
    case Type::kUint8:
      return Integer::kUint8;
    case Type::kInt16:
      return Integer::kInt16;
    case Type::kInt32:
      return Integer::kInt32;
    default:
      return std::nullopt;
  }
}

Result<std::vector<int32_t>> ZeroPointsOf(const Lowering& lowering,
                                          int32_t tensor) {
  const graph::Quantization& q = *lowering.QuantizationOf(tensor);
  const size_t count = q.scale.size(), zeros = q.zero_point.size();
  if (zeros > 1 && zeros != count) {
    return Invalid("tensor {} \"{}\": {} scales but {} zero points", tensor,
                   lowering.NameOf(tensor), count, zeros);
  }
  std::vector<int32_t> list(count, 0);
  for (size_t i = 0; i < count && zeros > 0; ++i) {
    list[i] = static_cast<int32_t>(q.zero_point[zeros == 1 ? 0 : i]);
  }
  return list;
}

Result<QuantizedWeights> WeightsOf(const Lowering& lowering, int32_t w,
                                   size_t n, size_t channels) {
  const graph::Quantization* q = lowering.QuantizationOf(w);
  if (q == nullptr || q->scale.empty()) {
    return Invalid("weights \"{}\" {} have no scale", lowering.NameOf(w),
                   Name(lowering.TypeOf(w)));
  }
  const graph::Shape& shape = lowering.ShapeOf(w);
  QuantizedWeights weights;
  weights.per_channel = q->scale.size() > 1;
  LATHE_ASSIGN(const std::vector<int32_t> zeros, ZeroPointsOf(lowering, w));
  if (!weights.per_channel) {
    weights.scales.assign(n, q->scale[0]);
    weights.zero = zeros[0];
  } else {
    if (q->scale.size() != n || static_cast<size_t>(q->axis) != channels) {
      return Invalid(
          "weights \"{}\" {} have {} scales along axis {}; allowed is one, or "
          "{} along axis {}",
          lowering.NameOf(w), graph::ToString(shape), q->scale.size(), q->axis,
          n, channels);
    }
    for (const int32_t zero : zeros) {
      if (zero != 0) {
        return Invalid(
            "weights \"{}\" have zero point {}; with a scale per channel only "
            "0 is allowed",
            lowering.NameOf(w), zero);
      }
    }
    weights.scales = q->scale;
  }
  weights.flip = lowering.TypeOf(w) == Type::kUint8;
  if (weights.flip) weights.zero -= 128;
  return weights;
}

float Blocks::Scale(size_t i) const {
  if (scale_type == Type::kFloat32) {
    float scale;
    std::memcpy(&scale, scales + i * sizeof(scale), sizeof(scale));
    return scale;
  }
  uint16_t bits;
  std::memcpy(&bits, scales + i * sizeof(bits), sizeof(bits));
  return scale_type == Type::kFloat16 ? HalfToFloat(bits) : Bf16ToFloat(bits);
}

int32_t Blocks::Zero(size_t i) const {
  return zeros ? static_cast<int32_t>(IndexAt(zero_type, zeros, i)) : 0;
}

bool HasBlocks(const Lowering& lowering, int32_t tensor) {
  const graph::Quantization* q = lowering.QuantizationOf(tensor);
  return q != nullptr && q->details == graph::Quantization::Details::kBlockwise;
}

Result<Blocks> BlocksOf(const Lowering& lowering, int32_t tensor) {
  const graph::Quantization& q = *lowering.QuantizationOf(tensor);
  Blocks blocks;
  blocks.size = static_cast<size_t>(q.block_size);
  const graph::Shape& shape = lowering.ShapeOf(tensor);
  if (shape.empty() || shape.back() % q.block_size != 0) {
    return Invalid("block size {}; it must divide the last axis of \"{}\" {}",
                   blocks.size, lowering.NameOf(tensor),
                   graph::ToString(shape));
  }
  const size_t count = lowering.Elements(tensor) / blocks.size;
  const auto fits = [&](int32_t from, TypeMask types) {
    return lowering.IsConstant(from) && lowering.Elements(from) == count &&
           (types & Types({lowering.TypeOf(from)})) != 0;
  };
  const auto wrong = [&](std::string_view what, int32_t from,
                         std::string_view allowed) {
    return Invalid("{} of \"{}\" are \"{}\" {}{}; needed are {} constant {}",
                   what, lowering.NameOf(tensor), lowering.NameOf(from),
                   Name(lowering.TypeOf(from)),
                   graph::ToString(lowering.ShapeOf(from)), count, allowed);
  };
  constexpr TypeMask kFloats =
      Types({Type::kFloat16, Type::kBfloat16, Type::kFloat32});
  if (!fits(q.scales_tensor, kFloats)) {
    return wrong("scales", q.scales_tensor, "16- or 32-bit floats");
  }
  blocks.scale_type = lowering.TypeOf(q.scales_tensor);
  blocks.scales = lowering.ConstantBytes(q.scales_tensor).data();
  constexpr TypeMask kZeros = Types(
      {Type::kInt8, Type::kUint8, Type::kInt16, Type::kInt32, Type::kInt64});
  const int32_t zeros = q.zero_points_tensor;
  // A file that leaves the field out says 0 too.
  if (zeros < 0 || (zeros == 0 && !fits(zeros, kZeros))) return blocks;
  if (!fits(zeros, kZeros)) {
    return wrong("zero points", zeros, "int8, uint8, int16, int32 or int64");
  }
  blocks.zero_type = lowering.TypeOf(zeros);
  blocks.zeros = lowering.ConstantBytes(zeros).data();
  const Type type = lowering.TypeOf(tensor);
  const int64_t range = int64_t{1} << graph::BitsPerElement(type);
  const bool is_signed = type != Type::kUint8 && type != Type::kUint4;
  const int64_t lowest = is_signed ? -range / 2 : 0;
  const int64_t highest = lowest + range - 1;
  for (size_t i = 0; i < count; ++i) {
    const int64_t zero = IndexAt(blocks.zero_type, blocks.zeros, i);
    if (zero < lowest || zero > highest) {
      return Invalid("zero point {} of \"{}\" is {}; {} allows {} to {}", i,
                     lowering.NameOf(tensor), zero, Name(type), lowest,
                     highest);
    }
  }
  return blocks;
}

Result<Tables> TablesOf(const Lowering& lowering, const IntegerOutput& what,
                        const QuantizedWeights& weights) {
  LATHE_ASSIGN(const Lowering::Affine x, lowering.AffineOf(what.x));
  LATHE_ASSIGN(const Lowering::Affine y, lowering.AffineOf(what.y));
  const Type x_type = lowering.TypeOf(what.x);
  const Type y_type = lowering.TypeOf(what.y);
  if (x_type == Type::kInt16 && (x.zero_point != 0 || y.zero_point != 0)) {
    return Invalid(
        "zero points {} of \"{}\" and {} of \"{}\"; 16-bit activations allow "
        "only 0",
        x.zero_point, lowering.NameOf(what.x), y.zero_point,
        lowering.NameOf(what.y));
  }
  auto tables = std::make_shared<OutputTables>();
  kernels::Output& output = tables->output;
  output.kind =
      what.wide ? FinishRows::Kind::kWide : FinishRows::Kind::kRequantize;
  output.type = *IntegerOf(y_type);
  if (what.bias >= 0) {
    const Type type = lowering.TypeOf(what.bias);
    if (type != Type::kInt32 && (type != Type::kInt64 || !what.wide)) {
      return Invalid("bias \"{}\" is {}; allowed is int32{}",
                     lowering.NameOf(what.bias), Name(type),
                     what.wide ? " or int64" : "");
    }
    output.wide_bias = type == Type::kInt64;
  }
  for (const float scale : weights.scales) {
    const double product = what.float_product
                               ? static_cast<double>(x.scale * scale)
                               : static_cast<double>(x.scale) * scale;
    const kernels::Multiplier multiplier =
        kernels::MultiplierOf(product / static_cast<double>(y.scale));
    tables->multiplier.push_back(multiplier.value);
    tables->shift.push_back(multiplier.shift);
  }
  int32_t low = -128, high = 127;
  if (y_type == Type::kUint8) {
    low = 0;
    high = 255;
  } else if (y_type == Type::kInt16) {
    low = -32768;
    high = 32767;
  }
  const kernels::IntegerRange range =
      kernels::RangeOf(what.activation, y.scale, y.zero_point, low, high);
  output.zero_point = y.zero_point;
  output.low = range.low;
  output.high = range.high;
  output.multiplier = tables->multiplier.data();
  output.shift = tables->shift.data();
  return tables;
}

Result<Tables> FloatTablesOf(const Lowering& lowering, int32_t bias,
                             kernels::Activation activation,
                             const QuantizedWeights& weights) {
  if (bias >= 0 && lowering.TypeOf(bias) != Type::kFloat32) {
    return Invalid("bias \"{}\" is {}; allowed is float32",
                   lowering.NameOf(bias), Name(lowering.TypeOf(bias)));
  }
  auto tables = std::make_shared<OutputTables>();
  tables->scales = weights.scales;
  tables->output.kind = FinishRows::Kind::kFloat;
  tables->output.clamp = kernels::ClampOf(activation);
  tables->output.scales = tables->scales.data();
  return tables;
}

bool SumsWide(const Lowering& lowering, const Node& node, int32_t bias,
              bool without) {
  if (bias >= 0) return lowering.TypeOf(bias) == Type::kInt64;
  const auto type =
      static_cast<Type>(node.op->options.Int("quantized_bias_type"));
  if (type == Type::kInt32) return false;
  return type == Type::kInt64 || without;
}

PlainWeights PlainWeightsOf(std::span<const std::byte> bytes, Type type,
                            size_t n) {
  PlainWeights plain;
  const size_t bits = graph::BitsPerElement(type);
  if (bits == 8) {
    plain.data = reinterpret_cast<const int8_t*>(bytes.data());
    return plain;
  }
  plain.unpacked.resize(n);
  kernels::Unpack({bits, true}, n, bytes.data(),
                  reinterpret_cast<std::byte*>(plain.unpacked.data()));
  plain.data = plain.unpacked.data();
  return plain;
}

}  // namespace lathe::plan
