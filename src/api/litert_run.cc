// The LiteRT twin: buffers of their own around one session per signature.

#include <atomic>
#include <cstring>
#include <functional>
#include <optional>

#include "src/api/litert_state.h"

namespace lathe::litert {

namespace {

constexpr TensorBufferType kHost[] = {TensorBufferType::kHostMemory};

}  // namespace

struct CompiledModel::State {
  lathe::Model model;
  Threads threads;
  bool keep_errors = false;
  // One thread at a time in all that follows.
  std::mutex mutex;
  std::string errors;
  std::atomic<bool> stop{false};
  std::function<bool()> cancelled;
  struct Entry {
    std::optional<Session> session;
    // What inputs were resized to; they are planned together when needed.
    std::vector<std::vector<int32_t>> shapes;
    bool planned = true;
  };
  std::vector<Entry> entries;

  State(lathe::Model opened, Threads pool)
      : model(std::move(opened)), threads(std::move(pool)) {}

  Expected<Entry*> Use(size_t signature) {
    Entry& entry = entries[signature];
    if (entry.session) return &entry;
    SessionOptions options;
    options.signature = model.signatures()[signature].key;
    options.threads = &threads;
    options.stop = &stop;
    options.on_step = [this](size_t, double) { Ask(); };
    // As in one interpreter: what one signature assigns, the others read.
    for (Entry& other : entries) {
      if (other.session) options.resources_of = &*other.session;
    }
    auto session = Session::Create(model, options);
    if (!session) return Convert(session.error(), Doing::kCompiling);
    entry.shapes.clear();
    for (const TensorInfo& input : session->inputs()) {
      entry.shapes.push_back(input.shape);
    }
    entry.session = *std::move(session);
    return &entry;
  }

  void Ask() {
    if (cancelled && cancelled()) stop.store(true);
  }

  // Plans for the shapes that inputs were resized to.
  Expected<void> Plan(Entry& entry) {
    if (entry.planned) return {};
    const auto inputs = entry.session->inputs();
    std::vector<InputShape> wanted;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i].shape == entry.shapes[i]) continue;
      wanted.push_back({fmt::format("#{}", i), entry.shapes[i]});
    }
    const lathe::Status resized = entry.session->Resize(wanted);
    if (!resized) return Convert(resized.error(), Doing::kCompiling);
    entry.planned = true;
    return {};
  }

  Expected<void> Fail(Expected<void> result) {
    if (!result && keep_errors) errors += result.Error().Message() + "\n";
    return result;
  }
};

namespace {

Unexpected EmptyModel() {
  return Unexpected(Status::kErrorInvalidArgument, "an empty CompiledModel");
}

}  // namespace

CompiledModel::CompiledModel(const lathe::Model& model,
                             std::unique_ptr<State> state)
    : SignatureTable(model), state_(std::move(state)) {}
CompiledModel::CompiledModel() = default;
CompiledModel::CompiledModel(CompiledModel&&) noexcept = default;
CompiledModel& CompiledModel::operator=(CompiledModel&&) noexcept = default;
CompiledModel::~CompiledModel() = default;

Expected<CompiledModel> CompiledModel::Compile(const Environment& env,
                                               const lathe::Model& model,
                                               const Options& options) {
  return Caught([&]() -> Expected<CompiledModel> {
    if (!env) {
      return Unexpected(Status::kErrorInvalidArgument, "an empty Environment");
    }
    if (options.accelerators_) {
      LITERT_RETURN_IF_ERROR(CheckAccelerators(*options.accelerators_));
    }
    auto state =
        std::make_unique<State>(model, env.state_->Pool(options.cpu_.threads_));
    state->keep_errors =
        options.runtime_.mode_ == kLiteRtErrorReporterModeBuffer;
    state->entries.resize(model.signatures().size());
    LITERT_RETURN_IF_ERROR(state->Use(0));
    return CompiledModel(model, std::move(state));
  });
}

