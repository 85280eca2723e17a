#include "src/plan/operands.h"

#include <cstring>
#include <string>

namespace lathe::plan {

using graph::Type;
using kernels::Number;

std::optional<Number> NumberOf(Type type) {
  switch (type) {
    case Type::kFloat32:
      return Number::kFloat32;
    case Type::kFloat64:
      return Number::kFloat64;
    case Type::kFloat16:
      return Number::kFloat16;
    case Type::kBfloat16:
      return Number::kBfloat16;
    case Type::kInt8:
      return Number::kInt8;
    case Type::kUint8:
      return Number::kUint8;
    case Type::kInt16:
      return Number::kInt16;
    case Type::kUint16:
      return Number::kUint16;
    case Type::kInt32:
      return Number::kInt32;
    case Type::kUint32:
      return Number::kUint32;
    case Type::kInt64:
      return Number::kInt64;
    case Type::kUint64:
      return Number::kUint64;
    case Type::kBool:
      return Number::kBool;
    case Type::kComplex64:
      return Number::kComplex64;
    default:
      return std::nullopt;
  }
}

Status NeedType(const Lowering& lowering, int32_t tensor, Type type) {
  if (tensor < 0) return Invalid("an operand of {} is left out", Name(type));
  if (lowering.TypeOf(tensor) == type) return {};
  return Invalid("tensor {} \"{}\" is {}; it must be {}", tensor,
                 lowering.NameOf(tensor), Name(lowering.TypeOf(tensor)),
                 Name(type));
}

Status NeedSameType(const Lowering& lowering, int32_t a, int32_t b) {
  if (a < 0) return Invalid("an operand is left out");
  return NeedType(lowering, b, lowering.TypeOf(a));
}

Status NeedIndices(const Lowering& lowering, int32_t tensor) {
  if (tensor < 0) return Invalid("the indices are left out");
  switch (lowering.TypeOf(tensor)) {
    case Type::kInt8:
    case Type::kUint8:
    case Type::kInt16:
    case Type::kInt32:
    case Type::kInt64:
      return {};
    default:
      return Invalid("tensor {} \"{}\" is {}; it must hold integers", tensor,
                     lowering.NameOf(tensor), Name(lowering.TypeOf(tensor)));
  }
}

Result<size_t> CheckedAxis(int64_t axis, size_t rank) {
  const auto limit = static_cast<int64_t>(rank);
  if (axis >= -limit && axis < limit) {
    return static_cast<size_t>(axis < 0 ? axis + limit : axis);
  }
  return Invalid("axis {}; allowed: -{} to {}", axis, limit, limit - 1);
}

int64_t IndexAt(Type type, const std::byte* values, size_t i) {
  const auto read = [&]<typename T>(T value) -> int64_t {
    std::memcpy(&value, values + i * sizeof(T), sizeof(T));
    return value;
  };
  switch (type) {
    case Type::kInt8:
      return read(int8_t{});
    case Type::kUint8:
      return read(uint8_t{});
    case Type::kInt16:
      return read(int16_t{});
    case Type::kInt64:
      return read(int64_t{});
    default:
      return read(int32_t{});
  }
}

void LoadIndices(Type type, const std::byte* from, std::span<int64_t> to) {
  for (size_t i = 0; i < to.size(); ++i) to[i] = IndexAt(type, from, i);
}

std::unexpected<Error> BadRow(size_t row, std::span<const int64_t> indices,
                              std::span<const int32_t> dims) {
  std::string found;
  for (size_t d = 0; d < dims.size(); ++d) {
    found += fmt::format("{}{}", d ? "," : "", indices[row * dims.size() + d]);
  }
  return Invalid("row {} of the indices is [{}]; it must lie in {}", row, found,
                 graph::ToString(dims));
}

size_t ElementBytes(const Lowering& lowering, int32_t tensor) {
  return graph::BitsPerElement(lowering.TypeOf(tensor)) / 8;
}

size_t Product(std::span<const int32_t> dims) {
  size_t product = 1;
  for (const int32_t dim : dims) product *= static_cast<size_t>(dim);
  return product;
}

Step StepOf(const Node& node) {
  Step step;
  step.name = Name(node.op->code);
  step.inputs = node.inputs;
  step.outputs = node.outputs;
  return step;
}

bool NotQuantized(const OpTypes& types) {
  const auto scaled = [](const graph::Tensor& tensor) {
    const bool narrow = tensor.type == Type::kInt8 ||
                        tensor.type == Type::kUint8 ||
                        tensor.type == Type::kInt16;
    return narrow && tensor.quantization && !tensor.quantization->scale.empty();
  };
  return types.Has(0) && !scaled(types.In(0)) && !scaled(types.Out(0));
}

}  // namespace lathe::plan
