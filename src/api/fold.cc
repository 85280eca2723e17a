#include "src/api/fold.h"

#include <algorithm>
#include <map>
#include <memory>

#include "src/base/thread_pool.h"
#include "src/graph/shapes.h"
#include "src/run/executor.h"

namespace lathe {
namespace {

using graph::OpCode;

// Time linear in the elements of inputs and outputs.
bool IsLinear(OpCode code) {
  switch (code) {
    case OpCode::kAbs:
    case OpCode::kAdd:
    case OpCode::kBroadcastTo:
    case OpCode::kCast:
    case OpCode::kCeil:
    case OpCode::kConcatenation:
    case OpCode::kCos:
    case OpCode::kDiv:
    case OpCode::kEqual:
    case OpCode::kExp:
    case OpCode::kExpandDims:
    case OpCode::kFill:
    case OpCode::kFloor:
    case OpCode::kFloorDiv:
    case OpCode::kFloorMod:
    case OpCode::kGather:
    case OpCode::kGatherNd:
    case OpCode::kGreater:
    case OpCode::kGreaterEqual:
    case OpCode::kLess:
    case OpCode::kLessEqual:
    case OpCode::kLog:
    case OpCode::kLogicalAnd:
    case OpCode::kLogicalNot:
    case OpCode::kLogicalOr:
    case OpCode::kLogistic:
    case OpCode::kMaximum:
    case OpCode::kMean:
    case OpCode::kMinimum:
    case OpCode::kMul:
    case OpCode::kNeg:
    case OpCode::kNotEqual:
    case OpCode::kPack:
    case OpCode::kPad:
    case OpCode::kPadv2:
    case OpCode::kPow:
    case OpCode::kRange:
    case OpCode::kReduceMax:
    case OpCode::kReduceMin:
    case OpCode::kReduceProd:
    case OpCode::kReshape:
    case OpCode::kReverseV2:
    case OpCode::kRound:
    case OpCode::kRsqrt:
    case OpCode::kSelect:
    case OpCode::kSelectV2:
    case OpCode::kSign:
    case OpCode::kSin:
    case OpCode::kSlice:
    case OpCode::kSplit:
    case OpCode::kSplitV:
    case OpCode::kSqrt:
    case OpCode::kSquare:
    case OpCode::kSquaredDifference:
    case OpCode::kSqueeze:
    case OpCode::kStridedSlice:
    case OpCode::kSub:
    case OpCode::kSum:
    case OpCode::kTanh:
    case OpCode::kTile:
    case OpCode::kTranspose:
    case OpCode::kUnpack:
      return true;
    default:
      return false;
  }
}

// A graph of this operator alone, whose inputs are its constants.
Result<graph::Graph> Alone(const graph::Graph& graph,
                           const graph::Subgraph& subgraph,
                           const graph::Op& op) {
  graph::Graph alone = graph::Graph::Empty();
  graph::Subgraph& only = alone.subgraphs.emplace_back();
  graph::Op& copy = only.ops.emplace_back(op);
  std::map<int32_t, int32_t> numbers;
  const auto take = [&](int32_t& t, bool constant) -> Status {
    if (t < 0) return {};
    const auto [at, added] =
        numbers.emplace(t, static_cast<int32_t>(only.tensors.size()));
    if (added) {
      graph::Tensor tensor = subgraph.tensors[static_cast<size_t>(t)];
      if (constant && tensor.quantization &&
          tensor.type != graph::Type::kFloat32) {
        return Unsupported("quantized constants are not folded");
      }
      tensor.quantization.reset();
      tensor.buffer = 0;
      if (constant) {
        tensor.buffer = static_cast<uint32_t>(alone.buffers.size());
        alone.buffers.push_back(
            graph.BufferOf(subgraph.tensors[static_cast<size_t>(t)]));
      }
      only.tensors.push_back(std::move(tensor));
    }
    t = at->second;
    return {};
  };
  for (int32_t& t : copy.inputs) LATHE_TRY(take(t, true));
  for (int32_t& t : copy.outputs) {
    LATHE_TRY(take(t, false));
    only.outputs.push_back(t);
  }
  return alone;
}

}  // namespace

Result<std::vector<std::vector<std::byte>>> EvaluateConstant(
    const graph::Graph& graph, const graph::Subgraph& subgraph,
    const graph::Op& op) {
  if (!IsLinear(op.code)) {
    return Unsupported("{} is not folded", Name(op.code));
  }
  LATHE_ASSIGN(const graph::Graph alone, Alone(graph, subgraph, op));
  const graph::Subgraph& only = alone.subgraphs[0];
  std::vector<graph::KnownTensor> known = graph::StoredTensors(alone, only);
  LATHE_TRY(graph::InferSubgraph(alone, only, known));
  uint64_t inputs = 0, outputs = 0;
  for (const graph::Buffer& buffer : alone.buffers) inputs += buffer.size();
  for (const int32_t t : only.outputs) {
    const graph::KnownTensor& facts = known[static_cast<size_t>(t)];
    outputs += graph::ByteCount(facts.type, facts.shape);
  }
  if (outputs > inputs + kMostGrowth) {
    return Unsupported("{} bytes from {}", outputs, inputs);
  }
  plan::PackedCache cache;
  run::Shared shared;
  shared.graph = &alone;
  shared.cache = &cache;
  shared.options.isa = Isa::kScalar;
  shared.options.threads = 1;
  shared.held = std::make_shared<run::Held>();
  LATHE_ASSIGN(const auto executor, run::Executor::Create(shared, 0, {}));
  ThreadPool pool(1);
  run::RunOptions options;
  options.pool = &pool;
  LATHE_TRY(executor->Run(options));
  std::vector<std::vector<std::byte>> values;
  for (const int32_t t : only.outputs) {
    const std::span<const std::byte> bytes = executor->Bytes(t);
    values.emplace_back(bytes.begin(), bytes.end());
  }
  return values;
}

}  // namespace lathe
