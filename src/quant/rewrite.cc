#include "src/quant/rewrite.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "src/base/half.h"
#include "src/graph/versions.h"
#include "src/quant/hadamard_ops.h"
#include "src/quant/inserter.h"
#include "src/quant/uniform.h"

namespace lathe::quant {
namespace {

using graph::Graph;
using graph::Op;
using graph::OpCode;
using graph::Subgraph;
using graph::Tensor;
using graph::Type;

Type TypeOf(const Grid& grid) {
  if (grid.is_float16) return Type::kFloat16;
  if (grid.bits == 2) return Type::kInt2;
  if (grid.bits == 4) return Type::kInt4;
  if (grid.bits <= 8) return grid.is_signed ? Type::kInt8 : Type::kUint8;
  if (grid.bits <= 16) return Type::kInt16;
  return grid.bits <= 32 ? Type::kInt32 : Type::kInt64;
}

constexpr std::string_view kAsymmetric = "asymmetric_quantize_inputs";

// An instruction under way: its tensor and producer move on when earlier steps
// put something in between.
struct Pending {
  Instruction instruction;
  int32_t tensor = 0;
  int32_t producer = kBoundary;  // Original operator, or an added one.
};

class Rewriter {
 public:
  Rewriter(const Graph& graph, Behaviour behaviour, ThreadPool* pool)
      : source_(graph),
        graph_(graph),
        compat_(behaviour == Behaviour::kCompat),
        pool_(pool),
        inserter_(graph_, behaviour) {
    for (const Subgraph& subgraph : graph.subgraphs) {
      std::vector<int32_t>& at = where_.emplace_back(subgraph.ops.size());
      for (size_t i = 0; i < at.size(); ++i) at[i] = static_cast<int32_t>(i);
    }
  }

  Result<Graph> Run(const std::vector<TensorInstructions>& all) {
    for (const TensorInstructions& one : all) {
      LATHE_TRY(Apply(one));
      for (const Instruction& step : one.steps) {
        const bool only_output =
            step.consumers == std::vector<int32_t>{kBoundary};
        dequantizes_output_ |= only_output && step.step == Step::kAddDequantize;
        quantizes_output_ |= only_output && step.step == Step::kAddQuantize;
      }
    }
    if (compat_) {
      if (dequantizes_output_) RenameSignatures("_dequant");
      if (quantizes_output_) RenameSignatures("_quantized");
      FollowOutputs(/*only_lost=*/true);
    } else {
      FollowOutputs(/*only_lost=*/false);
      QuantizeRowsAsymmetrically();
      RaiseVersions();
    }
    return std::move(graph_);
  }

 private:
  Status Apply(const TensorInstructions& one) {
    const size_t s = one.id.subgraph;
    std::vector<Pending> steps;
    for (const Instruction& step : one.steps) {
      steps.push_back({step, one.id.tensor, step.producer});
    }
    for (size_t i = 0; i < steps.size(); ++i) {
      const int32_t before = steps[i].tensor;
      const size_t operators = where_[s].size();
      LATHE_ASSIGN(const int32_t after, Perform(s, steps[i]));
      if (after == before) continue;
      const bool added = where_[s].size() != operators;
      for (size_t j = i + 1; j < steps.size(); ++j) {
        const auto& consumers = steps[i].instruction.consumers;
        const bool follows = std::ranges::any_of(
            steps[j].instruction.consumers, [&](int32_t op) {
              return std::ranges::find(consumers, op) != consumers.end();
            });
        if (!follows) continue;
        steps[j].tensor = after;
        if (added) {
          steps[j].producer = static_cast<int32_t>(where_[s].size() - 1);
        }
      }
    }
    return {};
  }

  // The tensor that the consumers read from now on.
  Result<int32_t> Perform(size_t s, const Pending& pending) {
    const Instruction& step = pending.instruction;
    const std::string name = inserter_.TensorAt(s, pending.tensor).name;
    switch (step.step) {
      case Step::kNothing:
        return pending.tensor;
      case Step::kRetype:
        Retype(s, pending.tensor, *step.grid);
        return pending.tensor;
      case Step::kAddQuantize:
        return Convert(s, pending, OpCode::kQuantize, "_quantized");
      case Step::kAddDequantize:
        return Convert(s, pending, OpCode::kDequantize, "_dequant");
      case Step::kDuplicateBuffer: {
        Tensor& tensor = inserter_.TensorAt(s, pending.tensor);
        const uint32_t copy =
            inserter_.AddBuffer(source_.buffers[tensor.buffer]);
        inserter_.TensorAt(s, pending.tensor).buffer = copy;
        return pending.tensor;
      }
      case Step::kDuplicateTensor:
        return DuplicateTensor(s, pending);
      case Step::kRotate:
      case Step::kRotateInParts:
        return Rotate(s, pending);
      case Step::kMultiply:
        return Multiply(s, pending);
    }
    return pending.tensor;
  }

