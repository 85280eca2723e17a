// Authors a subgraph operator by operator; shapes are inferred on the way.

#ifndef LATHE_GRAPH_BUILDER_H_
#define LATHE_GRAPH_BUILDER_H_

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/graph/graph.h"
#include "src/graph/shapes.h"

namespace lathe::graph {

// A tensor of the subgraph under construction.
using TensorId = int32_t;

// The first error sticks: later calls do nothing and Finish returns it, so that
// authoring code reads as a list of operators.
class Builder {
 public:
  // Appends a new subgraph to `graph`, which must outlive the builder.
  Builder(Graph& graph, std::string subgraph_name);

  // `signature_shape` holds -1 for dims a caller may resize; empty for none.
  TensorId Input(std::string name, Type type, Shape shape,
                 std::vector<int32_t> signature_shape = {});

  TensorId Constant(std::string name, Type type, Shape shape,
                    std::span<const std::byte> bytes);
  TensorId Floats(std::string name, Shape shape, std::span<const float> values);
  TensorId Ints(std::string name, Shape shape, std::span<const int32_t> values);
  // Bytes made when the graph is written.
  TensorId Produced(std::string name, Type type, Shape shape,
                    std::function<Status(std::span<std::byte>)> produce);

  // Adds an operator with one output (Op) or several (Ops) and returns them.
  // `fields` are those of the operator's options table. Names default to the
  // operator's name and index.
  TensorId Op(OpCode code, std::initializer_list<TensorId> inputs,
              std::initializer_list<Attribute> fields = {},
              std::string name = {});
  std::vector<TensorId> Ops(OpCode code, std::span<const TensorId> inputs,
                            std::initializer_list<Attribute> fields,
                            size_t outputs, std::string name = {});

  const Shape& ShapeOf(TensorId tensor) const;

  // Prefix of names of tensors made from here on, such as "layer3/attention/".
  void SetScope(std::string scope);

  // Declares outputs and adds a signature with the names.
  Status Finish(std::string signature_key,
                std::span<const std::pair<std::string, TensorId>> inputs,
                std::span<const std::pair<std::string, TensorId>> outputs);

 private:
  TensorId Add(Tensor tensor);
  TensorId Stored(std::string name, Type type, Shape shape, Buffer buffer);

  Graph& graph_;
  size_t subgraph_;
  std::string scope_;
  std::vector<KnownTensor> known_;
  Status status_;
};

}  // namespace lathe::graph

#endif  // LATHE_GRAPH_BUILDER_H_
