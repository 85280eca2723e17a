// What every file of shape rules shares: the call, its table row, checks.

#ifndef LATHE_GRAPH_SHAPE_RULE_H_
#define LATHE_GRAPH_SHAPE_RULE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "src/graph/shapes.h"

namespace lathe::graph {

// Dims while they are worked out: 64-bit, so that sums cannot wrap.
using Dims = std::vector<int64_t>;

// Bounds the work that a few nested calls of subgraphs can ask for: each level
// may call the next one many times.
struct Walk {
  int depth = 0;
  uint64_t operators_left = uint64_t{1} << 22;
};

// What is only known for an operator that stands in a subgraph, or whose inputs
// have been computed; each may be empty.
struct MoreFacts {
  std::span<const Type> stored_types;  // Of the outputs.
  std::span<const std::span<const std::byte>> input_bytes;
};

// One operator and what is known of its inputs; a rule fills `outputs`, which
// is as long as op.outputs, with default entries.
struct RuleCall {
  const Graph& graph;
  const Op& op;
  std::span<const KnownTensor* const> inputs;
  std::vector<KnownTensor> outputs;
  Walk& walk;
  MoreFacts more = {};

  bool Has(size_t i) const { return i < inputs.size() && inputs[i] != nullptr; }
  const KnownTensor& In(size_t i) const { return *inputs[i]; }
  const Shape& ShapeOf(size_t i) const { return inputs[i]->shape; }

  // Sets an output. Errors: a dim below 0 or above 2^31 - 1, too many dims.
  Status Give(size_t output, Type type, const Dims& dims);
  Status Give(size_t output, Type type, const Shape& shape);

  // The values of input i, which the output's shape needs; from its bytes if
  // need be. kUnsupported when they are only known at run time.
  Result<std::vector<int64_t>> Values(size_t i) const;
  // The same for one value.
  Result<int64_t> Value(size_t i) const;

  Status RequireRank(size_t i, size_t lowest, size_t highest) const;
  Status RequireType(size_t i, std::initializer_list<Type> allowed) const;
};

// A negative axis counts from the end. Errors unless 0 <= axis < limit then.
Result<size_t> NormalAxis(int64_t axis, size_t limit);

// The broadcast of two shapes, aligned at the right.
Result<Shape> Broadcast(std::span<const int32_t> a, std::span<const int32_t> b);

// Output size of a convolution or pool along one axis (reference
// tflite-format.md, section 2.1).
struct Window {
  int64_t size = 1, stride = 1, dilation = 1;
  bool valid_padding = false;  // Else SAME.
};
Result<int64_t> WindowedSize(int64_t in, const Window& window);

struct RuleRow {
  OpCode code;
  // The first `required` inputs must be there, the rest may be left out.
  size_t required, most;
  int outputs;  // -1: any number.
  Status (*rule)(RuleCall&);
  std::string_view custom = {};  // The name, for OpCode::kCustom.
};
inline constexpr size_t kAnyNumber = SIZE_MAX;

// Null for an operator without a rule.
const RuleRow* RuleOf(const Op& op);

// One table per file of rules.
std::span<const RuleRow> ElementwiseRules();
std::span<const RuleRow> ContractionRules();
std::span<const RuleRow> ReductionRules();
std::span<const RuleRow> MovementRules();
std::span<const RuleRow> IndexingRules();
std::span<const RuleRow> FillingRules();
std::span<const RuleRow> ImageRules();
std::span<const RuleRow> RecurrentRules();
std::span<const RuleRow> ControlRules();

// InferOp and InferSubgraph somewhere below another subgraph.
Result<std::vector<KnownTensor>> InferOpAt(
    const Graph& graph, const Op& op,
    std::span<const KnownTensor* const> inputs, Walk& walk,
    const MoreFacts& more = {});
Status InferSubgraphAt(const Graph& graph, const Subgraph& subgraph,
                       std::vector<KnownTensor>& known, Walk& walk);

// The integers (or truths) that `bytes` hold; null for other types and when
// there are fewer or more than `count`.
std::optional<std::vector<int64_t>> IntegersIn(
    Type type, uint64_t count, std::span<const std::byte> bytes);
// Whether IntegersIn reads the type.
bool IsInteger(Type type);

// Whether values of this type are followed.
inline bool IsFollowed(Type type) {
  return type == Type::kInt32 || type == Type::kInt64 || type == Type::kBool;
}
inline constexpr uint64_t kMostFollowedValues = 1024;

// Cuts values to the tensor's type; drops them where type or count forbid.
void FitValues(KnownTensor& tensor);

// Works out values of outputs from values of inputs where the operator allows;
// the outputs' types and shapes are already set. Never fails: what it does not
// know stays unknown.
void FollowValues(RuleCall& call);

// Rules of shapes_runtime.cc.
Status Where(RuleCall& call);
Status Unique(RuleCall& call);

// One axis of a STRIDED_SLICE, after masks, clamping and shrinking.
struct SliceAxis {
  enum class Kind : uint8_t { kTake, kNew } kind = Kind::kTake;
  int64_t begin = 0, stride = 1, count = 0;
  bool shrink = false;
};
// The walk of reference tflite-format.md, section 2.5.1: one entry per input
// axis and per new axis, in output order.
Result<std::vector<SliceAxis>> StridedSliceAxes(
    const Options& options, std::span<const int32_t> shape,
    std::span<const int64_t> begin, std::span<const int64_t> end,
    std::span<const int64_t> strides);

// Whether the shape that a STRIDED_SLICE of n entries gives does not depend on
// begin and end: each entry takes one index, all of an axis, or none.
bool TakesNoBounds(const Options& options, size_t n);

}  // namespace lathe::graph

#endif  // LATHE_GRAPH_SHAPE_RULE_H_
