// Two values of one tensor, element by element: the body of
// lathe/compare.hpp.

#ifndef LATHE_REPORT_COMPARE_H_
#define LATHE_REPORT_COMPARE_H_

#include "lathe/compare.hpp"

namespace lathe::report {

TensorDifference CompareValues(const TensorValue& a, const TensorValue& b,
                               const Tolerance& tolerance);

}  // namespace lathe::report

#endif  // LATHE_REPORT_COMPARE_H_
