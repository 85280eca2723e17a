// The operators of the format, by number and name (reference tflite-format.md,
// section 1.4).

#ifndef LATHE_GRAPH_OP_CODE_H_
#define LATHE_GRAPH_OP_CODE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace lathe::graph {

enum class OpCode : int32_t {
#define LATHE_OP(number, name, constant, options, version) constant = number,
#include "src/graph/op_code.inc"
#undef LATHE_OP
};

struct OpFacts {
  OpCode code;
  std::string_view name;     // "CONV_2D"
  std::string_view options;  // "Conv2DOptions", or empty: takes none.
  int32_t max_version;       // Highest version that the format defines.
};

// Every operator, ascending by number.
std::span<const OpFacts> AllOps();

// Null for a number that the format does not define.
const OpFacts* FactsOf(int32_t number);
inline const OpFacts& FactsOf(OpCode code) {
  return *FactsOf(static_cast<int32_t>(code));
}
inline std::string_view Name(OpCode code) { return FactsOf(code).name; }
std::optional<OpCode> OpCodeNamed(std::string_view name);

}  // namespace lathe::graph

#endif  // LATHE_GRAPH_OP_CODE_H_
