#include "src/plan/prepare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

namespace lathe::plan {

Result<kernels::Activation> ActivationOf(const graph::Options& options) {
  const int64_t value = options.Int("fused_activation_function");
  if (value < 0 || value > 3) {
    return Unsupported("fused activation {} has no kernel", value);
  }
  return static_cast<kernels::Activation>(value);
}

FusedActivation LateActivationOf(const graph::Options& options) {
  switch (options.Int("fused_activation_function")) {
    case 4:
      return FusedActivation::kTanh;
    case 5:
      return FusedActivation::kSignBit;
    default:
      return FusedActivation::kNone;
  }
}

void ApplyLate(FusedActivation late, size_t n, float* y) {
  if (late == FusedActivation::kTanh) {
    for (size_t i = 0; i < n; ++i) y[i] = std::tanh(y[i]);
  } else if (late == FusedActivation::kSignBit) {
    for (size_t i = 0; i < n; ++i) y[i] = std::signbit(y[i]) ? 1.0f : 0.0f;
  }
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

Status CheckMatrices(const graph::Shape& shape) {
  constexpr uint64_t kMost = uint64_t{1} << 22;
  const size_t front = shape.size() < 2 ? 0 : shape.size() - 2;
  const uint64_t matrices = graph::ElementCount(std::span(shape).first(front));
  if (matrices <= kMost) return {};
  return Unsupported("{} matrices, limit {}", matrices, kMost);
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

bool KeepsType(const OpTypes& types) {
  return types.Has(0) && types.In(0).type == types.Out(0).type;
}

size_t AxisOf(int64_t axis, size_t rank) {
  return static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(rank)
                                      : axis);
}

}  // namespace lathe::plan
