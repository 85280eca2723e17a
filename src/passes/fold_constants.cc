// Computes operators whose inputs are all constants.

#include <algorithm>
#include <cstring>
#include <optional>

#include "src/graph/shapes.h"
#include "src/passes/match.h"
#include "src/passes/passes.h"

namespace lathe::passes {
namespace {

using graph::Graph;
using graph::KnownTensor;
using graph::Op;
using graph::OpCode;
using graph::Subgraph;
using graph::Tensor;
using graph::Type;

// All folded constants of a graph together: a small file must not grow to
// fill the memory.
constexpr uint64_t kMostFoldedBytes = uint64_t{256} << 20;
// All that is read and written to work constants out: a small file must not
// take long to open. What one operator costs however small it is, counts as
// kLeastWork bytes.
constexpr uint64_t kMostWork = uint64_t{256} << 20;
constexpr uint64_t kLeastWork = uint64_t{16} << 10;

// What has been spent on a graph.
struct Spent {
  uint64_t folded_bytes = 0, work = 0;
};

// What stays although its inputs are constants. A DEQUANTIZE of weights would
// double them; kernels read the narrow ones. The others have side effects, run
// subgraphs, or give other values each time.
bool MustStay(OpCode code) {
  switch (code) {
    case OpCode::kDequantize:
    case OpCode::kDensify:
    case OpCode::kCustom:
    case OpCode::kDelegate:
    case OpCode::kCall:
    case OpCode::kCallOnce:
    case OpCode::kIf:
    case OpCode::kWhile:
    case OpCode::kVarHandle:
    case OpCode::kReadVariable:
    case OpCode::kAssignVariable:
    case OpCode::kHashtable:
    case OpCode::kHashtableFind:
    case OpCode::kHashtableImport:
    case OpCode::kHashtableSize:
    case OpCode::kRandomStandardNormal:
    case OpCode::kRandomUniform:
    case OpCode::kMultinomial:
    case OpCode::kStablehloRngBitGenerator:
    case OpCode::kStablehloWhile:
    case OpCode::kStablehloCase:
    case OpCode::kStablehloCustomCall:
    case OpCode::kStablehloComposite:
      return true;
    default:
      return false;
  }
}

template <typename T>
std::vector<std::byte> Narrow(const std::vector<int64_t>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) {
    const T value = static_cast<T>(values[i]);
    std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
  return bytes;
}

// Bytes of small integers that the shape rules know; empty where they do not.
std::vector<std::byte> BytesOf(const KnownTensor& known) {
  if (!known.values ||
      known.values->size() != graph::ElementCount(known.shape)) {
    return {};
  }
  switch (known.type) {
    case Type::kInt32:
      return Narrow<int32_t>(*known.values);
    case Type::kInt64:
      return Narrow<int64_t>(*known.values);
    case Type::kBool:
      return Narrow<uint8_t>(*known.values);
    default:
      return {};
  }
}

class Folder {
 public:
  Folder(Graph& graph, Subgraph& subgraph, const PassOptions& options,
         Spent& spent)
      : graph_(graph),
        subgraph_(subgraph),
        options_(options),
        spent_(spent),
        fixed_shapes_(!HasResizableInputs(graph)),
        known_(graph::StoredTensors(graph, subgraph)),
        is_output_(subgraph.tensors.size()) {
    for (const int32_t output : subgraph.outputs) is_output_[output] = true;
    for (size_t t = 0; t < known_.size(); ++t) {
      known_[t].type = subgraph.tensors[t].type;
      known_[t].shape = subgraph.tensors[t].shape;
    }
  }

  void Run() {
    std::vector<Op> kept;
    kept.reserve(subgraph_.ops.size());
    for (Op& op : subgraph_.ops) {
      if (!Fold(op)) kept.push_back(std::move(op));
    }
    subgraph_.ops = std::move(kept);
  }

 private:
  // Whether the operator's outputs are now constants.
  bool Fold(const Op& op) {
    std::vector<const KnownTensor*> inputs;
    bool all_constant = !op.inputs.empty();
    for (const int32_t input : op.inputs) {
      inputs.push_back(input < 0 ? nullptr : &known_[input]);
      all_constant = all_constant && (input < 0 || IsPlain(input));
    }
    auto made = graph::InferOp(graph_, op, inputs);
    if (!made || made->size() != op.outputs.size() || made->empty()) {
      return false;
    }
    for (size_t i = 0; i < made->size(); ++i) {
      known_[op.outputs[i]] = (*made)[i];
    }
    if (MustStay(op.code) || !OutputsMayChange(op)) return false;
    if (fixed_shapes_ && StoreKnown(op)) return true;
    if (!all_constant) return false;
    return ShareReshaped(op) || Evaluate(op);
  }

