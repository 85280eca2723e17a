// Adds tensors, constants and operators to a graph that is being rewritten.

#ifndef LATHE_QUANT_INSERTER_H_
#define LATHE_QUANT_INSERTER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "src/graph/graph.h"
#include "src/quant/algorithm.h"

namespace lathe::quant {

class Inserter {
 public:
  // `graph` outlives the inserter.
  Inserter(graph::Graph& graph, Behaviour behaviour)
      : graph_(graph), behaviour_(behaviour) {}

  graph::Graph& graph() { return graph_; }
  Behaviour behaviour() const { return behaviour_; }
  graph::Tensor& TensorAt(size_t subgraph, int32_t tensor) {
    return graph_.subgraphs[subgraph].tensors[tensor];
  }

  // A runtime tensor. kCorrect makes the name unique in the subgraph.
  int32_t AddTensor(size_t subgraph, std::string name, graph::Type type,
                    graph::Shape shape, std::vector<int32_t> shape_signature);

  // A constant; equal bytes share a buffer. `shares_tensor`: one that is there
  // already may be returned.
  int32_t AddConstant(size_t subgraph, std::string name, graph::Type type,
                      graph::Shape shape, std::span<const std::byte> bytes,
                      bool shares_tensor = false);

  // A square Hadamard matrix / sqrt(size), made when written; one for each size
  // and subgraph.
  int32_t AddHadamard(size_t subgraph, std::string name, int64_t size);

  uint32_t AddBuffer(graph::Buffer buffer);

  // An operator of version 1; kCompat takes the version that the file has for
  // the operator already, unless `is_fresh`.
  graph::Op MakeOp(graph::OpCode code, std::vector<int32_t> inputs,
                   std::vector<int32_t> outputs, bool is_fresh = false);

 private:
  int32_t Stored(size_t subgraph, std::string name, graph::Type type,
                 graph::Shape shape, uint32_t buffer, bool shares_tensor);
  std::string Unique(size_t subgraph, std::string name) const;

  graph::Graph& graph_;
  const Behaviour behaviour_;
  std::map<std::string, uint32_t> buffer_of_;  // By bytes.
  std::map<std::tuple<size_t, uint32_t, graph::Shape>, int32_t> tensor_of_;
  std::map<int64_t, uint32_t> hadamard_of_;
};

}  // namespace lathe::quant

#endif  // LATHE_QUANT_INSERTER_H_
