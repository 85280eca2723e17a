// The public face of format/: what a file is.

#include "lathe/inspect.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "src/api/state.h"
#include "src/base/mapped_file.h"
#include "src/format/tflite/tflite.h"
#include "src/plan/plan.h"

namespace lathe {
namespace {

std::string QuantizationWords(const graph::Tensor& tensor) {
  if (!tensor.quantization) return {};
  const graph::Quantization& q = *tensor.quantization;
  switch (q.details) {
    case graph::Quantization::Details::kBlockwise:
      return fmt::format("blocks of {}", q.block_size);
    case graph::Quantization::Details::kMultiAxis:
      return "several axes";
    case graph::Quantization::Details::kCustom:
      return "custom";
    case graph::Quantization::Details::kNone:
      break;
  }
  if (q.scale.empty()) return {};
  if (q.scale.size() == 1) {
    return fmt::format("scale {} zero point {}", q.scale[0],
                       q.zero_point.empty() ? 0 : q.zero_point[0]);
  }
  return fmt::format("per channel (axis {}, {} scales)", q.axis,
                     q.scale.size());
}

SubgraphFacts Describe(const graph::Graph& graph,
                       const graph::Subgraph& subgraph) {
  SubgraphFacts facts;
  facts.name = subgraph.name;
  facts.inputs = subgraph.inputs;
  facts.outputs = subgraph.outputs;
  for (size_t i = 0; i < subgraph.tensors.size(); ++i) {
    const graph::Tensor& tensor = subgraph.tensors[i];
    TensorFacts t;
    t.index = static_cast<uint32_t>(i);
    t.name = tensor.name;
    t.type = static_cast<ElementType>(tensor.type);
    t.shape = tensor.shape;
    t.shape_signature = tensor.shape_signature;
    t.constant_bytes = graph.BufferOf(tensor).size();
    t.quantization = QuantizationWords(tensor);
    facts.tensors.push_back(std::move(t));
  }
  std::map<std::string, uint32_t> counts;
  for (size_t i = 0; i < subgraph.ops.size(); ++i) {
    const graph::Op& op = subgraph.ops[i];
    OpFacts o;
    o.index = static_cast<uint32_t>(i);
    o.name = op.code == graph::OpCode::kCustom ? op.custom_name
                                               : std::string(Name(op.code));
    o.version = op.version;
    o.inputs = op.inputs;
    o.outputs = op.outputs;
    o.unsupported = plan::WhyUnsupported(graph, subgraph, op);
    ++counts[o.name];
    facts.ops.push_back(std::move(o));
  }
  facts.op_counts.assign(counts.begin(), counts.end());
  std::ranges::stable_sort(facts.op_counts, std::ranges::greater(),
                           &std::pair<std::string, uint32_t>::second);
  return facts;
}

}  // namespace

Result<ModelFacts> Inspect(const std::string& path) {
  return Guarded([&]() -> Result<ModelFacts> {
    LATHE_ASSIGN(const std::shared_ptr<const MappedFile> file,
                 MappedFile::Open(path));
    LATHE_ASSIGN(const graph::Graph graph,
                 format::ReadTflite(file->bytes(), file, path));
    ModelFacts facts;
    facts.description = graph.description;
    facts.file_bytes = file->bytes().size();
    for (const graph::Buffer& buffer : graph.buffers) {
      facts.constant_bytes += buffer.size();
    }
    for (const graph::Subgraph& subgraph : graph.subgraphs) {
      facts.subgraphs.push_back(Describe(graph, subgraph));
    }
    if (!graph.signatures.empty()) {
      facts.signatures = DescribeSignatures(graph);
    }
    for (const graph::Metadata& entry : graph.metadata) {
      facts.metadata.emplace_back(entry.name,
                                  graph.buffers[entry.buffer].size());
    }
    return facts;
  });
}

}  // namespace lathe