Expected<CompiledModel> CompiledModel::Create(
    Environment& env, const std::string& model_filename,
    const Options& compilation_options) {
  LITERT_ASSIGN_OR_RETURN(const lathe::Model model, OpenFile(model_filename));
  return Compile(env, model, compilation_options);
}

Expected<CompiledModel> CompiledModel::Create(
    Environment& env, BufferRef<uint8_t> model_buffer,
    const Options& compilation_options) {
  LITERT_ASSIGN_OR_RETURN(const lathe::Model model, OpenBuffer(model_buffer));
  return Compile(env, model, compilation_options);
}

Expected<CompiledModel> CompiledModel::Create(
    Environment& env, const Model& model, const Options& compilation_options) {
  if (!model) {
    return Unexpected(Status::kErrorInvalidArgument, "an empty Model");
  }
  return Compile(env, *model.model_, compilation_options);
}

Expected<TensorBufferRequirements> CompiledModel::Requirements(
    const internal::Place& place, bool input) const {
  if (state_ == nullptr) return EmptyModel();
  LITERT_ASSIGN_OR_RETURN(const Found found, Locate(place, input));
  const std::lock_guard lock(state_->mutex);
  return Caught([&]() -> Expected<TensorBufferRequirements> {
    LITERT_ASSIGN_OR_RETURN(const RankedTensorType type, TypeNow(found, input));
    return TensorBufferRequirements::Create(kHost, BytesOf(type));
  });
}

// The lock is the caller's.
Expected<RankedTensorType> CompiledModel::TypeNow(const Found& found,
                                                  bool input) const {
  LITERT_ASSIGN_OR_RETURN(State::Entry * entry, state_->Use(found.signature));
  if (input) {
    return TypeOf(entry->session->inputs()[found.tensor],
                  entry->shapes[found.tensor]);
  }
  LITERT_RETURN_IF_ERROR(state_->Plan(*entry));
  const TensorInfo& output = entry->session->outputs()[found.tensor];
  return TypeOf(output, output.shape);
}

Expected<Layout> CompiledModel::GetInputTensorLayout(size_t signature_index,
                                                     size_t input_index) const {
  if (state_ == nullptr) return EmptyModel();
  LITERT_ASSIGN_OR_RETURN(
      const Found found,
      Locate(internal::PlaceOf(signature_index, input_index), true));
  const std::lock_guard lock(state_->mutex);
  return Caught([&]() -> Expected<Layout> {
    LITERT_ASSIGN_OR_RETURN(const RankedTensorType type, TypeNow(found, true));
    return type.Layout();
  });
}

Expected<std::vector<Layout>> CompiledModel::GetOutputTensorLayouts(
    size_t signature_index, bool) const {
  if (state_ == nullptr) return EmptyModel();
  LITERT_ASSIGN_OR_RETURN(const size_t index, IndexOf(signature_index));
  const std::lock_guard lock(state_->mutex);
  return Caught([&]() -> Expected<std::vector<Layout>> {
    std::vector<Layout> layouts;
    for (size_t i = 0; i < signatures_[index].OutputNames().size(); ++i) {
      LITERT_ASSIGN_OR_RETURN(const RankedTensorType type,
                              TypeNow({index, i}, false));
      layouts.push_back(type.Layout());
    }
    return layouts;
  });
}

Expected<TensorBuffer> CompiledModel::BufferFor(const Found& found,
                                                bool input) const {
  LITERT_ASSIGN_OR_RETURN(const RankedTensorType type, TypeNow(found, input));
  LITERT_ASSIGN_OR_RETURN(TensorBuffer buffer,
                          TensorBuffer::Make(type, BytesOf(type), nullptr));
  const auto& session = state_->entries[found.signature].session;
  if (!input || !session->inputs()[found.tensor].is_constant) return buffer;
  const auto stored = session->InputValue(fmt::format("#{}", found.tensor));
  if (!stored) return Convert(stored.error(), Doing::kRunning);
  LITERT_RETURN_IF_ERROR(buffer.state_->Become(type, stored->size()));
  if (!stored->empty()) {
    std::memcpy(buffer.state_->data, stored->data(), stored->size());
  }
  return buffer;
}

