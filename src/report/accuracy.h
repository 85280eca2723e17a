// How far values are from what they should be: the body of the metrics in
// lathe/validate.hpp.

#ifndef LATHE_REPORT_ACCURACY_H_
#define LATHE_REPORT_ACCURACY_H_

#include <span>
#include <vector>

#include "lathe/validate.hpp"
#include "src/base/thread_pool.h"

namespace lathe::report {

// The formulas stand at Accuracy; sums are in double. r and t are of one size.
// The result does not depend on the threads. `scratch` is resized to hold a
// float for each value. The pool may be null. How many of t are not finite is
// added to `not_finite`, which may be null. Cost: below 11 ns for each value
// on one thread (AVX-512, a busy machine).
Accuracy MeasureAccuracy(std::span<const float> r, std::span<const float> t,
                         ThreadPool* pool, std::vector<float>& scratch,
                         uint64_t* not_finite = nullptr);

// The middle of the values, the mean of the two middle ones of an even number;
// 0 without any. None may be negative or NaN. Reorders them.
double MedianOf(std::span<float> values, ThreadPool* pool = nullptr);

// Adds one comparison to a mean over `comparisons` and to the worst.
void AddComparison(const Accuracy& one, uint64_t comparisons, Accuracy& mean,
                   Accuracy& worst);

}  // namespace lathe::report

#endif  // LATHE_REPORT_ACCURACY_H_