  // --- Tensors --------------------------------------------------------------

  void Retype(size_t s, int32_t t, const Grid& grid) {
    const uint32_t buffer = inserter_.TensorAt(s, t).buffer;
    if (buffer != 0 && grid.data != nullptr) {
      graph_.buffers[buffer] = Produced(grid.data, pool_);
    }
    inserter_.TensorAt(s, t).type = TypeOf(grid);
    if (grid.is_float16) {
      if (!compat_) inserter_.TensorAt(s, t).quantization.reset();
      return;
    }
    graph::Quantization made;
    if (grid.block > 0) {
      made.details = graph::Quantization::Details::kBlockwise;
      made.scales_tensor = AddBlockScales(s, t, grid);
      made.zero_points_tensor = -1;
      made.block_size = static_cast<int32_t>(grid.block);
    } else {
      for (const double scale : grid.scale) {
        made.scale.push_back(static_cast<float>(scale));
      }
      made.zero_point = grid.zero_point;
      made.axis = grid.axis.value_or(0);
    }
    inserter_.TensorAt(s, t).quantization = std::move(made);
  }

  int32_t AddBlockScales(size_t s, int32_t t, const Grid& grid) {
    std::vector<uint16_t> halves;
    for (const double scale : grid.scale) {
      halves.push_back(FloatToHalf(BlockScale(static_cast<float>(scale))));
    }
    const Tensor& tensor = inserter_.TensorAt(s, t);
    graph::Shape shape = tensor.shape;
    shape.back() /= static_cast<int32_t>(grid.block);
    return inserter_.AddConstant(s, tensor.name + "_scales", Type::kFloat16,
                                 shape, std::as_bytes(std::span(halves)));
  }

  Result<int32_t> DuplicateTensor(size_t s, const Pending& pending) {
    const Tensor from = inserter_.TensorAt(s, pending.tensor);
    const std::string name = fmt::format("{}_duplicated_{}", from.name,
                                         graph_.subgraphs[s].tensors.size());
    const int32_t copy = inserter_.AddTensor(
        s, name, from.type, from.shape,
        compat_ ? std::vector<int32_t>() : from.shape_signature);
    const uint32_t original =
        source_.subgraphs[s].tensors[pending.tensor].buffer;
    inserter_.TensorAt(s, copy).buffer =
        inserter_.AddBuffer(source_.buffers[original]);
    for (const int32_t consumer : pending.instruction.consumers) {
      if (consumer == kBoundary) {
        std::ranges::replace(graph_.subgraphs[s].outputs, pending.tensor, copy);
        continue;
      }
      auto& inputs = OpAt(s, consumer).inputs;
      const auto found = std::ranges::find(inputs, pending.tensor);
      if (found != inputs.end()) *found = copy;
    }
    return copy;
  }

  // --- Operators ------------------------------------------------------------

  Op& OpAt(size_t s, int32_t id) {
    return graph_.subgraphs[s].ops[where_[s][id]];
  }

  // Before the first consumer, but behind the producer; outputs of the subgraph
  // are consumed right behind the producer.
  void Insert(size_t s, const Pending& pending, std::vector<Op> ops) {
    int32_t first = std::numeric_limits<int32_t>::max();
    for (const int32_t consumer : pending.instruction.consumers) {
      first = std::min(first,
                       consumer == kBoundary ? kBoundary : where_[s][consumer]);
    }
    const int32_t behind =
        pending.producer == kBoundary ? 0 : where_[s][pending.producer] + 1;
    const int32_t at = std::max(behind, first);
    const auto count = static_cast<int32_t>(ops.size());
    for (int32_t& position : where_[s]) {
      if (position >= at) position += count;
    }
    where_[s].push_back(at + count - 1);
    auto& all = graph_.subgraphs[s].ops;
    all.insert(all.begin() + at, std::make_move_iterator(ops.begin()),
               std::make_move_iterator(ops.end()));
  }