Expected<TensorBuffer> CompiledModel::MakeBuffer(const internal::Place& place,
                                                 bool input) const {
  if (state_ == nullptr) return EmptyModel();
  LITERT_ASSIGN_OR_RETURN(const Found found, Locate(place, input));
  const std::lock_guard lock(state_->mutex);
  return Caught([&] { return BufferFor(found, input); });
}

Expected<std::vector<TensorBuffer>> CompiledModel::MakeBuffers(
    const internal::SignatureChoice& signature, bool input) const {
  if (state_ == nullptr) return EmptyModel();
  LITERT_ASSIGN_OR_RETURN(const size_t index, IndexOf(signature));
  const std::lock_guard lock(state_->mutex);
  return Caught([&]() -> Expected<std::vector<TensorBuffer>> {
    const size_t count = input ? signatures_[index].InputNames().size()
                               : signatures_[index].OutputNames().size();
    std::vector<TensorBuffer> buffers;
    for (size_t i = 0; i < count; ++i) {
      LITERT_ASSIGN_OR_RETURN(TensorBuffer buffer,
                              BufferFor({index, i}, input));
      buffers.push_back(std::move(buffer));
    }
    return buffers;
  });
}

Expected<std::vector<TensorBuffer>> CompiledModel::CreateInputBuffers(
    internal::SignatureChoice signature) const {
  return MakeBuffers(signature, true);
}

Expected<std::vector<TensorBuffer>> CompiledModel::CreateOutputBuffers(
    internal::SignatureChoice signature) const {
  return MakeBuffers(signature, false);
}

Expected<void> CompiledModel::RunSpans(
    const internal::SignatureChoice& signature, Span<const TensorBuffer> inputs,
    Span<const TensorBuffer> outputs, const Options* options) const {
  if (state_ == nullptr) return EmptyModel();
  LITERT_ASSIGN_OR_RETURN(const size_t index, IndexOf(signature));
  return Caught([&] {
    std::vector<const TensorBuffer*> in, out;
    for (const TensorBuffer& buffer : inputs) in.push_back(&buffer);
    for (const TensorBuffer& buffer : outputs) out.push_back(&buffer);
    return RunBuffers(index, in, out, options);
  });
}

Expected<void> CompiledModel::RunMaps(
    const internal::SignatureChoice& signature,
    const internal::NamedBuffers& inputs, const internal::NamedBuffers& outputs,
    const Options* options) const {
  if (state_ == nullptr) return EmptyModel();
  LITERT_ASSIGN_OR_RETURN(const size_t index, IndexOf(signature));
  const auto order =
      [](const std::vector<StringView>& names,
         const internal::NamedBuffers& given,
         const char* what) -> Expected<std::vector<const TensorBuffer*>> {
    for (const auto& [name, buffer] : given) {
      if (std::ranges::find(names, name) == names.end()) {
        return Wrong(Status::kErrorNotFound, "no {} \"{}\"; there are: \"{}\"",
                     what, name, fmt::join(names, "\" \""));
      }
    }
    std::vector<const TensorBuffer*> ordered;
    for (const StringView name : names) {
      const auto found = std::ranges::find(
          given, name, &std::pair<StringView, const TensorBuffer*>::first);
      if (found == given.end()) {
        return Wrong(Status::kErrorMissingInputTensor,
                     "no buffer for {} \"{}\"", what, name);
      }
      ordered.push_back(found->second);
    }
    return ordered;
  };
  return Caught([&]() -> Expected<void> {
    LITERT_ASSIGN_OR_RETURN(
        const auto in, order(signatures_[index].InputNames(), inputs, "input"));
    LITERT_ASSIGN_OR_RETURN(
        const auto out,
        order(signatures_[index].OutputNames(), outputs, "output"));
    return RunBuffers(index, in, out, options);
  });
}

