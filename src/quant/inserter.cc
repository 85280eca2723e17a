#include "src/quant/inserter.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

namespace lathe::quant {
namespace {

// Natural order: the sign of (i, j) is the parity of their common bits.
Status WriteHadamard(int64_t size, std::span<std::byte> bytes) {
  const auto value =
      static_cast<float>(1.0 / std::sqrt(static_cast<double>(size)));
  std::byte* to = bytes.data();
  for (uint64_t i = 0; i < static_cast<uint64_t>(size); ++i) {
    for (uint64_t j = 0; j < static_cast<uint64_t>(size); ++j) {
      const float x = std::popcount(i & j) % 2 == 0 ? value : -value;
      std::memcpy(to, &x, sizeof(x));
      to += sizeof(x);
    }
  }
  return {};
}

}  // namespace

std::string Inserter::Unique(size_t subgraph, std::string name) const {
  if (behaviour_ == Behaviour::kCompat) return name;
  const auto& tensors = graph_.subgraphs[subgraph].tensors;
  const auto taken = [&](const std::string& n) {
    return std::ranges::find(tensors, n, &graph::Tensor::name) != tensors.end();
  };
  if (!taken(name)) return name;
  for (size_t i = 1;; ++i) {
    std::string other = name + "_" + std::to_string(i);
    if (!taken(other)) return other;
  }
}

int32_t Inserter::AddTensor(size_t subgraph, std::string name, graph::Type type,
                            graph::Shape shape,
                            std::vector<int32_t> shape_signature) {
  graph::Tensor tensor;
  tensor.name = Unique(subgraph, std::move(name));
  tensor.type = type;
  tensor.shape = std::move(shape);
  tensor.shape_signature = std::move(shape_signature);
  auto& tensors = graph_.subgraphs[subgraph].tensors;
  tensors.push_back(std::move(tensor));
  return static_cast<int32_t>(tensors.size() - 1);
}

uint32_t Inserter::AddBuffer(graph::Buffer buffer) {
  graph_.buffers.push_back(std::move(buffer));
  return static_cast<uint32_t>(graph_.buffers.size() - 1);
}

int32_t Inserter::Stored(size_t subgraph, std::string name, graph::Type type,
                         graph::Shape shape, uint32_t buffer,
                         bool shares_tensor) {
  const std::tuple key(subgraph, buffer, shape);
  if (shares_tensor) {
    if (const auto found = tensor_of_.find(key); found != tensor_of_.end()) {
      return found->second;
    }
  }
  const int32_t made =
      AddTensor(subgraph, std::move(name), type, std::move(shape), {});
  TensorAt(subgraph, made).buffer = buffer;
  tensor_of_.emplace(key, made);
  return made;
}

int32_t Inserter::AddConstant(size_t subgraph, std::string name,
                              graph::Type type, graph::Shape shape,
                              std::span<const std::byte> bytes,
                              bool shares_tensor) {
  // Types differ in width often enough, but not always.
  std::string key(1, static_cast<char>(type));
  key.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto [at, added] = buffer_of_.try_emplace(std::move(key), 0);
  if (added) at->second = AddBuffer(graph::MakeBuffer(bytes));
  return Stored(subgraph, std::move(name), type, std::move(shape), at->second,
                shares_tensor);
}

int32_t Inserter::AddHadamard(size_t subgraph, std::string name, int64_t size) {
  const auto [at, added] = hadamard_of_.try_emplace(size, 0);
  if (added) {
    graph::Buffer buffer;
    buffer.produced_bytes = static_cast<uint64_t>(size) * size * sizeof(float);
    buffer.produce = [size](std::span<std::byte> bytes) {
      return WriteHadamard(size, bytes);
    };
    at->second = AddBuffer(std::move(buffer));
  }
  const auto dim = static_cast<int32_t>(size);
  return Stored(subgraph, std::move(name), graph::Type::kFloat32, {dim, dim},
                at->second, /*shares_tensor=*/true);
}

graph::Op Inserter::MakeOp(graph::OpCode code, std::vector<int32_t> inputs,
                           std::vector<int32_t> outputs, bool is_fresh) {
  graph::Op op;
  op.code = code;
  op.inputs = std::move(inputs);
  op.outputs = std::move(outputs);
  if (behaviour_ == Behaviour::kCompat && !is_fresh) {
    for (const graph::Subgraph& subgraph : graph_.subgraphs) {
      const auto found =
          std::ranges::find(subgraph.ops, code, &graph::Op::code);
      if (found != subgraph.ops.end()) {
        op.version = found->version;
        break;
      }
    }
  }
  return op;
}

}  // namespace lathe::quant
