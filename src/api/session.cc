// Sessions: names, resizing, running.

#include <algorithm>
#include <charconv>
#include <cstring>
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
  run::Shared shared;
  std::unique_ptr<run::Executor> executor;
  std::vector<StepInfo> steps;
  size_t planned = 0;  // Stages when `steps` was filled.

  const graph::Subgraph& Graph() const {
    return model->graph.subgraphs[subgraph];
  }

  void Add(int32_t tensor, const std::string& name, bool input) {
    (input ? input_tensors : output_tensors).push_back(tensor);
    (input ? inputs : outputs)
        .push_back(DescribeTensor(model->graph, Graph(), tensor, name));
  }
  void UseSignature(size_t index) {
    if (model->graph.signatures.empty()) return UseSubgraph0();
    const graph::Signature& stored = model->graph.signatures[index];
    subgraph = stored.subgraph;
    for (const auto& input : stored.inputs) {
      Add(static_cast<int32_t>(input.tensor), input.name, true);
    }
    for (const auto& output : stored.outputs) {
      Add(static_cast<int32_t>(output.tensor), output.name, false);
    }
  }
  void UseSubgraph0() {
    const graph::Signature* first =
        model->graph.signatures.empty() ? nullptr : &model->graph.signatures[0];
    if (first != nullptr && first->subgraph != 0) first = nullptr;
    const auto name_of = [](const std::vector<graph::NamedTensor>& names,
                            int32_t tensor) {
      const auto found = std::ranges::find(names, static_cast<uint32_t>(tensor),
                                           &graph::NamedTensor::tensor);
      return found == names.end() ? std::string() : found->name;
    };
    for (const int32_t t : Graph().inputs) {
      Add(t, first ? name_of(first->inputs, t) : "", true);
    }
    for (const int32_t t : Graph().outputs) {
      Add(t, first ? name_of(first->outputs, t) : "", false);
    }
  }

  // Plans for the inputs' shapes in `shapes` (as input_tensors).
  Status Prepare(const std::vector<std::vector<int32_t>>& shapes) {
    shared.graph = &model->graph;
    shared.cache = &model->packed;
    shared.options.isa = isa;
    shared.options.keep_all = options.keep_all;
    shared.options.single_ops = options.on_tensor != nullptr;
    shared.options.keep_packed = options.keep_packed;
    shared.options.threads = threads.state()->pool.threads();
    shared.options.pool = &threads.state()->pool;
    shared.options.memory_limit_bytes = model->options.memory_limit_bytes;
    if (model->mapped) shared.options.mapping = model->file;
    if (shared.held == nullptr) {
      shared.held = std::make_shared<run::Held>();
      shared.held->resources.resize(plan::HandleCount(model->graph));
    }
    // In the order of the subgraph's own list.
    std::vector<graph::Shape> ordered;
    for (const int32_t input : Graph().inputs) {
      const auto at = std::ranges::find(input_tensors, input);
      ordered.push_back(at == input_tensors.end()
                            ? Graph().tensors[input].shape
                            : shapes[at - input_tensors.begin()]);
    }
    LATHE_ASSIGN(executor, run::Executor::Create(shared, subgraph, ordered));
    Describe();
    return {};
  }

  // Whether callers see what is true now; false after a run that planned.
  bool Shown() const {
    if (planned != executor->stages().size()) return false;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i].shape != executor->Known(output_tensors[i]).shape) {
        return false;
      }
    }
    return true;
  }

  // What callers see, after planning and after a run that planned.
  void Describe() {
    for (size_t i = 0; i < inputs.size(); ++i) {
      inputs[i].shape = executor->Known(input_tensors[i]).shape;
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      outputs[i].shape = executor->Known(output_tensors[i]).shape;
    }
    steps.clear();
    planned = executor->stages().size();
    for (const auto& stage : executor->stages()) {
      const plan::Plan& plan = stage->session.plan();
      for (const plan::Step& step : plan.steps) {
        StepInfo info;
        info.name = step.name;
        info.kernel = step.kernel;
        info.flops = step.flops;
        if (!step.outputs.empty()) {
          info.tensor = plan.tensors[step.outputs[0]].name;
        }
        steps.push_back(std::move(info));
      }
      if (stage->between) {
        const graph::Op& op = Graph().ops[stage->next_op - 1];
        StepInfo info;
        info.name = Name(op.code);
        if (!op.outputs.empty()) {
          info.tensor = Graph().tensors[op.outputs[0]].name;
        }
        steps.push_back(std::move(info));
      }
    }
  }
};

