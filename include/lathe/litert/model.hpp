// Files, and models that are ready to run.

#ifndef LATHE_LITERT_MODEL_HPP_
#define LATHE_LITERT_MODEL_HPP_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lathe/litert/buffer.hpp"
#include "lathe/litert/options.hpp"
#include "lathe/litert/types.hpp"

namespace lathe::litert {

namespace internal {

template <typename T>
concept Index = std::integral<T>;
template <typename T>
concept Word = std::convertible_to<const T&, StringView>;

// The entry that a call is about: by index, by key, or the first.
struct SignatureChoice {
  SignatureChoice() = default;
  template <Index T>
  SignatureChoice(T at) : index(static_cast<size_t>(at)) {}
  template <Word T>
  SignatureChoice(const T& text) : key(text) {}
  size_t index = 0;
  std::optional<StringView> key;
};
// The tensor that a call is about: by index or name.
struct TensorChoice {
  template <Index T>
  TensorChoice(T at) : index(static_cast<size_t>(at)) {}
  template <Word T>
  TensorChoice(const T& text) : name(text) {}
  size_t index = 0;
  std::optional<StringView> name;
};

// Calls about one tensor take (signature index, index), (signature index,
// name), (signature key, name), (index) or (name).
struct Place {
  SignatureChoice signature;
  TensorChoice tensor;
};
template <typename T>
  requires(Index<T> || Word<T>)
Place PlaceOf(const T& tensor) {
  return {{}, tensor};
}
template <typename S, typename T>
  requires((Index<S> && (Index<T> || Word<T>)) || (Word<S> && Word<T>))
Place PlaceOf(const S& signature, const T& tensor) {
  return {signature, tensor};
}

// A map from names to buffers, of any kind.
template <typename M>
concept BufferMap = requires {
  requires std::same_as<typename M::mapped_type, TensorBuffer>;
  requires std::convertible_to<const typename M::key_type&, StringView>;
};
using NamedBuffers = std::vector<std::pair<StringView, const TensorBuffer*>>;
template <BufferMap M>
NamedBuffers NamedBuffersOf(const M& map) {
  NamedBuffers all;
  for (const auto& [name, buffer] : map) all.emplace_back(name, &buffer);
  return all;
}

}  // namespace internal

// What Model and CompiledModel say about a file's signatures. Text belongs to
// the model.
class LATHE_EXPORT SignatureTable {
 public:
  static StringView DefaultSignatureKey() { return "<placeholder signature>"; }

  size_t GetNumSignatures() const { return signatures_.size(); }
  Expected<std::vector<StringView>> GetSignatureKeys() const;
  Expected<std::vector<SimpleSignature>> GetSignatures() const {
    return signatures_;
  }
  // Errors: kErrorInvalidArgument.
  Expected<SimpleSignature> GetSignature(size_t signature_index) const;
  // An empty key is index 0. Errors: kErrorNotFound naming those there are.
  Expected<size_t> GetSignatureIndex(StringView signature_key) const;
  Expected<SimpleSignature> FindSignature(StringView signature_key) const;

  Expected<std::vector<StringView>> GetSignatureInputNames(
      internal::SignatureChoice signature = {}) const;
  Expected<std::vector<StringView>> GetSignatureOutputNames(
      internal::SignatureChoice signature = {}) const;

