// How far two values of a tensor are apart.

#ifndef LATHE_COMPARE_HPP_
#define LATHE_COMPARE_HPP_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lathe/lathe.hpp"

namespace lathe {

// A value with what its bytes mean; of STRING tensors `strings` counts.
struct TensorValue {
  TensorInfo info;
  std::span<const std::byte> bytes;
  std::vector<std::string> strings;
};

// An element is within it when
//   |a - b| <= absolute + relative * |b| + of_largest * max |b|.
struct Tolerance {
  double absolute = 0, relative = 0;
  double of_largest = 0;  // The largest finite |b| of the tensor.
};

// What Lathe's own tests allow between instruction sets: floats 2e-5 of the
// largest (float16 2e-3, bfloat16 2e-2), everything else nothing.
LATHE_EXPORT Tolerance DefaultTolerance(ElementType type);

struct TensorDifference {
  // Not empty: why nothing could be compared (the shapes differ ...).
  std::string problem;
  uint64_t elements = 0;
  uint64_t over = 0;        // Elements beyond the tolerance.
  uint64_t not_finite = 0;  // Of them: NaN or infinite on one side only.
  double max_abs = 0;       // Largest |a - b|; of complex numbers by part.
  double max_rel = 0;       // Largest |a - b| / |b| where b is not 0.
  double rms = 0;           // sqrt(mean((a - b)^2)).
  // Whether scale * (integer - zero_point) was compared, because types or
  // quantization differ; else the stored numbers.
  bool real_values = false;

  bool within() const { return problem.empty() && over == 0; }
};

// Two NaN are equal, as are two infinities of one sign. Strings count as 0 or
// 1 apart. Integers are subtracted exactly. `bytes` must hold the shape.
LATHE_EXPORT TensorDifference Compare(const TensorValue& a,
                                      const TensorValue& b,
                                      const Tolerance& tolerance);

// For each tensor of `a` the position of its counterpart in `b`, such as the
// outputs of two models: of the same name where all names of `a` are there and
// lead to different tensors, else of the same position, if there is one.
LATHE_EXPORT std::vector<std::optional<size_t>> PartnersOf(
    std::span<const TensorInfo> a, std::span<const TensorInfo> b);

}  // namespace lathe

#endif  // LATHE_COMPARE_HPP_