  // A constant with its bytes at hand, each element by itself.
  bool IsPlain(int32_t tensor) const {
    const Tensor& facts = subgraph_.tensors[tensor];
    return !graph_.BufferOf(facts).bytes.empty() && !facts.sparsity &&
           !facts.is_variable && facts.external_buffer == 0;
  }

  // A caller reads outputs from where operators write them. A quantized output
  // would need its scale applied.
  bool OutputsMayChange(const Op& op) const {
    uint64_t bytes = 0;
    for (const int32_t output : op.outputs) {
      const Tensor& facts = subgraph_.tensors[output];
      if (is_output_[output] || facts.is_variable || facts.quantization ||
          facts.type != known_[output].type ||
          graph::BitsPerElement(facts.type) < 8) {
        return false;
      }
      const uint64_t size = graph::ByteCount(facts.type, known_[output].shape);
      // Nothing to store makes no constant.
      if (size == 0 || size > kMostFoldedBytes) return false;
      bytes += size;
    }
    return bytes <= options_.largest_fold_bytes &&
           bytes <= kMostFoldedBytes - spent_.folded_bytes;
  }

  void Store(int32_t output, uint32_t buffer) {
    Tensor& tensor = subgraph_.tensors[output];
    tensor.shape = known_[output].shape;
    tensor.shape_signature.clear();
    tensor.buffer = buffer;
    Subgraph one;
    one.tensors.push_back(tensor);
    known_[output] = graph::StoredTensors(graph_, one)[0];
  }

  bool StoreKnown(const Op& op) {
    std::vector<std::vector<std::byte>> all;
    for (const int32_t output : op.outputs) {
      all.push_back(BytesOf(known_[output]));
      if (all.back().empty()) return false;
    }
    StoreAll(op, all);
    return true;
  }

  void StoreAll(const Op& op, const std::vector<std::vector<std::byte>>& all) {
    for (size_t i = 0; i < all.size(); ++i) {
      spent_.folded_bytes += all[i].size();
      graph_.buffers.push_back(graph::MakeBuffer(all[i]));
      Store(op.outputs[i], static_cast<uint32_t>(graph_.buffers.size() - 1));
    }
  }

  // A reshaped constant has the same bytes: both tensors name one buffer.
  bool ShareReshaped(const Op& op) {
    if (op.code != OpCode::kReshape && op.code != OpCode::kSqueeze &&
        op.code != OpCode::kExpandDims) {
      return false;
    }
    const Tensor& from = subgraph_.tensors[op.inputs[0]];
    const KnownTensor& to = known_[op.outputs[0]];
    const graph::Buffer& buffer = graph_.BufferOf(from);
    if (from.quantization || from.type != to.type ||
        buffer.size() != graph::ByteCount(to.type, to.shape)) {
      return false;
    }
    Store(op.outputs[0], from.buffer);
    return true;
  }

  bool Evaluate(const Op& op) {
    if (!options_.fold) return false;
    uint64_t work = kLeastWork;
    for (const int32_t input : op.inputs) {
      if (input >= 0) work += graph_.BufferOf(subgraph_.tensors[input]).size();
    }
    for (const int32_t output : op.outputs) {
      work += graph::ByteCount(known_[output].type, known_[output].shape);
    }
    if (work > kMostWork - spent_.work) return false;
    spent_.work += work;
    const auto values = options_.fold(graph_, subgraph_, op);
    if (!values || values->size() != op.outputs.size()) return false;
    for (size_t i = 0; i < values->size(); ++i) {
      const KnownTensor& known = known_[op.outputs[i]];
      if ((*values)[i].size() != graph::ByteCount(known.type, known.shape)) {
        return false;
      }
    }
    StoreAll(op, *values);
    return true;
  }

  Graph& graph_;
  Subgraph& subgraph_;
  const PassOptions& options_;
  Spent& spent_;
  bool fixed_shapes_;
  std::vector<KnownTensor> known_;
  std::vector<bool> is_output_;
};

}  // namespace

Status FoldConstants(Graph& graph, const PassOptions& options) {
  Spent spent;
  for (Subgraph& subgraph : graph.subgraphs) {
    Folder(graph, subgraph, options, spent).Run();
  }
  return {};
}

}  // namespace lathe::passes
