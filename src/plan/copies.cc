#include "src/plan/copies.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

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

size_t ElementBytes(const Lowering& lowering, int32_t tensor) {
  return graph::BitsPerElement(lowering.TypeOf(tensor)) / 8;
}

void AddFilledCopies(Lowering& lowering, const Node& node,
                     std::vector<Copy> copies, int32_t y, Fill fill) {
  Step step;
  step.name = Name(node.op->code);
  const size_t element = ElementBytes(lowering, y);
  for (Copy& copy : copies) {
    copy.loops.element_bytes = element;
    copy.loops = kernels::Simplify(copy.loops);
    step.inputs.push_back(copy.from);
  }
  if (fill.tensor >= 0) step.inputs.push_back(fill.tensor);
  step.outputs = {y};
  const size_t bytes = lowering.plan().tensors[y].bytes;
  step.run = [=, copies = std::move(copies),
              fill = std::move(fill)](const StepContext& context) -> Status {
    std::byte* to = context.tensors[y];
    if (fill.tensor >= 0 && bytes > 0) {
      Repeat({context.tensors[fill.tensor], element}, to, bytes);
    } else if (!fill.bytes.empty() && bytes > 0) {
      Repeat(fill.bytes, to, bytes);
    }
    for (const Copy& copy : copies) {
      kernels::RunCopy(copy.loops, context.tensors[copy.from], to,
                       *context.pool);
    }
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
  std::vector<std::byte> zero(ElementBytes(lowering, tensor));
  const graph::Quantization* q = lowering.QuantizationOf(tensor);
  if (q != nullptr && q->zero_point.size() == 1) {
    std::memcpy(zero.data(), &q->zero_point[0],
                std::min(zero.size(), sizeof(int64_t)));
  }
  return zero;
}

}  // namespace lathe::plan