namespace {

// The position of a tensor by name or "#2".
Result<size_t> FindTensor(std::span<const TensorInfo> all,
                          std::string_view name, std::string_view what) {
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].name == name) return i;
  }
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].tensor == name) return i;
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

Result<std::vector<std::byte>> PackStrings(
    std::span<const std::string> strings) {
  uint64_t size = sizeof(int32_t) * (strings.size() + 2);
  std::vector<int32_t> head = {static_cast<int32_t>(strings.size())};
  for (const std::string& text : strings) {
    head.push_back(static_cast<int32_t>(size));
    size += text.size();
    if (size > INT32_MAX) return Invalid("strings of more than 2 GiB");
  }
  head.push_back(static_cast<int32_t>(size));
  std::vector<std::byte> blob(size);
  std::memcpy(blob.data(), head.data(), head.size() * sizeof(int32_t));
  for (size_t i = 0; i < strings.size(); ++i) {
    std::ranges::copy(std::as_bytes(std::span(strings[i])),
                      blob.begin() + head[i + 1]);
  }
  return blob;
}

Result<std::vector<std::string>> UnpackStrings(
    std::span<const std::byte> packed) {
  std::vector<std::string> strings;
  if (packed.empty()) return strings;
  const auto number = [&](size_t i) {
    int32_t value;
    std::memcpy(&value, packed.data() + i * sizeof(value), sizeof(value));
    return static_cast<int64_t>(value);
  };
  const auto words = static_cast<int64_t>(packed.size() / sizeof(int32_t));
  const int64_t count = words == 0 ? -1 : number(0);
  if (count < 0 || count + 2 > words) {
    return Invalid("{} bytes are no packed strings", packed.size());
  }
  int64_t begin = number(1);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t end = number(static_cast<size_t>(i) + 2);
    if (begin < 0 || end < begin || end > static_cast<int64_t>(packed.size())) {
      return Invalid("string {}: bytes {} to {} of {}", i, begin, end,
                     packed.size());
    }
    strings.emplace_back(reinterpret_cast<const char*>(packed.data()) + begin,
                         static_cast<size_t>(end - begin));
    begin = end;
  }
  return strings;
}

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
    if (options.resources_of != nullptr) {
      const State& other = *options.resources_of->state_;
      if (other.model != state->model) {
        return Fail(ErrorCode::kUsage,
                    "{}: resources of a session of another model, {}",
                    state->model->name, other.model->name);
      }
      state->shared.held = other.shared.held;
    }

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
    if (options.signature.empty()) {
      state->UseSubgraph0();
    } else {
      state->UseSignature(index);
    }
    std::vector<std::vector<int32_t>> shapes;
    for (const TensorInfo& input : state->inputs) {
      shapes.push_back(input.shape);
    }
    LATHE_TRY(state->Prepare(shapes));
    return Session(std::move(state));
  });
}

SessionView ViewOf(const Session& session) {
  const Session::State& state = session.state();
  return {.graph = &state.model->graph,
          .subgraph = state.subgraph,
          .executor = state.executor.get(),
          .isa = state.isa,
          .threads = static_cast<size_t>(state.threads.count())};
}

std::span<const TensorInfo> Session::inputs() const { return state_->inputs; }
std::span<const TensorInfo> Session::outputs() const { return state_->outputs; }
std::span<const StepInfo> Session::steps() const { return state_->steps; }

SessionStats Session::stats() const {
  SessionStats stats;
  stats.packed_bytes = state_->model->packed.bytes();
  stats.arena_bytes = state_->executor->memory_bytes();
  uint64_t most = 0;
  size_t first = 0;
  for (const auto& stage : state_->executor->stages()) {
    const plan::Plan& plan = stage->session.plan();
    if (plan.arena_bytes >= most) {
      most = plan.arena_bytes;
      stats.peak_step = first + plan.peak_step;
    }
    first += plan.steps.size() + stage->between;
  }
  return stats;
}