  // Consumers of `from` read `to`. kCompat follows the older tool: it takes the
  // boundary for the last operator, and moves the subgraph's outputs whoever
  // asked (reference A3, A4).
  void Rewire(size_t s, const Pending& pending, int32_t to) {
    Subgraph& subgraph = graph_.subgraphs[s];
    bool has_boundary = false;
    for (const int32_t consumer : pending.instruction.consumers) {
      has_boundary |= consumer == kBoundary;
      if (consumer == kBoundary && (!compat_ || subgraph.ops.empty())) continue;
      Op& op = consumer == kBoundary ? subgraph.ops.back() : OpAt(s, consumer);
      std::ranges::replace(op.inputs, pending.tensor, to);
    }
    if (has_boundary || compat_) {
      std::ranges::replace(subgraph.outputs, pending.tensor, to);
    }
  }

  int32_t AddLike(size_t s, int32_t t, std::string_view suffix) {
    const Tensor from = inserter_.TensorAt(s, t);
    return inserter_.AddTensor(
        s, from.name + std::string(suffix), Type::kFloat32, from.shape,
        compat_ ? std::vector<int32_t>() : from.shape_signature);
  }

  // A QUANTIZE makes the new tensor integers, a DEQUANTIZE the old one.
  Result<int32_t> Convert(size_t s, const Pending& pending, OpCode code,
                          std::string_view suffix) {
    const int32_t to = AddLike(s, pending.tensor, suffix);
    Op op = inserter_.MakeOp(code, {pending.tensor}, {to});
    if (!compat_) {
      op.options.table =
          code == OpCode::kQuantize ? "QuantizeOptions" : "DequantizeOptions";
    }
    Retype(s, code == OpCode::kQuantize ? to : pending.tensor,
           *pending.instruction.grid);
    Rewire(s, pending, to);
    std::vector<Op> ops;
    ops.push_back(std::move(op));
    Insert(s, pending, std::move(ops));
    return to;
  }

  // FULLY_CONNECTED consumers read `to` as their input.
  void RewireInputs(size_t s, const Pending& pending, int32_t to) {
    for (const int32_t consumer : pending.instruction.consumers) {
      if (consumer == kBoundary) continue;
      Op& op = OpAt(s, consumer);
      if (op.code == OpCode::kFullyConnected) op.inputs[0] = to;
    }
  }

  Result<int32_t> Rotate(size_t s, const Pending& pending) {
    const int64_t size = pending.instruction.grid->hadamard_size;
    if (size == 0) {
      return Invalid("tensor \"{}\": a rotation without its size",
                     inserter_.TensorAt(s, pending.tensor).name);
    }
    const bool custom = pending.instruction.step == Step::kRotate;
    Inserted made =
        !compat_ ? RotateByFactors(inserter_, s, pending.tensor, size)
        : custom ? RotateByCustomOp(inserter_, s, pending.tensor, size)
                 : RotateByMatrix(inserter_, s, pending.tensor, size);
    // The older tool looks at the producer, whoever asked.
    const bool behind_table =
        compat_ ? pending.producer != kBoundary &&
                      OpAt(s, pending.producer).code == OpCode::kEmbeddingLookup
                : pending.instruction.from_producer;
    if (behind_table && !compat_) {
      Rewire(s, pending, made.output);
    } else if (behind_table) {
      for (const int32_t consumer : pending.instruction.consumers) {
        if (consumer == kBoundary) continue;
        std::ranges::replace(OpAt(s, consumer).inputs, pending.tensor,
                             made.output);
      }
    } else {
      RewireInputs(s, pending, made.output);
    }
    if (compat_ && (custom || behind_table)) {
      std::ranges::replace(graph_.subgraphs[s].outputs, pending.tensor,
                           made.output);
    }
    Insert(s, pending, std::move(made.ops));
    return made.output;
  }

  Result<int32_t> Multiply(size_t s, const Pending& pending) {
    const std::vector<float>& factors = pending.instruction.grid->multiplier;
    const Tensor from = inserter_.TensorAt(s, pending.tensor);
    const int32_t by = inserter_.AddConstant(
        s, from.name + "_multiplier", Type::kFloat32,
        {static_cast<int32_t>(factors.size())},
        std::as_bytes(std::span(factors)), /*shares_tensor=*/true);
    const int32_t to =
        inserter_.AddTensor(s, from.name + "_scaled", Type::kFloat32,
                            from.shape, from.shape_signature);
    Op op = inserter_.MakeOp(OpCode::kMul, {pending.tensor, by}, {to}, true);
    op.options.table = "MulOptions";
    RewireInputs(s, pending, to);
    std::vector<Op> ops;
    ops.push_back(std::move(op));
    Insert(s, pending, std::move(ops));
    return to;
  }

