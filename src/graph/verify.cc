// Verifies a graph: indices, operator order, writers, signatures.

#include "src/graph/verify.h"

#include <algorithm>
#include <set>

#include "src/graph/problems.h"
#include "src/graph/shape_rule.h"
#include "src/graph/verify_parts.h"

namespace lathe::graph {
namespace {

constexpr size_t kMostSubgraphs = 65536;
constexpr size_t kMostTensorsOrOps = size_t{1} << 20;

bool InRange(int64_t index, size_t count) {
  return index >= 0 && static_cast<uint64_t>(index) < count;
}

void VerifyBuffers(const Graph& graph, Problems& problems) {
  problems.SetPlace("");
  if (graph.buffers.empty() || !graph.buffers[0].empty()) {
    problems.Add("buffer 0 must be there and empty");
  }
  for (size_t i = 0; i < graph.metadata.size(); ++i) {
    if (!InRange(graph.metadata[i].buffer, graph.buffers.size())) {
      problems.Add("metadata {} '{}': buffer {}; there are {}", i,
                   graph.metadata[i].name, graph.metadata[i].buffer,
                   graph.buffers.size());
    }
  }
  for (const int32_t buffer : graph.metadata_buffers) {
    if (!InRange(buffer, graph.buffers.size())) {
      problems.Add("metadata buffer {}; there are {}", buffer,
                   graph.buffers.size());
    }
  }
  for (const ExternalBuffer& external : graph.external_buffers) {
    if (!InRange(external.group, graph.external_buffer_groups.size())) {
      problems.Add("external buffer {}: group {}; there are {}", external.id,
                   external.group, graph.external_buffer_groups.size());
    }
  }
}

void VerifySizes(const Graph& graph, Problems& problems) {
  if (graph.subgraphs.empty()) problems.Add("there is no subgraph");
  if (graph.subgraphs.size() > kMostSubgraphs) {
    problems.Add("{} subgraphs, limit {}", graph.subgraphs.size(),
                 kMostSubgraphs);
  }
  size_t tensors = 0, ops = 0;
  for (const Subgraph& subgraph : graph.subgraphs) {
    tensors += subgraph.tensors.size();
    ops += subgraph.ops.size();
  }
  if (tensors > kMostTensorsOrOps || ops > kMostTensorsOrOps) {
    problems.Add("{} tensors and {} operators, limit {} each", tensors, ops,
                 kMostTensorsOrOps);
  }
}

std::string PlaceOf(size_t subgraph, const char* kind, size_t index,
                    std::string_view name) {
  return fmt::format("subgraph {} {} {} '{}': ", subgraph, kind, index, name);
}

// Counts of operands, and which may be left out.
void VerifyOperandCounts(const Op& op, Problems& problems) {
  if (op.code == OpCode::kCustom) return;
  const RuleRow* rule = RuleOf(op);
  if (rule == nullptr) {
    for (size_t i = 0; i < op.inputs.size(); ++i) {
      if (op.inputs[i] == kNoTensor) problems.Add("input {} is left out", i);
    }
    return;
  }
  if (op.inputs.size() < rule->required || op.inputs.size() > rule->most) {
    problems.Add(
        "{} inputs; allowed: {} to {}", op.inputs.size(), rule->required,
        rule->most == kAnyNumber ? "any number" : std::to_string(rule->most));
  }
  if (rule->outputs >= 0 &&
      op.outputs.size() != static_cast<size_t>(rule->outputs)) {
    problems.Add("{} outputs; allowed: {}", op.outputs.size(), rule->outputs);
  }
  const size_t required =
      rule->most == kAnyNumber ? op.inputs.size() : rule->required;
  for (size_t i = 0; i < std::min(required, op.inputs.size()); ++i) {
    if (op.inputs[i] == kNoTensor) problems.Add("input {} is left out", i);
  }
}

void VerifyCode(const Op& op, Problems& problems) {
  if (op.code == OpCode::kDelegate ||
      op.code == OpCode::kPlaceholderForGreaterOpCodes) {
    problems.Add("{} has no place in a graph", Name(op.code));
  }
  if ((op.code == OpCode::kCustom) == op.custom_name.empty()) {
    problems.Add("custom name '{}'", op.custom_name);
  }
}

class SubgraphVerifier {
 public:
  SubgraphVerifier(const Graph& graph, size_t index, Problems& problems)
      : graph_(graph),
        subgraph_(graph.subgraphs[index]),
        index_(index),
        problems_(problems) {}

  void Run() {
    for (size_t i = 0; i < subgraph_.tensors.size(); ++i) {
      problems_.SetPlace(
          PlaceOf(index_, "tensor", i, subgraph_.tensors[i].name));
      VerifyTensor(graph_, subgraph_, subgraph_.tensors[i], problems_);
      if (problems_.Full()) return;
    }
    // What follows looks at the tensors' buffers.
    if (!problems_.empty()) return;
    FindStored();
    for (size_t i = 0; i < subgraph_.ops.size(); ++i) {
      VerifyOp(subgraph_.ops[i], i);
      if (problems_.Full()) return;
    }
    problems_.SetPlace(
        fmt::format("subgraph {} '{}': ", index_, subgraph_.name));
    for (const int32_t output : subgraph_.outputs) {
      if (!InRange(output, subgraph_.tensors.size())) {
        problems_.Add("output is tensor {}; there are {}", output,
                      subgraph_.tensors.size());
      } else if (!available_[output]) {
        problems_.Add("output '{}' is written by nobody",
                      subgraph_.tensors[output].name);
      }
    }
  }

