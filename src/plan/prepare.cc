#include "src/plan/prepare.h"

#include <algorithm>
#include <cstring>

namespace lathe::plan {

Result<kernels::Activation> ActivationOf(const graph::Options& options) {
  const int64_t value = options.Int("fused_activation_function");
  if (value < 0 || value > 3) {
    return Unsupported("fused activation {} has no kernel", value);
  }
  return static_cast<kernels::Activation>(value);
}

Status NeedFloat(const Lowering& lowering, const Node& node) {
  for (const auto* list : {&node.inputs, &node.outputs}) {
    for (const int32_t t : *list) {
      if (t < 0) continue;
      const graph::Type type = lowering.TypeOf(t);
      const bool size =
          type == graph::Type::kInt32 || type == graph::Type::kInt64;
      if (type == graph::Type::kFloat32 || (size && list == &node.inputs)) {
        continue;
      }
      return Unsupported("no kernel for {} (tensor \"{}\")", Name(type),
                         lowering.NameOf(t));
    }
  }
  return {};
}

bool FloatOperands(const OpTypes& types) {
  for (size_t i = 0; i < types.op.inputs.size(); ++i) {
    if (!types.Has(i)) continue;
    const graph::Type type = types.In(i).type;
    if (type != graph::Type::kFloat32 && type != graph::Type::kInt32 &&
        type != graph::Type::kInt64) {
      return false;
    }
  }
  return true;
}

std::vector<std::byte> ZeroOf(const Lowering& lowering, int32_t tensor) {
  std::vector<std::byte> zero(
      std::max<size_t>(1, graph::BitsPerElement(lowering.TypeOf(tensor)) / 8));
  const graph::Quantization* q = lowering.QuantizationOf(tensor);
  const graph::Type type = lowering.TypeOf(tensor);
  const bool narrow = type == graph::Type::kInt8 ||
                      type == graph::Type::kUint8 ||
                      type == graph::Type::kInt16;
  if (narrow && q != nullptr && q->zero_point.size() == 1) {
    std::memcpy(zero.data(), &q->zero_point[0], zero.size());
  }
  return zero;
}

size_t AxisOf(int64_t axis, size_t rank) {
  return static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(rank)
                                      : axis);
}

}  // namespace lathe::plan
