// The public face of format/: what a file is.

#include "lathe/inspect.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <type_traits>
#include <utility>
#include <variant>

#include "src/api/state.h"
#include "src/base/mapped_file.h"
#include "src/format/tflite/tflite.h"
#include "src/graph/verify_parts.h"
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

std::string JsonText(const graph::AttributeValue& value) {
  const auto number = [](double x) {
    return std::isfinite(x) ? fmt::format("{}", x) : std::string("null");
  };
  const auto list = [](const auto& values, const auto& words) {
    std::string text;
    for (const auto& v : values) {
      if (!text.empty()) text += ',';
      text += words(v);
    }
    return fmt::format("[{}]", text);
  };
  return std::visit(
      [&](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, double>) {
          return number(v);
        } else if constexpr (std::is_same_v<T, std::string>) {
          std::string text;
          for (const char c : v) {
            const auto byte = static_cast<unsigned char>(c);
            if (c == '"' || c == '\\') text += '\\';
            // Other bytes than ASCII need not be UTF-8.
            text += byte < 0x20 || byte > 0x7E ? fmt::format("\\u{:04x}", byte)
                                               : std::string(1, c);
          }
          return fmt::format("\"{}\"", text);
        } else if constexpr (std::is_same_v<T, std::vector<double>>) {
          return list(v, number);
        } else if constexpr (std::is_same_v<T, bool> ||
                             std::is_same_v<T, int64_t>) {
          return fmt::format("{}", v);
        } else {
          return list(v, [](auto x) { return fmt::format("{}", x); });
        }
      },
      value);
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
    t.is_variable = tensor.is_variable;
    t.is_sparse = tensor.sparsity.has_value();
    t.quantization = QuantizationWords(tensor);
    t.parameters = DescribeTensor(graph, subgraph, static_cast<int32_t>(i), {})
                       .quantization;
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
    for (const graph::Attribute& field : op.options.fields) {
      o.options.emplace_back(field.name, JsonText(field.value));
    }
    for (const int64_t called : graph::CalledSubgraphs(op)) {
      o.calls.push_back(static_cast<uint32_t>(called));
    }
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
    format::ExternalFiles external(path);
    LATHE_ASSIGN(const graph::Graph graph,
                 format::ReadTflite(file->bytes(), file, path, &external));
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