  // As internal::Place says. Types are those stored: -1 where a dimension may
  // change.
  template <typename... Where>
  Expected<RankedTensorType> GetInputTensorType(const Where&... where) const {
    auto tensor = Find(internal::PlaceOf(where...), true);
    if (!tensor) return tensor.Error();
    return tensor->RankedTensorType();
  }
  template <typename... Where>
  Expected<RankedTensorType> GetOutputTensorType(const Where&... where) const {
    auto tensor = Find(internal::PlaceOf(where...), false);
    if (!tensor) return tensor.Error();
    return tensor->RankedTensorType();
  }
#define LATHE_LITERT_QUANTIZATION(Type, Suffix, Getter)                 \
  template <typename... Where>                                          \
  Expected<Type> GetInputTensor##Suffix(const Where&... where) const {  \
    auto tensor = Find(internal::PlaceOf(where...), true);              \
    if (!tensor) return tensor.Error();                                 \
    return tensor->Getter();                                            \
  }                                                                     \
  template <typename... Where>                                          \
  Expected<Type> GetOutputTensor##Suffix(const Where&... where) const { \
    auto tensor = Find(internal::PlaceOf(where...), false);             \
    if (!tensor) return tensor.Error();                                 \
    return tensor->Getter();                                            \
  }
  LATHE_LITERT_QUANTIZATION(QuantizationTypeId, QTypeId, QTypeId)
  LATHE_LITERT_QUANTIZATION(QuantizationPerTensor, PerTensorQuantization,
                            PerTensorQuantization)
  LATHE_LITERT_QUANTIZATION(QuantizationPerChannel, PerChannelQuantization,
                            PerChannelQuantization)
  LATHE_LITERT_QUANTIZATION(QuantizationBlockWise, BlockWiseQuantization,
                            BlockWiseQuantization)
#undef LATHE_LITERT_QUANTIZATION

 protected:
  SignatureTable() = default;
  explicit SignatureTable(const lathe::Model& model);
  Expected<size_t> IndexOf(const internal::SignatureChoice& signature) const;
  struct Found {
    size_t signature = 0, tensor = 0;
  };
  Expected<Found> Locate(const internal::Place& place, bool input) const;
  Expected<const SimpleTensor&> Find(const internal::Place& place,
                                     bool input) const;
  const SimpleTensor& At(const Found& found, bool input) const;

  std::vector<SimpleSignature> signatures_;
};

// A file that was read and verified.
class LATHE_EXPORT Model : public SignatureTable {
 public:
  Model() = default;

  // Errors: kErrorFileIO; kErrorInvalidFlatbuffer listing every problem;
  // kErrorUnsupported naming every operator that cannot run.
  static Expected<Model> CreateFromFile(Environment& env,
                                        const std::string& filename);
  static Expected<Model> CreateFromFile(const std::string& filename);
  static Expected<Model> CreateFromBuffer(Environment& env,
                                          BufferRef<uint8_t> buffer);
  static Expected<Model> CreateFromBuffer(BufferRef<uint8_t> buffer);
  // Reads `size` bytes from `offset` on; the descriptor stays the caller's.
  static Expected<Model> CreateFromFd(Environment& env, int fd, size_t offset,
                                      size_t size);
  static Expected<Model> CreateFromFd(int fd, size_t offset, size_t size);

  explicit operator bool() const { return model_.has_value(); }
  // Errors: kErrorNotFound.
  Expected<Span<const uint8_t>> Metadata(const std::string& metadata_key) const;

 private:
  friend class CompiledModel;
  explicit Model(lathe::Model model)
      : SignatureTable(model), model_(std::move(model)) {}
  std::optional<lathe::Model> model_;
};

// A model ready to run, with one session per signature, made when it is first
// used.
class LATHE_EXPORT CompiledModel : public SignatureTable {
 public:
  CompiledModel();
  CompiledModel(CompiledModel&&) noexcept;
  CompiledModel& operator=(CompiledModel&&) noexcept;
  ~CompiledModel();

  // Errors: those of Model; kErrorUnsupported for an accelerator that is not
  // there; kErrorCompilation for what the planner refuses.
  static Expected<CompiledModel> Create(Environment& env,
                                        const std::string& model_filename,
                                        const Options& compilation_options);
  static Expected<CompiledModel> Create(Environment& env,
                                        BufferRef<uint8_t> model_buffer,
                                        const Options& compilation_options);
  static Expected<CompiledModel> Create(Environment& env, const Model& model,
                                        const Options& compilation_options);
  template <typename Source>
  static Expected<CompiledModel> Create(Environment& env, const Source& source,
                                        HwAccelerators accelerators) {
    Options options;
    if (auto set = options.SetHardwareAccelerators(accelerators); !set) {
      return set.Error();
    }
    return Create(env, source, options);
  }

