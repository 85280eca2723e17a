// Sessions: names, resizing, running.

#include <algorithm>
#include <charconv>
#include <utility>

#include "src/api/state.h"
#include "src/graph/shapes.h"
#include "src/plan/plan.h"

namespace lathe {

struct Session::State {
  std::shared_ptr<Model::State> model;
  Threads threads{1};
  SessionOptions options;
  Isa isa = Isa::kScalar;
  size_t subgraph = 0;
  std::vector<int32_t> input_tensors, output_tensors;  // As inputs, outputs.
  std::vector<TensorInfo> inputs, outputs;
  run::Session session;
  std::vector<StepInfo> steps;

  const graph::Subgraph& Graph() const {
    return model->graph.subgraphs[subgraph];
  }

  // Plans for the inputs' shapes in `shapes` (as input_tensors).
  Status Prepare(const std::vector<std::vector<int32_t>>& shapes) {
    std::vector<graph::KnownTensor> known =
        graph::StoredTensors(model->graph, Graph());
    for (size_t i = 0; i < shapes.size(); ++i) {
      known[input_tensors[i]].shape = shapes[i];
    }
    LATHE_TRY(graph::InferSubgraph(model->graph, Graph(), known));
    plan::PlanOptions plan_options;
    plan_options.isa = isa;
    plan_options.threads = threads.state()->pool.threads();
    plan_options.memory_limit_bytes = model->options.memory_limit_bytes;
    if (model->mapped) plan_options.mapping = model->file;
    LATHE_ASSIGN(plan::Plan made, plan::MakePlan(model->graph, subgraph, known,
                                                 plan_options, model->packed));
    LATHE_ASSIGN(run::Session next, run::Session::Create(std::move(made)));
    session = std::move(next);

    for (size_t i = 0; i < inputs.size(); ++i) {
      inputs[i].shape = known[input_tensors[i]].shape;
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      outputs[i].shape = known[output_tensors[i]].shape;
    }
    steps.clear();
    for (const plan::Step& step : session.plan().steps) {
      StepInfo info;
      info.name = step.name;
      info.kernel = step.kernel;
      info.flops = step.flops;
      if (!step.outputs.empty()) {
        info.tensor = session.plan().tensors[step.outputs[0]].name;
      }
      steps.push_back(std::move(info));
    }
    return {};
  }
};

namespace {

// The position of a tensor by name or "#2".
Result<size_t> FindTensor(std::span<const TensorInfo> all,
                          std::string_view name, std::string_view what) {
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].name == name) return i;
  }
  if (name.starts_with('#')) {
    size_t index = 0;
    const auto [end, error] =
        std::from_chars(name.data() + 1, name.data() + name.size(), index);
    if (error == std::errc() && end == name.data() + name.size() &&
        index < all.size()) {
      return index;
    }
  }
  std::string names;
  for (const TensorInfo& tensor : all) {
    names += fmt::format(" \"{}\"", tensor.name);
  }
  return Fail(ErrorCode::kUsage, "no {} \"{}\"; there are:{}", what, name,
              names);
}

Status CheckType(const TensorInfo& tensor, ElementType type) {
  if (tensor.type == type) return {};
  return Fail(ErrorCode::kUsage, "\"{}\" holds {}, asked for {}", tensor.name,
              Name(tensor.type), Name(type));
}

}  // namespace

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::Create(const Model& model,
                                const SessionOptions& options) {
  return Guarded([&]() -> Result<Session> {
    auto state = std::make_unique<State>();
    state->model = model.state();
    state->options = options;
    state->threads = options.threads ? *options.threads : Threads();
    LATHE_ASSIGN(state->isa, ChooseIsa(options.isa));

    const graph::Graph& graph = state->model->graph;
    size_t index = 0;
    if (!options.signature.empty()) {
      const auto& all = state->model->signatures;
      const auto found =
          std::ranges::find(all, options.signature, &SignatureInfo::key);
      if (found == all.end()) {
        std::string keys;
        for (const SignatureInfo& s : all) {
          keys += fmt::format(" \"{}\"", s.key);
        }
        return Fail(ErrorCode::kUsage, "{}: no signature \"{}\"; there are:{}",
                    state->model->name, options.signature, keys);
      }
      index = static_cast<size_t>(found - all.begin());
    }
    const SignatureInfo& signature = state->model->signatures[index];
    state->inputs = signature.inputs;
    state->outputs = signature.outputs;
    if (graph.signatures.empty()) {
      state->input_tensors = graph.subgraphs[0].inputs;
      state->output_tensors = graph.subgraphs[0].outputs;
    } else {
      const graph::Signature& stored = graph.signatures[index];
      state->subgraph = stored.subgraph;
      for (const auto& input : stored.inputs) {
        state->input_tensors.push_back(static_cast<int32_t>(input.tensor));
      }
      for (const auto& output : stored.outputs) {
        state->output_tensors.push_back(static_cast<int32_t>(output.tensor));
      }
    }
    std::vector<std::vector<int32_t>> shapes;
    for (const TensorInfo& input : state->inputs) {
      shapes.push_back(input.shape);
    }
    LATHE_TRY(state->Prepare(shapes));
    return Session(std::move(state));
  });
}

