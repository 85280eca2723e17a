// What passes that mark regions share: who makes and who uses a value, what
// constants hold, and a draft of a region.

#ifndef LATHE_PASSES_MATCH_H_
#define LATHE_PASSES_MATCH_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/graph/graph.h"
#include "src/graph/shapes.h"

namespace lathe::passes {

// Whether a caller may change the shape of some input of the graph. What holds
// for the stored shapes then need not hold later.
bool HasResizableInputs(const graph::Graph& graph);

class Draft;

// Facts of one subgraph. Built in linear time; stays true while regions and
// constants are added, not when operators change. Shapes are inferred where
// there is a rule, because a file may store stale ones.
class Matcher {
 public:
  // Both must outlive the matcher.
  Matcher(graph::Graph& graph, graph::Subgraph& subgraph);

  const graph::Op& op(uint32_t index) const { return subgraph_.ops[index]; }
  uint32_t op_count() const {
    return static_cast<uint32_t>(subgraph_.ops.size());
  }
  bool fixed_shapes() const { return fixed_shapes_; }

  // The operator that makes `tensor`, if there is one.
  std::optional<uint32_t> Maker(int32_t tensor) const;
  // The operator that is alone in using `tensor`, which is no graph output.
  std::optional<uint32_t> OnlyUser(int32_t tensor) const;
  // Whether the operator is in no region yet and the shape rules accept it.
  bool MayTake(uint32_t op) const { return !in_region_[op] && !is_opaque_[op]; }

  const std::string& NameOf(int32_t tensor) const {
    return subgraph_.tensors[tensor].name;
  }
  // Empty for kNoTensor.
  const graph::Shape& ShapeOf(int32_t tensor) const;
  size_t RankOf(int32_t tensor) const { return ShapeOf(tensor).size(); }
  uint64_t CountOf(int32_t tensor) const {
    return graph::ElementCount(ShapeOf(tensor));
  }
  // A float32 value that nothing overwrites.
  bool IsFloat(int32_t tensor) const;
  // A constant, or one that DEQUANTIZE makes of a constant.
  bool IsFixed(int32_t tensor) const;

  // Values of a float32 constant of at most `most` elements.
  std::optional<std::vector<float>> FloatsOf(int32_t tensor,
                                             uint64_t most) const;
  // The value of a float32 constant of one element.
  std::optional<float> ScalarOf(int32_t tensor) const;
  // Values of a small integer tensor that never change.
  std::optional<std::vector<int64_t>> IntsOf(int32_t tensor) const;

  // Adds a constant and returns its index.
  int32_t AddFloats(std::string name, graph::Shape shape,
                    std::span<const float> values);

  // Whether `tensor` has one value for each index of the last axis of `x`, and
  // broadcasts: its leading dims are 1 or those of x.
  bool FitsLastAxis(int32_t tensor, int32_t x) const;

  // Adds the region, with the draft's operators, when it is one: its inputs
  // (kNoTensor aside) and outputs are floats, no operator is in a region
  // already, and values made inside are used only inside, `outputs` aside.
  // Returns it, or null. The pointer lasts until the next call.
  graph::Region* Mark(const Draft& draft, graph::Region region);

 private:
  void InferShapes();

  graph::Graph& graph_;
  graph::Subgraph& subgraph_;
  bool fixed_shapes_;
  std::vector<graph::KnownTensor> known_;  // By tensor, as are the next.
  std::vector<std::optional<uint32_t>> maker_;
  std::vector<std::vector<uint32_t>> users_;  // Ascending, each once.
  std::vector<bool> is_output_;
  std::vector<bool> in_region_;  // By operator, as is the next.
  std::vector<bool> is_opaque_;  // No shape rule says what it makes.
};

// The operators that a pattern has matched so far. Copied where a pattern has
// alternatives.
class Draft {
 public:
  explicit Draft(const Matcher& matcher) : matcher_(&matcher) {}

  // The operator that makes `tensor`, taken into the draft; null unless its
  // code is `code`, it has at least `inputs` inputs, none left out, no fused
  // activation, and MayTake allows it.
  const graph::Op* Take(int32_t tensor, graph::OpCode code, size_t inputs = 1);

  // Takes the RESHAPE, SQUEEZE and EXPAND_DIMS that make `tensor` (at most
  // four) and returns what they start from.
  int32_t SkipReshapes(int32_t tensor);

  void Add(uint32_t op) { ops_.push_back(op); }
  std::span<const uint32_t> ops() const { return ops_; }

 private:
  const Matcher* matcher_;
  std::vector<uint32_t> ops_;
};

// Calls match(first, second) and, where that is false, match(second, first)
// with the state as it was before.
template <typename State, typename Match>
bool EitherOrder(State& state, const graph::Op& op, Match match) {
  const State before = state;
  if (match(op.inputs[0], op.inputs[1])) return true;
  state = before;
  if (match(op.inputs[1], op.inputs[0])) return true;
  state = before;
  return false;
}

// `tensor` is the square of the returned one: SQUARE(v), MUL(v, v), POW(v, 2).
// kNoTensor when it is none.
int32_t TakeSquare(const Matcher& matcher, Draft& draft, int32_t tensor);

// `tensor` is 1 / sqrt(v) in one operator (RSQRT, or POW(v, -0.5)) or two
// (DIV(1, SQRT(v))). Returns v, or kNoTensor.
int32_t TakeInverseRoot(const Matcher& matcher, Draft& draft, int32_t tensor);

// `tensor` is -v: NEG(v), SUB(0, v), MUL(v, -1). Returns v, or kNoTensor.
int32_t TakeNegated(const Matcher& matcher, Draft& draft, int32_t tensor);

// `tensor` is v + epsilon, epsilon a constant above 0. Returns v, or kNoTensor.
int32_t TakePlusEpsilon(const Matcher& matcher, Draft& draft, int32_t tensor,
                        float& epsilon);

// `tensor` holds the means of the rows (the last axis) of the returned tensor,
// one behind the other, in whatever shape: MEAN, or SUM by the row's length;
// kNoTensor when it does not.
int32_t TakeRowMeans(const Matcher& matcher, Draft& draft, int32_t tensor);

// Whether `rows` has the shape of x with 1 as its last dim, so that it
// broadcasts one value over each row.
bool BroadcastsOverRows(const Matcher& matcher, int32_t rows, int32_t x);

}  // namespace lathe::passes

#endif  // LATHE_PASSES_MATCH_H_
