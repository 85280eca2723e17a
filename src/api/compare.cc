// The public face of report/: two values of one tensor.

#include "lathe/compare.hpp"

#include <algorithm>

#include "src/report/compare.h"

namespace lathe {

Tolerance DefaultTolerance(ElementType type) {
  switch (type) {
    case ElementType::kFloat32:
    case ElementType::kFloat64:
    case ElementType::kComplex64:
    case ElementType::kComplex128:
      return {.of_largest = 2e-5};
    case ElementType::kFloat16:
      return {.of_largest = 2e-3};
    case ElementType::kBfloat16:
      return {.of_largest = 2e-2};
    default:
      return {};
  }
}

TensorDifference Compare(const TensorValue& a, const TensorValue& b,
                         const Tolerance& tolerance) {
  return report::CompareValues(a, b, tolerance);
}

std::vector<std::optional<size_t>> PartnersOf(std::span<const TensorInfo> a,
                                              std::span<const TensorInfo> b) {
  std::vector<std::optional<size_t>> partners;
  for (const TensorInfo& info : a) {
    const auto found = std::ranges::find(b, info.name, &TensorInfo::name);
    if (found != b.end()) {
      partners.push_back(static_cast<size_t>(found - b.begin()));
    }
  }
  std::vector<std::optional<size_t>> sorted = partners;
  std::ranges::sort(sorted);
  const bool by_name = partners.size() == a.size() &&
                       std::ranges::adjacent_find(sorted) == sorted.end();
  if (by_name) return partners;
  partners.clear();
  for (size_t i = 0; i < a.size(); ++i) {
    partners.push_back(i < b.size() ? std::optional(i) : std::nullopt);
  }
  return partners;
}

}  // namespace lathe
