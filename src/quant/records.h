// What the operators ask of the tensors between them: one record from the
// producer, one from each consumer (quantizer reference 4.1).
//
// assign.h makes records of rules; instructions.h turns them into steps.

#ifndef LATHE_QUANT_RECORDS_H_
#define LATHE_QUANT_RECORDS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/quant/constants.h"

namespace lathe::quant {

// What is done to a tensor on its way to an operator.
enum class Step : uint8_t {
  kNothing,
  kAddQuantize,      // A QUANTIZE behind it.
  kAddDequantize,    // It becomes integers, with a DEQUANTIZE behind it.
  kRetype,           // It becomes integers.
  kDuplicateBuffer,  // It gets a buffer of its own.
  kDuplicateTensor,  // The consumer gets a tensor of its own.
  kRotate,           // aeq.hadamard_rotation behind it.
  kRotateInParts,    // The same in builtin operators.
  kMultiply,         // A MUL behind it.
};

// The integers that a tensor becomes, and how.
struct Grid {
  int bits = 8;
  bool is_signed = true;
  bool is_float16 = false;  // Then nothing else counts.
  bool symmetric = true;
  std::optional<int> axis;
  int64_t block = 0;
  std::vector<double> scale;
  std::vector<int64_t> zero_point;
  int rank = 0;         // Of the scale as an array of the older tool.
  bool single = false;  // Found in float32.
  int64_t hadamard_size = 0;
  bool multiplies = false;               // OSCAR; by:
  std::vector<float> multiplier;         // 1 / column scale.
  std::shared_ptr<const Encoding> data;  // Null for a runtime tensor.
};
using GridPtr = std::shared_ptr<const Grid>;

// Whether two grids are the same; null equals null. The older tool also
// compares the rank of the scales' arrays, which says nothing.
bool SameGrid(const GridPtr& a, const GridPtr& b, Behaviour behaviour);
// Same but for scale and zero point.
bool SameKind(const Grid& a, const Grid& b);

inline constexpr int32_t kBoundary = -1;  // The subgraph's caller.

struct Record {
  int32_t op = kBoundary;
  std::vector<Step> steps;
  GridPtr grid;
};

struct TensorRecords {
  std::optional<Record> producer;
  std::vector<Record> consumers;
  bool any() const { return producer.has_value() || !consumers.empty(); }
};

// By subgraph and tensor.
using Records = std::vector<std::vector<TensorRecords>>;

}  // namespace lathe::quant

#endif  // LATHE_QUANT_RECORDS_H_
