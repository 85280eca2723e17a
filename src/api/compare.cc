// The public face of report/: two values of one tensor.

#include "lathe/compare.hpp"

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

}  // namespace lathe