Expected<void> CompiledModel::RunBuffers(
    size_t signature, const std::vector<const TensorBuffer*>& inputs,
    const std::vector<const TensorBuffer*>& outputs,
    const Options* options) const {
  const std::lock_guard lock(state_->mutex);
  return state_->Fail([&]() -> Expected<void> {
    if (options != nullptr) {
      if (options->accelerators_) {
        LITERT_RETURN_IF_ERROR(CheckAccelerators(*options->accelerators_));
      }
      if (options->cpu_.threads_ != 0) {
        return Unexpected(Status::kErrorUnsupported,
                          "a number of threads for one run; set it when the "
                          "model is compiled");
      }
    }
    LITERT_ASSIGN_OR_RETURN(State::Entry * entry, state_->Use(signature));
    LITERT_RETURN_IF_ERROR(CheckBuffers(signature, inputs, true));
    LITERT_RETURN_IF_ERROR(CheckBuffers(signature, outputs, false));
    Session& session = *entry->session;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const auto dims = inputs[i]->state_->type.Layout().Dimensions();
      if (std::ranges::equal(dims, entry->shapes[i])) continue;
      entry->shapes[i].assign(dims.begin(), dims.end());
      entry->planned = false;
    }
    if (auto planned = state_->Plan(*entry); !planned) {
      // Back to the shapes of the plan that there is.
      for (size_t i = 0; i < inputs.size(); ++i) {
        entry->shapes[i] = session.inputs()[i].shape;
      }
      entry->planned = true;
      return planned;
    }
    for (size_t i = 0; i < inputs.size(); ++i) {
      LITERT_RETURN_IF_ERROR(CopyIn(session, i, *inputs[i]));
    }
    state_->stop.store(false);
    state_->Ask();
    if (const lathe::Status ran = session.Run(); !ran) {
      return Convert(ran.error(), Doing::kRunning);
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      LITERT_RETURN_IF_ERROR(CopyOut(session, i, *outputs[i]));
    }
    return {};
  }());
}

Expected<void> CompiledModel::CheckBuffers(
    size_t signature, const std::vector<const TensorBuffer*>& buffers,
    bool input) const {
  const char* what = input ? "input" : "output";
  const auto& session = state_->entries[signature].session;
  const auto tensors = input ? session->inputs() : session->outputs();
  if (buffers.size() != tensors.size()) {
    return Wrong(Status::kErrorInvalidArgument, "{} {} buffers; there are {}",
                 buffers.size(), what, tensors.size());
  }
  for (size_t i = 0; i < buffers.size(); ++i) {
    if (buffers[i]->state_ == nullptr) {
      return Wrong(Status::kErrorInvalidArgument,
                   "{} \"{}\": an empty TensorBuffer", what, tensors[i].name);
    }
    const ElementType found = buffers[i]->state_->type.ElementType();
    if (found != TheirType(tensors[i].type)) {
      return Wrong(Status::kErrorInvalidArgument,
                   "{} \"{}\" holds {}, its buffer {}", what, tensors[i].name,
                   lathe::Name(tensors[i].type), NameOf(found));
    }
  }
  return {};
}

Expected<void> CompiledModel::CopyIn(Session& session, size_t index,
                                     const TensorBuffer& from) {
  const TensorBuffer::State& state = *from.state_;
  const lathe::Status set =
      session.SetInput(fmt::format("#{}", index), {state.data, state.Packed()});
  if (!set) {
    return Error(set.error().code == ErrorCode::kInvalidInput
                     ? Status::kErrorInvalidArgument
                     : Status::kErrorRuntimeFailure,
                 set.error().message);
  }
  return {};
}

