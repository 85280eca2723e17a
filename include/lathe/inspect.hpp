// What a model file is: operators, tensors, signatures, sizes.

#ifndef LATHE_INSPECT_HPP_
#define LATHE_INSPECT_HPP_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lathe/lathe.hpp"

namespace lathe {

struct TensorFacts {
  uint32_t index = 0;
  std::string name;
  ElementType type = ElementType::kFloat32;
  std::vector<int32_t> shape, shape_signature;
  uint64_t constant_bytes = 0;  // 0: not a constant.
  bool is_variable = false;     // Keeps its value between runs.
  bool is_sparse = false;
  std::string quantization;  // In words; empty: none.
  QuantizationInfo parameters;
};

struct OpFacts {
  uint32_t index = 0;
  std::string name;  // "CONV_2D", or the custom operator's name.
  int32_t version = 1;
  std::vector<int32_t> inputs, outputs;
  // Options that differ from the format's default, each value as JSON.
  std::vector<std::pair<std::string, std::string>> options;
  std::vector<uint32_t> calls;  // Subgraphs that it runs.
  std::string unsupported;      // Why this build cannot run it; empty: it can.
};

struct SubgraphFacts {
  std::string name;
  std::vector<int32_t> inputs, outputs;
  std::vector<TensorFacts> tensors;
  std::vector<OpFacts> ops;
  // Operator names with how often they occur, most frequent first.
  std::vector<std::pair<std::string, uint32_t>> op_counts;
};

struct ModelFacts {
  std::string description;
  uint64_t file_bytes = 0;
  uint64_t constant_bytes = 0;  // A buffer used twice counts once.
  std::vector<SubgraphFacts> subgraphs;
  std::vector<SignatureInfo> signatures;
  std::vector<std::pair<std::string, uint64_t>> metadata;  // Name, bytes.
};

// Reads and verifies the file; touches no weights. Errors as Model::Open, but
// an operator that cannot run is told in its OpFacts.
LATHE_EXPORT Result<ModelFacts> Inspect(const std::string& path);

}  // namespace lathe

#endif  // LATHE_INSPECT_HPP_