 private:
  // Values that are there before the first operator runs.
  void FindStored() {
    const size_t count = subgraph_.tensors.size();
    available_.assign(count, false);
    fixed_.assign(count, false);
    written_.assign(count, false);
    std::vector<bool> has_writer(count, false);
    for (const Op& op : subgraph_.ops) {
      for (const int32_t output : op.outputs) {
        if (InRange(output, count)) has_writer[output] = true;
      }
    }
    for (size_t i = 0; i < count; ++i) {
      const Tensor& tensor = subgraph_.tensors[i];
      fixed_[i] = graph_.IsConstant(tensor) || tensor.is_variable;
      // An empty tensor has no bytes to store and needs no writer; the shape of
      // one that has a writer may be another when that has run.
      available_[i] =
          fixed_[i] || (ElementCount(tensor.shape) == 0 && !has_writer[i]);
    }
    problems_.SetPlace(
        fmt::format("subgraph {} '{}': ", index_, subgraph_.name));
    for (const int32_t input : subgraph_.inputs) {
      if (!InRange(input, count)) {
        problems_.Add("input is tensor {}; there are {}", input, count);
        continue;
      }
      available_[input] = true;
      fixed_[input] = true;
    }
  }

  void VerifyOp(const Op& op, size_t index) {
    const size_t count = subgraph_.tensors.size();
    problems_.SetPlace(PlaceOf(index_, "operator", index, Name(op.code)));
    VerifyCode(op, problems_);
    VerifyOperandCounts(op, problems_);
    VerifyOptions(op, problems_);
    for (size_t i = 0; i < op.inputs.size(); ++i) {
      const int32_t input = op.inputs[i];
      if (input == kNoTensor) continue;
      if (!InRange(input, count)) {
        problems_.Add("input {} is tensor {}; there are {}", i, input, count);
      } else if (!available_[input]) {
        problems_.Add("input {} '{}' is not written before", i,
                      subgraph_.tensors[input].name);
      }
    }
    for (const int32_t tensor : op.intermediates) {
      if (tensor != kNoTensor && !InRange(tensor, count)) {
        problems_.Add("intermediate is tensor {}; there are {}", tensor, count);
      }
    }
    for (size_t i = 0; i < op.outputs.size(); ++i) {
      const int32_t output = op.outputs[i];
      if (!InRange(output, count)) {
        problems_.Add("output {} is tensor {}; there are {}", i, output, count);
        continue;
      }
      const std::string& name = subgraph_.tensors[output].name;
      if (fixed_[output]) {
        problems_.Add("output {} '{}' is a constant, variable or input", i,
                      name);
      } else if (written_[output]) {
        problems_.Add("output {} '{}' is written twice", i, name);
      }
      written_[output] = true;
      available_[output] = true;
    }
  }

  const Graph& graph_;
  const Subgraph& subgraph_;
  size_t index_;
  Problems& problems_;
  std::vector<bool> available_, fixed_, written_;
};

void VerifyNames(const std::vector<NamedTensor>& names,
                 const std::vector<int32_t>& allowed, size_t tensor_count,
                 std::string_view kind, Problems& problems) {
  std::set<std::string_view> seen;
  for (const NamedTensor& named : names) {
    if (!seen.insert(named.name).second) {
      problems.Add("{} '{}' stands twice", kind, named.name);
    }
    if (!InRange(named.tensor, tensor_count)) {
      problems.Add("{} '{}' is tensor {}; there are {}", kind, named.name,
                   named.tensor, tensor_count);
    } else if (std::ranges::find(allowed, static_cast<int32_t>(named.tensor)) ==
               allowed.end()) {
      problems.Add("{} '{}' is tensor {}, which is no {} of the subgraph", kind,
                   named.name, named.tensor, kind);
    }
    if (problems.Full()) return;
  }
}

void VerifySignatures(const Graph& graph, Problems& problems) {
  std::set<std::string_view> keys;
  for (const Signature& signature : graph.signatures) {
    problems.SetPlace(fmt::format("signature '{}': ", signature.key));
    if (!keys.insert(signature.key).second) problems.Add("stands twice");
    if (!InRange(signature.subgraph, graph.subgraphs.size())) {
      problems.Add("subgraph {}; there are {}", signature.subgraph,
                   graph.subgraphs.size());
      continue;
    }
    const Subgraph& subgraph = graph.subgraphs[signature.subgraph];
    VerifyNames(signature.inputs, subgraph.inputs, subgraph.tensors.size(),
                "input", problems);
    VerifyNames(signature.outputs, subgraph.outputs, subgraph.tensors.size(),
                "output", problems);
    if (problems.Full()) return;
  }
}

}  // namespace

Status Verify(const Graph& graph) {
  Problems problems;
  VerifyBuffers(graph, problems);
  VerifySizes(graph, problems);
  if (!problems.empty()) return problems.ToStatus();
  for (size_t i = 0; i < graph.subgraphs.size(); ++i) {
    SubgraphVerifier(graph, i, problems).Run();
    if (problems.Full()) return problems.ToStatus();
  }
  VerifySignatures(graph, problems);
  // Types and counts of arguments are read through indices that hold.
  if (problems.empty()) VerifyCalls(graph, problems);
  return problems.ToStatus();
}

}  // namespace lathe::graph