Expected<void> CompiledModel::CopyOut(const Session& session, size_t index,
                                      const TensorBuffer& to) {
  const auto bytes = session.OutputBytes(fmt::format("#{}", index));
  if (!bytes) return Convert(bytes.error(), Doing::kRunning);
  const TensorInfo& output = session.outputs()[index];
  TensorBuffer::State& state = *to.state_;
  const RankedTensorType type = TypeOf(output, output.shape);
  if (state.type != type || state.Packed() != bytes->size()) {
    LITERT_RETURN_IF_ERROR(state.Become(type, bytes->size()))
        << "output \"" + output.name + "\"";
  }
  if (!bytes->empty()) std::memcpy(state.data, bytes->data(), bytes->size());
  return {};
}

void CompiledModel::SetCancellationFunction(void* data,
                                            bool (*check_cancelled)(void*)) {
  if (check_cancelled == nullptr) return SetCancellationFunction(nullptr);
  SetCancellationFunction([=] { return check_cancelled(data); });
}

void CompiledModel::SetCancellationFunction(
    AnyInvocable<bool()> check_cancelled) {
  if (state_ == nullptr) return;
  const std::lock_guard lock(state_->mutex);
  state_->cancelled = std::move(check_cancelled);
}

Expected<void> CompiledModel::Resize(const internal::Place& place,
                                     std::span<const int> dims, bool strict) {
  if (state_ == nullptr) return EmptyModel();
  LITERT_ASSIGN_OR_RETURN(const Found found, Locate(place, true));
  const std::lock_guard lock(state_->mutex);
  return state_->Fail(Caught([&]() -> Expected<void> {
    LITERT_ASSIGN_OR_RETURN(State::Entry * entry, state_->Use(found.signature));
    const TensorInfo& input = entry->session->inputs()[found.tensor];
    std::vector<int32_t>& shape = entry->shapes[found.tensor];
    const bool free = input.shape_signature.empty();
    bool fits = dims.size() == input.shape.size();
    for (size_t i = 0; fits && i < dims.size(); ++i) {
      fits = dims[i] == shape[i] ||
             (dims[i] > 0 && (free ? !strict : input.shape_signature[i] == -1));
    }
    if (!fits) {
      return Wrong(Status::kErrorInvalidArgument,
                   "input \"{}\": dims {} are not allowed; its shape is {}, "
                   "of which may change: {}",
                   input.name, ShapeText(dims), ShapeText(shape),
                   !free     ? "-1 of " + ShapeText(input.shape_signature)
                   : !strict ? "any dimension"
                             : "nothing");
    }
    if (std::ranges::equal(shape, dims)) return {};
    shape.assign(dims.begin(), dims.end());
    entry->planned = false;
    return {};
  }));
}

Expected<void> CompiledModel::Report(std::string text) const {
  if (state_ == nullptr) return EmptyModel();
  const std::lock_guard lock(state_->mutex);
  if (!state_->keep_errors) {
    return Unexpected(Status::kErrorUnsupported,
                      "errors are kept with kLiteRtErrorReporterModeBuffer");
  }
  return Caught([&]() -> Expected<void> {
    state_->errors += text + "\n";
    return {};
  });
}

Expected<void> CompiledModel::ClearErrors() const {
  if (state_ == nullptr) return EmptyModel();
  const std::lock_guard lock(state_->mutex);
  state_->errors.clear();
  return {};
}

Expected<std::string> CompiledModel::GetErrorMessages() const {
  if (state_ == nullptr) return EmptyModel();
  const std::lock_guard lock(state_->mutex);
  if (!state_->keep_errors) {
    return Unexpected(Status::kErrorUnsupported,
                      "errors are kept with kLiteRtErrorReporterModeBuffer");
  }
  return Caught([&]() -> Expected<std::string> { return state_->errors; });
}

Expected<void> CompiledModel::NoDispatch() {
  return Unexpected(Status::kErrorUnsupported,
                    "dispatch annotations are for NPUs; Lathe runs on the CPU");
}

}  // namespace lathe::litert
