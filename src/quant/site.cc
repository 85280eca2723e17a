#include "src/quant/site.h"

#include <algorithm>

namespace lathe::quant {

const graph::Tensor* Site::InputOf(int32_t i) const {
  if (static_cast<size_t>(i) >= inputs.size() || inputs[i] < 0) {
    return nullptr;
  }
  return &TensorAt(inputs[i]);
}

bool Site::IsRotating() const {
  return rule->algorithm == Algorithm::kHadamard ||
         rule->algorithm == Algorithm::kDecomposedHadamard;
}

bool Site::IsSmall(const graph::Tensor& weight) const {
  return rule->algorithm != Algorithm::kFloatCasting && !IsRotating() &&
         rule->algorithm != Algorithm::kOscar && IsConstant(weight) &&
         graph::ElementCount(weight.shape) <
             static_cast<uint64_t>(config().min_weight_elements);
}

std::string Site::Where() const {
  const std::string_view name = Name(target);
  std::string at = op == kBoundary ? std::string(name)
                                   : fmt::format("operator {} {}", op, name);
  if (subgraph > 0) at = fmt::format("subgraph {} {}", subgraph, at);
  return at;
}

void Problems::Add(const Site& site, const graph::Tensor* tensor,
                   const std::string& message) {
  all_.push_back(tensor == nullptr
                     ? fmt::format("{}: {}", site.Where(), message)
                     : fmt::format("{}, tensor \"{}\": {}", site.Where(),
                                   tensor->name, message));
}

bool Problems::Has(const Site& site) const {
  const std::string where = site.Where();
  return std::ranges::any_of(all_, [&](const std::string& problem) {
    return problem.starts_with(where);
  });
}

}  // namespace lathe::quant