std::span<const TensorInfo> Session::inputs() const { return state_->inputs; }
std::span<const TensorInfo> Session::outputs() const { return state_->outputs; }
std::span<const StepInfo> Session::steps() const { return state_->steps; }

SessionStats Session::stats() const {
  SessionStats stats;
  stats.arena_bytes = state_->session.plan().arena_bytes;
  stats.packed_bytes = state_->model->packed.bytes();
  stats.peak_step = state_->session.plan().peak_step;
  return stats;
}

Result<std::span<std::byte>> Session::InputBytes(std::string_view name) {
  LATHE_ASSIGN(const size_t i, FindTensor(state_->inputs, name, "input"));
  const int32_t tensor = state_->input_tensors[i];
  const plan::PlanTensor& facts = state_->session.plan().tensors[tensor];
  // An input without elements counts as known.
  if (facts.home == plan::Home::kConstant && facts.bytes > 0) {
    return Invalid("input \"{}\" is a stored constant and cannot be written",
                   state_->inputs[i].name);
  }
  return state_->session.Bytes(tensor);
}

Result<std::span<const std::byte>> Session::OutputBytes(
    std::string_view name) const {
  LATHE_ASSIGN(const size_t i, FindTensor(state_->outputs, name, "output"));
  return std::span<const std::byte>(
      state_->session.Bytes(state_->output_tensors[i]));
}

Result<std::span<std::byte>> Session::InputBytes(std::string_view name,
                                                 ElementType type) {
  LATHE_ASSIGN(const size_t i, FindTensor(state_->inputs, name, "input"));
  LATHE_TRY(CheckType(state_->inputs[i], type));
  return InputBytes(name);
}

Result<std::span<const std::byte>> Session::OutputBytes(
    std::string_view name, ElementType type) const {
  LATHE_ASSIGN(const size_t i, FindTensor(state_->outputs, name, "output"));
  LATHE_TRY(CheckType(state_->outputs[i], type));
  return OutputBytes(name);
}

Status Session::Resize(std::string_view name, std::span<const int32_t> shape) {
  return Guarded([&]() -> Status {
    LATHE_ASSIGN(const size_t i, FindTensor(state_->inputs, name, "input"));
    const TensorInfo& input = state_->inputs[i];
    const auto allowed = [&](size_t dim) {
      if (shape[dim] == input.shape[dim]) return true;
      return shape[dim] > 0 && dim < input.shape_signature.size() &&
             input.shape_signature[dim] == -1;
    };
    bool fits = shape.size() == input.shape.size();
    for (size_t dim = 0; fits && dim < shape.size(); ++dim) {
      fits = allowed(dim);
    }
    if (!fits) {
      return Invalid(
          "input \"{}\": shape {} is not allowed; its shape is {}, where {} "
          "may change",
          input.name, graph::ToString(shape), graph::ToString(input.shape),
          input.shape_signature.empty()
              ? "nothing"
              : "-1 of " + graph::ToString(input.shape_signature));
    }
    std::vector<std::vector<int32_t>> shapes;
    for (const TensorInfo& each : state_->inputs) shapes.push_back(each.shape);
    if (std::ranges::equal(shapes[i], shape)) return {};
    shapes[i].assign(shape.begin(), shape.end());
    return state_->Prepare(shapes);
  });
}

Status Session::Run() {
  return state_->session.Run(state_->threads.state()->pool,
                             state_->options.stop, state_->options.on_step);
}

}  // namespace lathe
