// Authors a subgraph operator by operator.

#include "src/graph/builder.h"

#include <algorithm>

#include "src/graph/versions.h"

namespace lathe::graph {
namespace {

// A constant as shape rules see it: tensor 0 of a subgraph of its own.
KnownTensor Known(const Graph& graph, const Tensor& tensor) {
  Subgraph one;
  one.tensors.push_back(tensor);
  return StoredTensors(graph, one)[0];
}

}  // namespace

Builder::Builder(Graph& graph, std::string subgraph_name)
    : graph_(graph), subgraph_(graph.subgraphs.size()) {
  graph.subgraphs.emplace_back().name = std::move(subgraph_name);
}

TensorId Builder::Add(Tensor tensor) {
  auto& tensors = graph_.subgraphs[subgraph_].tensors;
  const auto id = static_cast<TensorId>(tensors.size());
  known_.push_back(Known(graph_, tensor));
  tensors.push_back(std::move(tensor));
  return id;
}

TensorId Builder::Input(std::string name, Type type, Shape shape,
                        std::vector<int32_t> signature_shape) {
  Tensor tensor;
  tensor.name = scope_ + name;
  tensor.type = type;
  tensor.shape = std::move(shape);
  tensor.shape_signature = std::move(signature_shape);
  const TensorId id = Add(std::move(tensor));
  graph_.subgraphs[subgraph_].inputs.push_back(id);
  return id;
}

TensorId Builder::Stored(std::string name, Type type, Shape shape,
                         Buffer buffer) {
  Tensor tensor;
  tensor.name = scope_ + name;
  tensor.type = type;
  tensor.shape = std::move(shape);
  const uint64_t needed = ByteCount(type, tensor.shape);
  if (status_ && buffer.size() != needed) {
    status_ =
        Invalid("constant '{}': {} bytes for {}{}, which has {}", tensor.name,
                buffer.size(), Name(type), ToString(tensor.shape), needed);
  }
  // An empty buffer would make the tensor a value without a writer.
  if (needed != 0) {
    tensor.buffer = static_cast<uint32_t>(graph_.buffers.size());
    graph_.buffers.push_back(std::move(buffer));
  }
  return Add(std::move(tensor));
}

TensorId Builder::Constant(std::string name, Type type, Shape shape,
                           std::span<const std::byte> bytes) {
  return Stored(std::move(name), type, std::move(shape), MakeBuffer(bytes));
}

TensorId Builder::Floats(std::string name, Shape shape,
                         std::span<const float> values) {
  return Constant(std::move(name), Type::kFloat32, std::move(shape),
                  std::as_bytes(values));
}

TensorId Builder::Ints(std::string name, Shape shape,
                       std::span<const int32_t> values) {
  return Constant(std::move(name), Type::kInt32, std::move(shape),
                  std::as_bytes(values));
}

TensorId Builder::Produced(
    std::string name, Type type, Shape shape,
    std::function<Status(std::span<std::byte>)> produce) {
  Buffer buffer;
  buffer.produce = std::move(produce);
  buffer.produced_bytes = ByteCount(type, shape);
  return Stored(std::move(name), type, std::move(shape), std::move(buffer));
}

TensorId Builder::Op(OpCode code, std::initializer_list<TensorId> inputs,
                     std::initializer_list<Attribute> fields,
                     std::string name) {
  return Ops(code, std::span(inputs.begin(), inputs.size()), fields, 1,
             std::move(name))[0];
}

std::vector<TensorId> Builder::Ops(OpCode code,
                                   std::span<const TensorId> inputs,
                                   std::initializer_list<Attribute> fields,
                                   size_t outputs, std::string name) {
  // After an error any id is as good as another: nothing is built from it.
  std::vector<TensorId> ids(outputs, 0);
  if (!status_) return ids;

  Subgraph& subgraph = graph_.subgraphs[subgraph_];
  graph::Op op;
  op.code = code;
  op.inputs.assign(inputs.begin(), inputs.end());
  op.outputs = ids;
  op.options.table = FactsOf(code).options;
  op.options.fields = fields;
  std::vector<const KnownTensor*> known;
  const std::string label =
      scope_ + (name.empty() ? std::string(Name(code)) + "_" +
                                   std::to_string(subgraph.ops.size())
                             : name);
  for (const TensorId input : inputs) {
    if (input != kNoTensor &&
        (input < 0 || static_cast<size_t>(input) >= known_.size())) {
      status_ =
          Invalid("{} '{}': there is no tensor {}", Name(code), label, input);
      return ids;
    }
    known.push_back(input == kNoTensor ? nullptr : &known_[input]);
  }
  auto made = InferOp(graph_, op, known);
  if (!made) {
    status_ = Fail(made.error().code, "{} '{}': {}", Name(code), label,
                   made.error().message);
    return ids;
  }
  std::vector<const KnownTensor*> known_outputs;
  for (const KnownTensor& output : *made) known_outputs.push_back(&output);
  op.version = LowestVersion(op, known, known_outputs);
  for (size_t i = 0; i < outputs; ++i) {
    Tensor tensor;
    tensor.name = outputs == 1 ? label : label + ":" + std::to_string(i);
    tensor.type = (*made)[i].type;
    tensor.shape = (*made)[i].shape;
    ids[i] = static_cast<TensorId>(subgraph.tensors.size());
    subgraph.tensors.push_back(std::move(tensor));
    known_.push_back(std::move((*made)[i]));
  }
  op.outputs = ids;
  subgraph.ops.push_back(std::move(op));
  return ids;
}

const Shape& Builder::ShapeOf(TensorId tensor) const {
  static const Shape kNone;
  if (tensor < 0 || static_cast<size_t>(tensor) >= known_.size()) return kNone;
  return known_[tensor].shape;
}

void Builder::SetScope(std::string scope) { scope_ = std::move(scope); }

Status Builder::Finish(
    std::string signature_key,
    std::span<const std::pair<std::string, TensorId>> inputs,
    std::span<const std::pair<std::string, TensorId>> outputs) {
  LATHE_TRY(Status(status_));
  Subgraph& subgraph = graph_.subgraphs[subgraph_];
  Signature signature;
  signature.key = std::move(signature_key);
  signature.subgraph = static_cast<uint32_t>(subgraph_);
  for (const auto& [name, tensor] : inputs) {
    signature.inputs.push_back({name, static_cast<uint32_t>(tensor)});
  }
  for (const auto& [name, tensor] : outputs) {
    signature.outputs.push_back({name, static_cast<uint32_t>(tensor)});
    if (std::ranges::find(subgraph.outputs, tensor) == subgraph.outputs.end()) {
      subgraph.outputs.push_back(tensor);
    }
  }
  graph_.signatures.push_back(std::move(signature));
  return {};
}

}  // namespace lathe::graph