  // What a buffer must be like; how the tensor is laid out now.
  template <typename... Where>
  Expected<TensorBufferRequirements> GetInputBufferRequirements(
      const Where&... where) const {
    return Requirements(internal::PlaceOf(where...), true);
  }
  template <typename... Where>
  Expected<TensorBufferRequirements> GetOutputBufferRequirements(
      const Where&... where) const {
    return Requirements(internal::PlaceOf(where...), false);
  }
  Expected<Layout> GetInputTensorLayout(size_t signature_index,
                                        size_t input_index) const;
  // Shapes that depend on values are those of the last run.
  Expected<std::vector<Layout>> GetOutputTensorLayouts(
      size_t signature_index, bool update_allocation = false) const;

  // Buffers for the shapes as they are now; one for a stored constant holds its
  // value. Those of outputs grow when a run needs more.
  template <typename... Where>
  Expected<TensorBuffer> CreateInputBuffer(const Where&... where) const {
    return MakeBuffer(internal::PlaceOf(where...), true);
  }
  template <typename... Where>
  Expected<TensorBuffer> CreateOutputBuffer(const Where&... where) const {
    return MakeBuffer(internal::PlaceOf(where...), false);
  }
  Expected<std::vector<TensorBuffer>> CreateInputBuffers(
      internal::SignatureChoice signature = {}) const;
  Expected<std::vector<TensorBuffer>> CreateOutputBuffers(
      internal::SignatureChoice signature = {}) const;

  // Copies the inputs in, runs, copies the outputs out. Buffers are in the
  // order of the signature, or in maps by name. An input of another shape than
  // now is resized first. `run_options` must be null or without settings.
  // Errors: kErrorInvalidArgument for a wrong number, element type or size of
  // buffers; kErrorMissingInputTensor for a name that a map lacks; kCancelled.
  Expected<void> Run(Span<const TensorBuffer> inputs,
                     Span<const TensorBuffer> outputs,
                     Options* run_options = nullptr) const {
    return RunSpans({}, inputs, outputs, run_options);
  }
  Expected<void> Run(size_t signature_index, Span<const TensorBuffer> inputs,
                     Span<const TensorBuffer> outputs,
                     Options* run_options = nullptr) const {
    return RunSpans(signature_index, inputs, outputs, run_options);
  }
  Expected<void> Run(StringView signature_key, Span<const TensorBuffer> inputs,
                     Span<const TensorBuffer> outputs,
                     Options* run_options = nullptr) const {
    return RunSpans(signature_key, inputs, outputs, run_options);
  }
  template <internal::BufferMap In, internal::BufferMap Out>
  Expected<void> Run(const In& inputs, const Out& outputs,
                     Options* run_options = nullptr) const {
    return RunMaps({}, internal::NamedBuffersOf(inputs),
                   internal::NamedBuffersOf(outputs), run_options);
  }
  template <internal::BufferMap In, internal::BufferMap Out>
  Expected<void> Run(StringView signature_key, const In& inputs,
                     const Out& outputs, Options* run_options = nullptr) const {
    return RunMaps(signature_key, internal::NamedBuffersOf(inputs),
                   internal::NamedBuffersOf(outputs), run_options);
  }
  // On a CPU the same as Run, as in LiteRT: `async` becomes false.
  template <typename In, typename Out>
  Expected<void> RunAsync(const In& inputs, const Out& outputs, bool& async,
                          Options* run_options = nullptr) const {
    async = false;
    return Run(inputs, outputs, run_options);
  }
  template <typename Key, typename In, typename Out>
    requires(internal::Index<Key> || internal::Word<Key>)
  Expected<void> RunAsync(const Key& signature, const In& inputs,
                          const Out& outputs, bool& async,
                          Options* run_options = nullptr) const {
    async = false;
    if constexpr (internal::Index<Key>) {
      return Run(static_cast<size_t>(signature), inputs, outputs, run_options);
    } else {
      return Run(StringView(signature), inputs, outputs, run_options);
    }
  }

  Expected<bool> IsFullyAccelerated() { return true; }
  Expected<bool> IsNonCpuFullyAccelerated() { return false; }

  // Asked between steps, on the thread that runs; true ends the run with
  // kCancelled. A loop of the model counts as one step. Must not call the
  // model.
  void SetCancellationFunction(void* data, bool (*check_cancelled)(void*));
  void SetCancellationFunction(AnyInvocable<bool()> check_cancelled);

