// Finds the first difference between two graphs.

#include <cstring>

#include "fmt/format.h"
#include "src/graph/graph.h"

namespace lathe::graph {
namespace {

// Bytes of a buffer, produced if need be.
Result<std::vector<std::byte>> Produced(const Buffer& buffer) {
  std::vector<std::byte> bytes(buffer.size());
  if (buffer.produce) LATHE_TRY(buffer.produce(bytes));
  return bytes;
}

bool SameBytes(const Buffer& a, const Buffer& b) {
  if (a.size() != b.size()) return false;
  std::vector<std::byte> made[2];
  std::span<const std::byte> spans[2];
  for (size_t i = 0; i < 2; ++i) {
    const Buffer& buffer = i == 0 ? a : b;
    spans[i] = buffer.bytes;
    if (buffer.produce) {
      auto bytes = Produced(buffer);
      if (!bytes) return false;
      made[i] = *std::move(bytes);
      spans[i] = made[i];
    }
  }
  return spans[0].data() == spans[1].data() || spans[0].empty() ||
         std::memcmp(spans[0].data(), spans[1].data(), spans[0].size()) == 0;
}

// The first thing that differs in a tensor; empty when none does.
std::string_view TensorDifference(const Graph& a, const Tensor& x,
                                  const Graph& b, const Tensor& y) {
  if (x.name != y.name) return "name";
  if (x.type != y.type) return "type";
  if (x.shape != y.shape) return "shape";
  if (x.shape_signature != y.shape_signature) return "shape signature";
  if (x.has_rank != y.has_rank) return "has_rank";
  if (x.is_variable != y.is_variable) return "is_variable";
  if (x.external_buffer != y.external_buffer) return "external buffer";
  if (x.quantization != y.quantization) return "quantization";
  if (x.sparsity != y.sparsity) return "sparsity";
  if (x.variant_types != y.variant_types) return "variant types";
  if (!SameBytes(a.BufferOf(x), b.BufferOf(y))) return "bytes";
  return {};
}

std::string_view OpDifference(const Op& x, const Op& y) {
  if (x.code != y.code) return "operator code";
  if (x.version != y.version) return "version";
  if (x.custom_name != y.custom_name) return "custom name";
  if (x.inputs != y.inputs) return "inputs";
  if (x.outputs != y.outputs) return "outputs";
  if (x.intermediates != y.intermediates) return "intermediates";
  if (x.options != y.options) return "options";
  if (x.custom_options != y.custom_options) return "custom options";
  if (x.mutating_variable_inputs != y.mutating_variable_inputs) {
    return "mutating variable inputs";
  }
  if (x.debug_metadata_index != y.debug_metadata_index) {
    return "debug metadata index";
  }
  return {};
}

std::string SubgraphDifference(const Graph& a, const Subgraph& x,
                               const Graph& b, const Subgraph& y) {
  if (x.name != y.name) return fmt::format("name '{}' / '{}'", x.name, y.name);
  if (x.inputs != y.inputs) return "inputs";
  if (x.outputs != y.outputs) return "outputs";
  if (x.debug_metadata_index != y.debug_metadata_index) {
    return "debug metadata index";
  }
  if (x.tensors.size() != y.tensors.size()) {
    return fmt::format("{} / {} tensors", x.tensors.size(), y.tensors.size());
  }
  for (size_t i = 0; i < x.tensors.size(); ++i) {
    const auto what = TensorDifference(a, x.tensors[i], b, y.tensors[i]);
    if (!what.empty()) {
      return fmt::format("tensor {} '{}': {}", i, x.tensors[i].name, what);
    }
  }
  if (x.ops.size() != y.ops.size()) {
    return fmt::format("{} / {} operators", x.ops.size(), y.ops.size());
  }
  for (size_t i = 0; i < x.ops.size(); ++i) {
    const auto what = OpDifference(x.ops[i], y.ops[i]);
    if (!what.empty()) {
      return fmt::format("operator {} {}: {}", i, Name(x.ops[i].code), what);
    }
  }
  return {};
}

}  // namespace

std::string FirstDifference(const Graph& a, const Graph& b) {
  if (a.description != b.description) return "description";
  if (a.subgraphs.size() != b.subgraphs.size()) {
    return fmt::format("{} / {} subgraphs", a.subgraphs.size(),
                       b.subgraphs.size());
  }
  for (size_t i = 0; i < a.subgraphs.size(); ++i) {
    const std::string what =
        SubgraphDifference(a, a.subgraphs[i], b, b.subgraphs[i]);
    if (!what.empty()) return fmt::format("subgraph {}: {}", i, what);
  }
  if (a.signatures != b.signatures) return "signatures";
  if (a.metadata.size() != b.metadata.size()) return "metadata count";
  for (size_t i = 0; i < a.metadata.size(); ++i) {
    if (a.metadata[i].name != b.metadata[i].name ||
        !SameBytes(a.buffers[a.metadata[i].buffer],
                   b.buffers[b.metadata[i].buffer])) {
      return fmt::format("metadata {} '{}'", i, a.metadata[i].name);
    }
  }
  if (a.metadata_buffers.size() != b.metadata_buffers.size()) {
    return "metadata buffers";
  }
  for (size_t i = 0; i < a.metadata_buffers.size(); ++i) {
    if (!SameBytes(a.buffers[a.metadata_buffers[i]],
                   b.buffers[b.metadata_buffers[i]])) {
      return fmt::format("metadata buffer {}", i);
    }
  }
  if (a.external_buffer_groups != b.external_buffer_groups) {
    return "external buffer groups";
  }
  if (a.external_buffers != b.external_buffers) return "external buffers";
  return {};
}

}  // namespace lathe::graph
