// The public face of report/: two values of one tensor.

#include "lathe/compare.hpp"

#include "src/report/compare.h"

namespace lathe {

TensorDifference Compare(const TensorValue& a, const TensorValue& b,
                         const Tolerance& tolerance) {
  return report::CompareValues(a, b, tolerance);
}

}  // namespace lathe