  // --- The whole graph ------------------------------------------------------

  // As the older tool: by names.
  void RenameSignatures(std::string_view suffix) {
    for (graph::Signature& signature : graph_.signatures) {
      const Subgraph& subgraph = graph_.subgraphs[signature.subgraph];
      for (const int32_t output : subgraph.outputs) {
        for (graph::NamedTensor& item : signature.outputs) {
          if (subgraph.tensors[item.tensor].name + std::string(suffix) ==
              subgraph.tensors[output].name) {
            item.tensor = static_cast<uint32_t>(output);
            break;
          }
        }
      }
    }
  }

  // Where an output of the subgraph moved, the signature's moves. `only_lost`:
  // only where it would name no output, which no reader takes.
  void FollowOutputs(bool only_lost) {
    for (graph::Signature& signature : graph_.signatures) {
      const auto& before = source_.subgraphs[signature.subgraph].outputs;
      const auto& after = graph_.subgraphs[signature.subgraph].outputs;
      for (graph::NamedTensor& item : signature.outputs) {
        const auto tensor = static_cast<int32_t>(item.tensor);
        const bool lost = std::ranges::find(after, tensor) == after.end();
        const auto found = std::ranges::find(before, tensor);
        if (found != before.end() && (lost || !only_lost)) {
          item.tensor = static_cast<uint32_t>(after[found - before.begin()]);
        }
      }
    }
  }

  // Operators whose operands changed state the version that has them.
  // Rows of floats have a zero point where int8 weights meet them: behind a
  // RELU or a SOFTMAX half of the symmetric range would be empty. XNNPACK does
  // so unasked, the built-in kernels only with this flag (format
  // reference 2.3).
  void QuantizeRowsAsymmetrically() {
    for (size_t s = 0; s < graph_.subgraphs.size(); ++s) {
      Subgraph& subgraph = graph_.subgraphs[s];
      const auto& old = source_.subgraphs[s].tensors;
      for (Op& op : subgraph.ops) {
        if (op.code != OpCode::kFullyConnected &&
            op.code != OpCode::kBatchMatmul) {
          continue;
        }
        const auto type = [&](int32_t t) { return subgraph.tensors[t].type; };
        const int32_t w = op.inputs[1];
        const bool was_float = static_cast<size_t>(w) >= old.size() ||
                               old[w].type == Type::kFloat32;
        if (type(op.inputs[0]) == Type::kFloat32 && type(w) == Type::kInt8 &&
            was_float && !op.options.Bool(kAsymmetric)) {
          op.options.fields.push_back({std::string(kAsymmetric), true});
        }
      }
    }
  }

  void RaiseVersions() {
    for (size_t s = 0; s < graph_.subgraphs.size(); ++s) {
      Subgraph& subgraph = graph_.subgraphs[s];
      const auto& old = source_.subgraphs[s].tensors;
      std::vector<graph::KnownTensor> known;
      for (const Tensor& tensor : subgraph.tensors) {
        known.push_back({tensor.type, tensor.shape, {}});
      }
      for (Op& op : subgraph.ops) {
        bool changed = false;
        const auto operands = [&](const std::vector<int32_t>& tensors) {
          std::vector<const graph::KnownTensor*> found;
          for (const int32_t t : tensors) {
            found.push_back(t < 0 ? nullptr : &known[t]);
            changed |= t >= 0 && (static_cast<size_t>(t) >= old.size() ||
                                  old[t].type != subgraph.tensors[t].type);
          }
          return found;
        };
        const auto inputs = operands(op.inputs);
        const auto outputs = operands(op.outputs);
        if (!changed) continue;
        op.version =
            std::max(op.version, graph::LowestVersion(op, inputs, outputs));
      }
    }
  }

  const Graph& source_;
  Graph graph_;
  const bool compat_;
  ThreadPool* pool_;
  Inserter inserter_;
  // By subgraph: positions of the original operators, then of the last operator
  // of each insertion.
  std::vector<std::vector<int32_t>> where_;
  bool dequantizes_output_ = false, quantizes_output_ = false;
};

}  // namespace

Result<Graph> Rewrite(const Graph& graph,
                      std::vector<TensorInstructions> instructions,
                      Behaviour behaviour, ThreadPool* pool) {
  return Rewriter(graph, behaviour, pool).Run(instructions);
}

}  // namespace lathe::quant
