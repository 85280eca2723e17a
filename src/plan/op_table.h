// Which kernels serve which operators on which types: the table that planning,
// `lathe inspect` and docs/operators.md read.

#ifndef LATHE_PLAN_OP_TABLE_H_
#define LATHE_PLAN_OP_TABLE_H_

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

#include "src/graph/graph.h"
#include "src/plan/node.h"

namespace lathe::plan {

class Lowering;

// Makes the steps of one node, or aliases. All shapes are known. Errors:
// kUnsupported where no kernel fits, kInvalidInput where operands do not fit.
using Prepare = Status (*)(Lowering& lowering, const Node& node);

using TypeMask = uint32_t;
constexpr TypeMask Types(std::initializer_list<graph::Type> types) {
  TypeMask mask = 0;
  for (const graph::Type type : types) {
    mask |= TypeMask{1} << static_cast<int>(type);
  }
  return mask;
}
inline constexpr TypeMask kFloat32 = Types({graph::Type::kFloat32});
// Every type of a fixed size of whole bytes.
inline constexpr TypeMask kMovable = Types(
    {graph::Type::kFloat32, graph::Type::kFloat16, graph::Type::kInt32,
     graph::Type::kUint8, graph::Type::kInt64, graph::Type::kBool,
     graph::Type::kInt16, graph::Type::kComplex64, graph::Type::kInt8,
     graph::Type::kFloat64, graph::Type::kComplex128, graph::Type::kUint64,
     graph::Type::kUint32, graph::Type::kUint16, graph::Type::kBfloat16,
     graph::Type::kFloat8E4m3fn, graph::Type::kFloat8E5m2});
// Every type of which a byte holds several.
inline constexpr TypeMask kNarrow =
    Types({graph::Type::kInt4, graph::Type::kInt2, graph::Type::kUint4});

// The types of an operator's operands, as stored.
struct OpTypes {
  const graph::Graph& graph;
  const graph::Subgraph& subgraph;
  const graph::Op& op;

  bool Has(size_t input) const {
    return input < op.inputs.size() && op.inputs[input] >= 0;
  }
  const graph::Tensor& In(size_t input) const {
    return subgraph.tensors[op.inputs[input]];
  }
  const graph::Tensor& Out(size_t output) const {
    return subgraph.tensors[op.outputs[output]];
  }
};

// A row serves an operator when the type of its data is in `types` and `also`
// (if any) agrees. An operator may have several rows; the first that serves is
// taken.
struct OpRow {
  static constexpr int8_t kOutput = -1;  // Output 0.
  static constexpr int8_t kNone = -2;    // None: every type serves.

  graph::OpCode code;
  Prepare prepare;  // Null: run/ does it between plans.
  TypeMask types;
  int8_t data = kOutput;  // The input whose type counts, or one of the two.
  bool (*also)(const OpTypes&) = nullptr;
  std::string_view note = {};    // What `also` asks for, in words.
  std::string_view custom = {};  // The name, for OpCode::kCustom.
};

// Every row of every group.
std::span<const OpRow> OpTable();
// The row that serves the operator; null if there is none.
const OpRow* RowFor(const OpTypes& types);

Prepare PreparerOf(graph::RegionKind kind);

// One group of rows, at the end of the file that prepares them.
std::span<const OpRow> ControlRows();
std::span<const OpRow> ConvRows();
std::span<const OpRow> MatmulRows();
std::span<const OpRow> ElementwiseRows();
std::span<const OpRow> MovementRows();
std::span<const OpRow> TypedRows();
std::span<const OpRow> ScanRows();
std::span<const OpRow> IndexingRows();
std::span<const OpRow> ScatterRows();
std::span<const OpRow> FillingRows();
std::span<const OpRow> StringRows();

}  // namespace lathe::plan

#endif  // LATHE_PLAN_OP_TABLE_H_
