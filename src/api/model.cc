// Opening models: format, passes, signatures.

#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "src/api/fold.h"
#include "src/api/state.h"
#include "src/base/mapped_file.h"
#include "src/format/tflite/tflite.h"
#include "src/passes/pipeline.h"
#include "src/plan/plan.h"

namespace lathe {

std::string_view Name(ElementType type) {
  return graph::Name(static_cast<graph::Type>(type));
}

Threads::Threads(int count)
    : state_(std::make_shared<State>(count > 0 ? count : UsableCores())) {}

int Threads::count() const { return static_cast<int>(state_->pool.threads()); }

Result<Isa> ChooseIsa(const std::string& name) {
  if (name.empty()) return BestIsa();
  std::string usable;
  for (const Isa isa : KnownIsas()) {
    if (CpuHas(isa)) usable += fmt::format(" {}", Name(isa));
  }
  const std::optional<Isa> isa = IsaNamed(name);
  if (!isa) {
    return Fail(ErrorCode::kUsage, "ISA \"{}\" is not known; usable here:{}",
                name, usable);
  }
  if (!CpuHas(*isa)) {
    return Unsupported("this CPU lacks {}; usable here:{}", name, usable);
  }
  return *isa;
}

TensorInfo DescribeTensor(const graph::Graph& graph,
                          const graph::Subgraph& subgraph, int32_t index,
                          const std::string& name) {
  const graph::Tensor& tensor = subgraph.tensors[static_cast<size_t>(index)];
  TensorInfo info;
  info.name = name.empty() ? tensor.name : name;
  info.tensor = tensor.name;
  info.index = index;
  info.type = static_cast<ElementType>(tensor.type);
  info.shape = tensor.shape;
  info.shape_signature = tensor.shape_signature;
  if (tensor.quantization) {
    info.quantization.scales = tensor.quantization->scale;
    info.quantization.zero_points = tensor.quantization->zero_point;
    info.quantization.axis = tensor.quantization->axis;
  }
  info.is_constant = graph.IsConstant(tensor);
  return info;
}

std::vector<SignatureInfo> DescribeSignatures(const graph::Graph& graph) {
  std::vector<SignatureInfo> all;
  for (const graph::Signature& signature : graph.signatures) {
    const graph::Subgraph& subgraph = graph.subgraphs[signature.subgraph];
    SignatureInfo info;
    info.key = signature.key;
    info.subgraph = signature.subgraph;
    for (const graph::NamedTensor& input : signature.inputs) {
      info.inputs.push_back(DescribeTensor(
          graph, subgraph, static_cast<int32_t>(input.tensor), input.name));
    }
    for (const graph::NamedTensor& output : signature.outputs) {
      info.outputs.push_back(DescribeTensor(
          graph, subgraph, static_cast<int32_t>(output.tensor), output.name));
    }
    all.push_back(std::move(info));
  }
  if (all.empty() && !graph.subgraphs.empty()) {
    const graph::Subgraph& subgraph = graph.subgraphs[0];
    SignatureInfo info;
    for (const int32_t input : subgraph.inputs) {
      info.inputs.push_back(DescribeTensor(graph, subgraph, input, {}));
    }
    for (const int32_t output : subgraph.outputs) {
      info.outputs.push_back(DescribeTensor(graph, subgraph, output, {}));
    }
    all.push_back(std::move(info));
  }
  return all;
}

namespace {

// Subgraphs that some operator takes as the rule to combine two values by; they
// are read when it is planned and never run.
std::vector<bool> RegionSubgraphs(const graph::Graph& graph) {
  std::vector<bool> regions(graph.subgraphs.size(), false);
  for (const graph::Subgraph& subgraph : graph.subgraphs) {
    for (const graph::Op& op : subgraph.ops) {
      if (op.code == graph::OpCode::kStablehloReduceWindow) {
        regions[op.options.Int("body_subgraph_index")] = true;
      } else if (op.code == graph::OpCode::kStablehloScatter) {
        regions[op.options.Int("update_computation_subgraph_index")] = true;
      }
    }
  }
  return regions;
}

Status CheckOperators(const graph::Graph& graph, const std::string& name) {
  std::string problems;
  size_t count = 0;
  const std::vector<bool> regions = RegionSubgraphs(graph);
  for (size_t s = 0; s < graph.subgraphs.size(); ++s) {
    if (regions[s]) continue;
    const graph::Subgraph& subgraph = graph.subgraphs[s];
    for (size_t i = 0; i < subgraph.ops.size(); ++i) {
      const graph::Op& op = subgraph.ops[i];
      const std::string why = plan::WhyUnsupported(graph, subgraph, op);
      if (why.empty()) continue;
      ++count;
      const std::string output =
          op.outputs.empty() ? "" : subgraph.tensors[op.outputs[0]].name;
      problems += fmt::format("\n  subgraph {} operator {} (\"{}\"): {}", s, i,
                              output, why);
    }
  }
  if (count == 0) return {};
  return Unsupported("{}: {} operators cannot run:{}", name, count, problems);
}

Status Finish(Model::State& state) {
  LATHE_TRY(CheckOperators(state.graph, state.name));
  state.signatures = DescribeSignatures(state.graph);
  if (state.signatures.empty()) {
    return Invalid("{}: has no subgraph", state.name);
  }
  passes::PassOptions options;
  options.skip = state.options.skip_passes;
  options.fold = EvaluateConstant;
  return passes::RunPasses(state.graph, options);
}

}  // namespace

Result<Model> Model::Open(const std::string& path,
                          const ModelOptions& options) {
  return Guarded([&]() -> Result<Model> {
    LATHE_ASSIGN(std::shared_ptr<const MappedFile> file,
                 MappedFile::Open(path));
    auto state = std::make_shared<State>();
    state->name = path;
    state->file = file->bytes();
    state->owner = file;
    state->mapped = true;
    state->options = options;
    format::ExternalFiles external(path);
    LATHE_ASSIGN(state->graph,
                 format::ReadTflite(state->file, file, path, &external));
    for (const auto& [name, part] : external.files()) {
      state->external.push_back(part);
    }
    LATHE_TRY(Finish(*state));
    return Model(std::move(state));
  });
}

Result<Model> Model::FromMemory(std::vector<std::byte> bytes,
                                const std::string& name,
                                const ModelOptions& options) {
  return Guarded([&]() -> Result<Model> {
    auto owner = std::make_shared<std::vector<std::byte>>(std::move(bytes));
    auto state = std::make_shared<State>();
    state->name = name;
    state->file = *owner;
    state->owner = owner;
    state->options = options;
    LATHE_ASSIGN(state->graph, format::ReadTflite(*owner, owner, name));
    LATHE_TRY(Finish(*state));
    return Model(std::move(state));
  });
}

std::span<const SignatureInfo> Model::signatures() const {
  return state_->signatures;
}

Result<uint64_t> Model::ContentHash() const {
  const std::lock_guard lock(state_->hash_mutex);
  if (!state_->hash) {
    // In pieces, so that the whole file need not be resident at once.
    constexpr size_t kPiece = size_t{16} << 20;
    XXH3_state_t* hash = XXH3_createState();
    if (hash == nullptr) return SystemError("out of memory");
    XXH3_64bits_reset(hash);
    const auto add = [&](std::span<const std::byte> file) {
      for (size_t at = 0; at < file.size(); at += kPiece) {
        const auto piece = file.subspan(at, std::min(kPiece, file.size() - at));
        XXH3_64bits_update(hash, piece.data(), piece.size());
        if (state_->mapped) GiveBackPages(piece);
      }
    };
    add(state_->file);
    for (const auto& part : state_->external) add(part->bytes());
    state_->hash = XXH3_64bits_digest(hash);
    XXH3_freeState(hash);
  }
  return *state_->hash;
}

}  // namespace lathe
