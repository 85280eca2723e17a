// Elements of any type as real numbers.

#ifndef LATHE_REPORT_REAL_VALUES_H_
#define LATHE_REPORT_REAL_VALUES_H_

#include <cstddef>
#include <span>
#include <vector>

#include "lathe/compare.hpp"

namespace lathe::report {

// How to read element i of a type as it is stored; null for types that hold no
// numbers. Complex types are pairs.
using Reader = double (*)(std::span<const std::byte>, size_t);
Reader ReaderOf(ElementType type);

// Reads element i as a real number.
class RealReader {
 public:
  explicit RealReader(const TensorValue& value)
      : value_(value), read_(ReaderOf(value.info.type)) {
    const std::vector<int32_t>& shape = value.info.shape;
    if (scales().size() > 1) {
      const auto axis = static_cast<size_t>(value.info.quantization.axis);
      for (size_t d = axis + 1; d < shape.size(); ++d) {
        inner_ *= static_cast<size_t>(shape[d]);
      }
    }
  }

  double operator()(size_t i) const {
    const double stored = read_(value_.bytes, i);
    if (scales().empty()) return stored;
    const size_t at = i / inner_ % scales().size();
    const auto& zero_points = value_.info.quantization.zero_points;
    const int64_t zero_point = zero_points.empty()       ? 0
                               : zero_points.size() == 1 ? zero_points[0]
                                                         : zero_points[at];
    return static_cast<double>(scales()[at]) *
           (stored - static_cast<double>(zero_point));
  }

 private:
  const std::vector<float>& scales() const {
    return value_.info.quantization.scales;
  }
  const TensorValue& value_;
  Reader read_;
  size_t inner_ = 1;
};

// All elements of a tensor, which has that many bytes, as floats, in row-major
// order: integers as scale * (q - zero_point) where the tensor is quantized. A
// float32 tensor's own memory is given back, others are written into `space`.
// Empty for types without numbers and for complex ones. 1 to 3 ns for an
// element of a plain type.
std::span<const float> RealValues(const TensorValue& value,
                                  std::vector<float>& space);

}  // namespace lathe::report

#endif  // LATHE_REPORT_REAL_VALUES_H_
