#include "src/plan/copies.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "src/kernels/elementwise/typed.h"
#include "src/plan/operands.h"

namespace lathe::plan {
namespace {

void Repeat(std::span<const std::byte> element, std::byte* to, size_t bytes) {
  if (std::ranges::all_of(element,
                          [&](std::byte b) { return b == element[0]; })) {
    std::memset(to, static_cast<int>(element[0]), bytes);
    return;
  }
  for (size_t at = 0; at + element.size() <= bytes; at += element.size()) {
    std::memcpy(to + at, element.data(), element.size());
  }
}

}  // namespace

kernels::Narrow NarrowOf(graph::Type type) {
  return {graph::BitsPerElement(type), type != graph::Type::kUint4};
}

bool IsNarrow(const Lowering& lowering, int32_t tensor) {
  return ElementBytes(lowering, tensor) == 0;
}

void AddCopies(Lowering& lowering, const Node& node, std::vector<Copy> copies,
               int32_t y, Fill fill, kernels::Activation activation) {
  Step step;
  step.name = Name(node.op->code);
  const bool narrow = ElementBytes(lowering, y) == 0;
  const size_t element = narrow ? 1 : ElementBytes(lowering, y);
  const size_t elements = lowering.Elements(y);
  const size_t bytes = elements * element;
  std::vector<size_t> sizes;
  size_t most = 0;
  for (Copy& copy : copies) {
    copy.loops.element_bytes = element;
    copy.loops = kernels::Simplify(copy.loops);
    step.inputs.push_back(copy.from);
    sizes.push_back(lowering.Elements(copy.from));
    most = std::max(most, sizes.back());
  }
  if (fill.tensor >= 0) step.inputs.push_back(fill.tensor);
  step.outputs = {y};
  if (narrow) step.scratch_bytes = elements + most;
  const kernels::Narrow type = NarrowOf(lowering.TypeOf(y));
  const kernels::Number number =
      NumberOf(lowering.TypeOf(y)).value_or(kernels::Number::kUint8);
  step.run = [=, copies = std::move(copies),
              fill = std::move(fill)](const StepContext& context) -> Status {
    std::byte* to = narrow ? context.scratch : context.tensors[y];
    if (fill.tensor >= 0 && bytes > 0) {
      Repeat({context.tensors[fill.tensor], element}, to, bytes);
    } else if (!fill.bytes.empty() && bytes > 0) {
      Repeat(fill.bytes, to, bytes);
    }
    for (size_t i = 0; i < copies.size(); ++i) {
      const std::byte* from = context.tensors[copies[i].from];
      if (narrow) {
        kernels::Unpack(type, sizes[i], from, to + elements);
        from = to + elements;
      }
      kernels::RunCopy(copies[i].loops, from, to, *context.pool);
    }
    if (narrow) kernels::Pack(type, elements, to, context.tensors[y]);
    kernels::RunClamp(number, activation, elements, context.tensors[y],
                      *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
}

std::array<ptrdiff_t, kernels::kMaxCopyRank> StridesOf(
    const graph::Shape& shape) {
  std::array<ptrdiff_t, kernels::kMaxCopyRank> strides{};
  kernels::RowMajorStrides(shape, strides.data());
  return strides;
}

std::vector<std::byte> ZeroOf(const Lowering& lowering, int32_t tensor) {
  std::vector<std::byte> zero(
      std::max<size_t>(1, ElementBytes(lowering, tensor)));
  const graph::Quantization* q = lowering.QuantizationOf(tensor);
  const graph::Type type = lowering.TypeOf(tensor);
  const bool narrow = type == graph::Type::kInt8 ||
                      type == graph::Type::kUint8 ||
                      type == graph::Type::kInt16;
  if (narrow && q != nullptr && q->zero_point.size() == 1) {
    std::memcpy(zero.data(), &q->zero_point[0],
                std::min(zero.size(), sizeof(int64_t)));
  }
  return zero;
}

}  // namespace lathe::plan