  // Strict: dimensions that the file stores as -1. Not strict: where the file
  // stores a shape signature the same; any dimension where it stores none.
  // Takes (where..., dims) with `where` as internal::Place says. Errors:
  // kErrorInvalidArgument, and the model stays as it was.
  Expected<void> ResizeInputTensor(internal::TensorChoice input,
                                   internal::ListSpan<int> dims) {
    return Resize({{}, input}, dims, true);
  }
  Expected<void> ResizeInputTensor(internal::SignatureChoice signature,
                                   internal::TensorChoice input,
                                   internal::ListSpan<int> dims) {
    return Resize({signature, input}, dims, true);
  }
  Expected<void> ResizeInputTensorNonStrict(internal::TensorChoice input,
                                            internal::ListSpan<int> dims) {
    return Resize({{}, input}, dims, false);
  }
  Expected<void> ResizeInputTensorNonStrict(internal::SignatureChoice signature,
                                            internal::TensorChoice input,
                                            internal::ListSpan<int> dims) {
    return Resize({signature, input}, dims, false);
  }

  // With kLiteRtErrorReporterModeBuffer: what went wrong so far, one line each.
  // Errors: kErrorUnsupported in another mode.
  template <typename... Args>
  Expected<void> ReportError(const char* format, const Args&... args) const {
    char text[1024];
    if constexpr (sizeof...(args) == 0) {
      std::snprintf(text, sizeof(text), "%s", format);
    } else {
      std::snprintf(text, sizeof(text), format, args...);
    }
    return Report(text);
  }
  Expected<void> ClearErrors() const;
  Expected<std::string> GetErrorMessages() const;

  // For dispatch to NPUs: kErrorUnsupported.
  template <typename... Args>
  Expected<void> SetDispatchAnnotation(const Args&...) {
    return NoDispatch();
  }
  template <typename... Args>
  Expected<std::optional<std::string>> GetDispatchAnnotation(const Args&...) {
    return NoDispatch().Error();
  }
  template <typename... Args>
  Expected<void> RemoveDispatchAnnotation(const Args&...) {
    return NoDispatch();
  }

 private:
  struct State;
  CompiledModel(const lathe::Model& model, std::unique_ptr<State> state);
  static Expected<CompiledModel> Compile(const Environment& env,
                                         const lathe::Model& model,
                                         const Options& options);
  Expected<RankedTensorType> TypeNow(const Found& found, bool input) const;
  Expected<TensorBuffer> BufferFor(const Found& found, bool input) const;
  Expected<TensorBufferRequirements> Requirements(const internal::Place& place,
                                                  bool input) const;
  Expected<TensorBuffer> MakeBuffer(const internal::Place& place,
                                    bool input) const;
  Expected<std::vector<TensorBuffer>> MakeBuffers(
      const internal::SignatureChoice& signature, bool input) const;
  Expected<void> RunSpans(const internal::SignatureChoice& signature,
                          Span<const TensorBuffer> inputs,
                          Span<const TensorBuffer> outputs,
                          const Options* options) const;
  Expected<void> RunMaps(const internal::SignatureChoice& signature,
                         const internal::NamedBuffers& inputs,
                         const internal::NamedBuffers& outputs,
                         const Options* options) const;
  Expected<void> RunBuffers(size_t signature,
                            const std::vector<const TensorBuffer*>& inputs,
                            const std::vector<const TensorBuffer*>& outputs,
                            const Options* options) const;
  Expected<void> CheckBuffers(size_t signature,
                              const std::vector<const TensorBuffer*>& buffers,
                              bool input) const;
  static Expected<void> CopyIn(Session& session, size_t index,
                               const TensorBuffer& from);
  static Expected<void> CopyOut(const Session& session, size_t index,
                                const TensorBuffer& to);
  Expected<void> Resize(const internal::Place& place, std::span<const int> dims,
                        bool strict);
  Expected<void> Report(std::string text) const;
  static Expected<void> NoDispatch();

  std::unique_ptr<State> state_;
};

}  // namespace lathe::litert

#endif  // LATHE_LITERT_MODEL_HPP_