Result<std::span<std::byte>> Session::InputBytes(std::string_view name) {
  LATHE_ASSIGN(const size_t i, FindTensor(state_->inputs, name, "input"));
  const int32_t tensor = state_->input_tensors[i];
  if (state_->executor->IsConstant(tensor)) {
    return Invalid("input \"{}\" is a stored constant and cannot be written",
                   state_->inputs[i].name);
  }
  if (state_->inputs[i].type == ElementType::kString) {
    return Invalid("input \"{}\" holds strings; they are set, not written",
                   state_->inputs[i].name);
  }
  return state_->executor->Bytes(tensor);
}

Result<std::span<const std::byte>> Session::InputValue(
    std::string_view name) const {
  LATHE_ASSIGN(const size_t i, FindTensor(state_->inputs, name, "input"));
  return std::span<const std::byte>(
      state_->executor->Bytes(state_->input_tensors[i]));
}

Result<std::span<const std::byte>> Session::OutputBytes(
    std::string_view name) const {
  LATHE_ASSIGN(const size_t i, FindTensor(state_->outputs, name, "output"));
  return std::span<const std::byte>(
      state_->executor->Bytes(state_->output_tensors[i]));
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

namespace {

Status CheckShape(const TensorInfo& input, std::span<const int32_t> shape,
                  bool constant) {
  const auto allowed = [&](size_t dim) {
    if (shape[dim] == input.shape[dim]) return true;
    return shape[dim] > 0 && !constant && !input.shape_signature.empty() &&
           input.shape_signature[dim] == -1;
  };
  bool fits = shape.size() == input.shape.size();
  for (size_t dim = 0; fits && dim < shape.size(); ++dim) fits = allowed(dim);
  if (fits) return {};
  std::string free = "nothing may change";
  if (constant) free = "nothing may change, because it is a constant";
  if (!constant && !input.shape_signature.empty()) {
    free = "-1 of " + graph::ToString(input.shape_signature) + " may change";
  }
  return Invalid(
      "input \"{}\": shape {} is not allowed; its shape is {}, where {}",
      input.name, graph::ToString(shape), graph::ToString(input.shape), free);
}

}  // namespace

Status Session::Resize(std::span<const InputShape> shapes) {
  return Guarded([&]() -> Status {
    std::vector<std::vector<int32_t>> all;
    for (const TensorInfo& each : state_->inputs) all.push_back(each.shape);
    const std::vector<std::vector<int32_t>> before = all;
    std::string problems;
    for (const InputShape& asked : shapes) {
      LATHE_ASSIGN(const size_t i,
                   FindTensor(state_->inputs, asked.name, "input"));
      const Status fits =
          CheckShape(state_->inputs[i], asked.shape,
                     state_->executor->IsConstant(state_->input_tensors[i]));
      if (!fits) {
        problems += (problems.empty() ? "" : "\n  ") + fits.error().message;
      }
      all[i] = asked.shape;
    }
    if (!problems.empty()) return Invalid("{}", problems);
    return all == before ? Status() : state_->Prepare(all);
  });
}

Status Session::Resize(std::string_view name, std::span<const int32_t> shape) {
  const InputShape one{std::string(name), {shape.begin(), shape.end()}};
  return Resize(std::span(&one, 1));
}

Status Session::SetInput(std::string_view name,
                         std::span<const std::byte> bytes) {
  LATHE_ASSIGN(const size_t i, FindTensor(state_->inputs, name, "input"));
  const TensorInfo& input = state_->inputs[i];
  const std::span<std::byte> to =
      state_->executor->Bytes(state_->input_tensors[i]);
  if (state_->executor->IsConstant(state_->input_tensors[i])) {
    if (std::ranges::equal(to, bytes)) return {};
    return Invalid(
        "input \"{}\" is a constant of the file and takes no other value",
        input.name);
  }
  if (input.type == ElementType::kString) {
    return Guarded([&]() -> Status {
      LATHE_ASSIGN(const std::vector<std::string> strings,
                   UnpackStrings(bytes));
      return SetStrings(name, strings);
    });
  }
  if (to.size() != bytes.size()) {
    return Invalid("input \"{}\" {}: {} bytes given, {} expected", input.name,
                   graph::ToString(input.shape), bytes.size(), to.size());
  }
  if (!bytes.empty()) std::memcpy(to.data(), bytes.data(), bytes.size());
  return {};
}

Status Session::SetStrings(std::string_view name,
                           std::span<const std::string> strings) {
  return Guarded([&]() -> Status {
    LATHE_ASSIGN(const size_t i, FindTensor(state_->inputs, name, "input"));
    const TensorInfo& input = state_->inputs[i];
    LATHE_TRY(CheckType(input, ElementType::kString));
    if (strings.size() != graph::ElementCount(input.shape)) {
      return Invalid("input \"{}\" {}: {} strings given", input.name,
                     graph::ToString(input.shape), strings.size());
    }
    LATHE_ASSIGN(std::vector<std::byte> blob, PackStrings(strings));
    if (state_->executor->IsConstant(state_->input_tensors[i])) {
      return SetInput(name, blob);
    }
    state_->executor->SetStrings(state_->input_tensors[i], std::move(blob));
    return {};
  });
}

Result<std::vector<std::string>> Session::Strings(std::string_view name) const {
  return Guarded([&]() -> Result<std::vector<std::string>> {
    if (const auto i = FindTensor(state_->outputs, name, "output")) {
      LATHE_TRY(CheckType(state_->outputs[*i], ElementType::kString));
      return UnpackStrings(state_->executor->Bytes(state_->output_tensors[*i]));
    }
    LATHE_ASSIGN(const size_t i, FindTensor(state_->inputs, name, "tensor"));
    LATHE_TRY(CheckType(state_->inputs[i], ElementType::kString));
    return UnpackStrings(state_->executor->Bytes(state_->input_tensors[i]));
  });
}

std::span<const std::byte> Session::Tensor(int32_t index) const {
  const auto count = static_cast<int32_t>(state_->Graph().tensors.size());
  if (index < 0 || index >= count) return {};
  return state_->executor->Bytes(index);
}

std::vector<TensorInfo> Session::tensors() const {
  std::vector<TensorInfo> all;
  for (size_t i = 0; i < state_->Graph().tensors.size(); ++i) {
    const auto at = static_cast<int32_t>(i);
    all.push_back(
        DescribeTensor(state_->model->graph, state_->Graph(), at, {}));
    all.back().shape = state_->executor->Known(at).shape;
  }
  return all;
}

Status Session::ResetState() {
  return Guarded([&]() -> Status {
    state_->shared.held->called_once.clear();
    for (plan::Resource& resource : state_->shared.held->resources) {
      resource.assigned = false;
    }
    state_->executor->ResetVariables();
    return {};
  });
}

Status Session::Run() {
  return Guarded([&] {
    run::RunOptions options;
    options.pool = &state_->threads.state()->pool;
    options.stop = state_->options.stop;
    options.on_step = &state_->options.on_step;
    run::OnInnerStep on_inner_step;
    if (state_->options.on_inner_step) {
      on_inner_step = [this](const run::InnerStep& told) {
        state_->options.on_inner_step(
            {static_cast<uint32_t>(told.subgraph), told.step, told.name,
             told.tensor, told.kernel, told.flops},
            told.ms);
      };
      options.on_inner_step = &on_inner_step;
    }
    run::OnTensor on_tensor;
    if (state_->options.on_tensor) {
      on_tensor = [this](const run::Shown& shown) {
        state_->options.on_tensor({static_cast<uint32_t>(shown.subgraph),
                                   shown.tensor,
                                   static_cast<ElementType>(shown.facts.type),
                                   shown.facts.shape, shown.bytes});
      };
      options.on_tensor = &on_tensor;
    }
    const Status status = state_->executor->Run(options);
    if (!state_->Shown()) state_->Describe();
    return status;
  });
}

}  // namespace lathe
