// Bodies of the LiteRT twin: buffers of their own around named sessions.

#include "lathe/litert.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "src/api/state.h"
#include "src/base/aligned_buffer.h"

namespace lathe::litert {

const char* StatusName(Status status) {
#define LATHE_NAME(name) \
  case Status::name:     \
    return #name;
  switch (status) {
    LATHE_NAME(kOk)
    LATHE_NAME(kErrorInvalidArgument)
    LATHE_NAME(kErrorMemoryAllocationFailure)
    LATHE_NAME(kErrorRuntimeFailure)
    LATHE_NAME(kErrorMissingInputTensor)
    LATHE_NAME(kErrorUnsupported)
    LATHE_NAME(kErrorNotFound)
    LATHE_NAME(kErrorTimeoutExpired)
    LATHE_NAME(kErrorWrongVersion)
    LATHE_NAME(kErrorUnknown)
    LATHE_NAME(kErrorAlreadyExists)
    LATHE_NAME(kCancelled)
    LATHE_NAME(kErrorFileIO)
    LATHE_NAME(kErrorInvalidFlatbuffer)
    LATHE_NAME(kErrorDynamicLoading)
    LATHE_NAME(kErrorSerialization)
    LATHE_NAME(kErrorCompilation)
    LATHE_NAME(kErrorIndexOOB)
    LATHE_NAME(kErrorInvalidIrType)
    LATHE_NAME(kErrorInvalidGraphInvariant)
    LATHE_NAME(kErrorGraphModification)
    LATHE_NAME(kErrorInvalidToolConfig)
    LATHE_NAME(kLegalizeNoMatch)
    LATHE_NAME(kErrorInvalidLegalization)
    LATHE_NAME(kPatternNoMatch)
    LATHE_NAME(kInvalidTransformation)
    LATHE_NAME(kErrorUnsupportedRuntimeVersion)
    LATHE_NAME(kErrorUnsupportedCompilerVersion)
    LATHE_NAME(kErrorIncompatibleByteCodeVersion)
    LATHE_NAME(kErrorShapeInferenceUnsupportedOp)
    LATHE_NAME(kErrorShapeInferenceFailed)
  }
#undef LATHE_NAME
  return "unknown status";
}

namespace {

// One row per element type that both APIs know.
struct TypePair {
  lathe::ElementType ours;
  ElementType theirs;
  ByteWidth width;
};
constexpr ByteWidth kNoWidth = ByteWidth(0);
constexpr TypePair kTypes[] = {
    {lathe::ElementType::kFloat32, ElementType::Float32, ByteWidth(4)},
    {lathe::ElementType::kFloat16, ElementType::Float16, ByteWidth(2)},
    {lathe::ElementType::kInt32, ElementType::Int32, ByteWidth(4)},
    {lathe::ElementType::kUint8, ElementType::UInt8, ByteWidth(1)},
    {lathe::ElementType::kInt64, ElementType::Int64, ByteWidth(8)},
    {lathe::ElementType::kString, ElementType::TfString, kNoWidth},
    {lathe::ElementType::kBool, ElementType::Bool, ByteWidth(1)},
    {lathe::ElementType::kInt16, ElementType::Int16, ByteWidth(2)},
    {lathe::ElementType::kComplex64, ElementType::Complex64, ByteWidth(8)},
    {lathe::ElementType::kInt8, ElementType::Int8, ByteWidth(1)},
    {lathe::ElementType::kFloat64, ElementType::Float64, ByteWidth(8)},
    {lathe::ElementType::kComplex128, ElementType::Complex128, ByteWidth(16)},
    {lathe::ElementType::kUint64, ElementType::UInt64, ByteWidth(8)},
    {lathe::ElementType::kResource, ElementType::TfResource, kNoWidth},
    {lathe::ElementType::kVariant, ElementType::TfVariant, kNoWidth},
    {lathe::ElementType::kUint32, ElementType::UInt32, ByteWidth(4)},
    {lathe::ElementType::kUint16, ElementType::UInt16, ByteWidth(2)},
    {lathe::ElementType::kInt4, ElementType::Int4, ByteWidth(1, 2)},
    {lathe::ElementType::kBfloat16, ElementType::BFloat16, ByteWidth(2)},
    {lathe::ElementType::kInt2, ElementType::Int2, ByteWidth(1, 4)},
    {lathe::ElementType::kUint4, ElementType::UInt4, ByteWidth(1, 2)},
};

ElementType TheirType(lathe::ElementType ours) {
  const auto* found = std::ranges::find(kTypes, ours, &TypePair::ours);
  return found == std::end(kTypes) ? ElementType::None : found->theirs;
}

std::string NameOf(ElementType theirs) {
  const auto* found = std::ranges::find(kTypes, theirs, &TypePair::theirs);
  if (found == std::end(kTypes)) {
    return fmt::format("element type {}", static_cast<int>(theirs));
  }
  return std::string(lathe::Name(found->ours));
}

std::string ShapeText(std::span<const int32_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ","));
}

// What went wrong depends on what was being done.
enum class Doing { kOpening, kCompiling, kRunning };

Error Convert(const lathe::Error& error, Doing doing) {
  const auto status = [&] {
    switch (error.code) {
      case ErrorCode::kUsage:
        return Status::kErrorInvalidArgument;
      case ErrorCode::kInterrupted:
        return Status::kCancelled;
      case ErrorCode::kUnsupported:
        return Status::kErrorUnsupported;
      case ErrorCode::kInvalidInput:
        return doing == Doing::kOpening     ? Status::kErrorInvalidFlatbuffer
               : doing == Doing::kCompiling ? Status::kErrorCompilation
                                            : Status::kErrorRuntimeFailure;
      case ErrorCode::kSystem:
        return doing == Doing::kOpening ? Status::kErrorFileIO
                                        : Status::kErrorMemoryAllocationFailure;
    }
    return Status::kErrorUnknown;
  }();
  return Error(status, error.message);
}

template <typename... Args>
Unexpected Wrong(Status status, fmt::format_string<Args...> text,
                 Args&&... args) {
  return Unexpected(status, fmt::format(text, std::forward<Args>(args)...));
}

// Catches what the standard library throws, at the API's edge.
template <typename F>
auto Caught(F&& work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return Unexpected(Status::kErrorMemoryAllocationFailure, "out of memory");
  } catch (const std::exception& e) {
    return Unexpected(Status::kErrorUnknown, e.what());
  }
}

RankedTensorType TypeOf(const TensorInfo& tensor,
                        std::span<const int32_t> shape) {
  return RankedTensorType(TheirType(tensor.type),
                          Layout(Dimensions(shape.begin(), shape.end())));
}

// Bytes that hold a tensor of the type; 0 for strings, which say it themselves.
size_t BytesOf(const RankedTensorType& type) {
  const auto bytes = type.Bytes();
  return bytes ? *bytes : 0;
}

constexpr TensorBufferType kHost[] = {TensorBufferType::kHostMemory};

}  // namespace

std::optional<ByteWidth> GetByteWidth(ElementType type) {
  if (type == ElementType::Float8E4M3FN || type == ElementType::Float8E5M2) {
    return ByteWidth(1);
  }
  const auto* found = std::ranges::find(kTypes, type, &TypePair::theirs);
  if (found == std::end(kTypes) || found->width == kNoWidth) {
    return std::nullopt;
  }
  return found->width;
}

// --- Environment and options ------------------------------------------------

struct Environment::State {
  std::vector<Option> options;
  std::mutex mutex;
  std::map<int, Threads> pools;  // By the number that was asked for.

  Threads Pool(int count) {
    const std::lock_guard lock(mutex);
    return pools.try_emplace(count, count).first->second;
  }
};

Expected<Environment> Environment::Create(internal::ListSpan<Option> options) {
  return Caught([&]() -> Expected<Environment> {
    auto state = std::make_shared<State>();
    for (const Option& option : options) {
      switch (option.tag) {
        case OptionTag::kCompilerCacheDir:
        case OptionTag::kCompilerCacheMaxConfigsPerModel:
        case OptionTag::kCompilerCacheMaxTotalSize:
        case OptionTag::kRuntimeLibraryDir:
        case OptionTag::kAutoRegisterAccelerators:
        case OptionTag::kMinLoggerSeverity:
          break;
        default:
          return Wrong(Status::kErrorUnsupported,
                       "environment option {}: Lathe runs on the CPU only",
                       static_cast<int>(option.tag));
      }
      state->options.push_back(option);
    }
    return Environment(std::move(state));
  });
}

Expected<EnvironmentOptions> Environment::GetOptions() const {
  if (state_ == nullptr) {
    return Unexpected(Status::kErrorInvalidArgument, "an empty Environment");
  }
  return Caught([&]() -> Expected<EnvironmentOptions> {
    return EnvironmentOptions(internal::ListSpan<Option>(state_->options));
  });
}

Expected<void> CpuOptions::SetNumThreads(int num_threads) {
  constexpr int kMost = 4096;
  if (num_threads < 0 || num_threads > kMost) {
    return Wrong(Status::kErrorInvalidArgument,
                 "{} threads; 0 to {} are allowed", num_threads, kMost);
  }
  threads_ = num_threads;
  return {};
}

Expected<void> CpuOptions::SetKernelMode(LiteRtCpuKernelMode mode) {
  if (mode == kLiteRtCpuKernelModeDelegate) return {};
  return Wrong(Status::kErrorUnsupported,
               "kernel mode {}: Lathe has one set of kernels",
               static_cast<int>(mode));
}

namespace {

Unexpected NoXnnpack(const char* what) {
  return Wrong(Status::kErrorUnsupported, "{}: there is no XNNPACK in Lathe",
               what);
}

}  // namespace

Expected<void> CpuOptions::SetEnableYNNPack(bool enabled) {
  if (!enabled) return {};
  return NoXnnpack("SetEnableYNNPack");
}

Expected<void> CpuOptions::SetXNNPackFlags(uint32_t flags) {
  if (flags == 0) return {};
  return NoXnnpack("SetXNNPackFlags");
}

Expected<void> CpuOptions::SetXNNPackWeightCachePath(const char* path) {
  if (path == nullptr || *path == '\0') return {};
  return NoXnnpack("SetXNNPackWeightCachePath");
}

Expected<void> CpuOptions::SetXNNPackWeightCacheFileDescriptor(int) {
  return NoXnnpack("SetXNNPackWeightCacheFileDescriptor");
}

Expected<void> RuntimeOptions::SetEnableProfiling(bool enable) {
  if (!enable) return {};
  return Unexpected(Status::kErrorUnsupported,
                    "profiling: use SessionOptions::on_step of lathe.hpp or "
                    "the command `lathe profile`");
}

Expected<void> RuntimeOptions::SetErrorReporterMode(
    LiteRtErrorReporterMode mode) {
  if (mode < kLiteRtErrorReporterModeNone ||
      mode > kLiteRtErrorReporterModeBuffer) {
    return Wrong(Status::kErrorInvalidArgument, "error reporter mode {}",
                 static_cast<int>(mode));
  }
  mode_ = mode;
  return {};
}

namespace {

Expected<void> CheckAccelerators(HwAcceleratorSet set) {
  if ((set & HwAccelerators::kCpu) != 0) return {};
  return Wrong(Status::kErrorUnsupported,
               "hardware accelerators {}: there is kCpu ({}) only", set.value,
               static_cast<int>(HwAccelerators::kCpu));
}

}  // namespace

Expected<void> Options::SetHardwareAccelerators(HwAcceleratorSet set) {
  accelerators_ = set;
  return CheckAccelerators(set);
}

Expected<int> Options::GetHardwareAccelerators() const {
  if (!accelerators_) {
    return Unexpected(Status::kErrorInvalidArgument,
                      "hardware accelerators were not set");
  }
  return accelerators_->value;
}

Expected<void> Options::AddExternalTensorBinding(const std::string&,
                                                 const std::string& tensor_name,
                                                 void*, size_t) {
  return Wrong(Status::kErrorUnsupported,
               "tensor \"{}\": binding memory to a tensor; Session::Input of "
               "lathe.hpp gives its memory",
               tensor_name);
}

// --- Buffers -----------------------------------------------------------------

struct TensorBuffer::State {
  RankedTensorType type = {ElementType::None, Layout()};
  AlignedBuffer own;  // Empty where the memory is the caller's.
  bool managed = false;
  std::byte* data = nullptr;
  size_t size = 0, room = 0;

  bool IsString() const { return type.ElementType() == ElementType::TfString; }
  size_t Packed() const { return IsString() ? size : BytesOf(type); }

  // Makes room for another value. Errors: kErrorRuntimeFailure where the memory
  // is the caller's and too small.
  Expected<void> Become(const RankedTensorType& new_type, size_t bytes) {
    if (bytes > room) {
      if (!managed) {
        return Wrong(Status::kErrorRuntimeFailure,
                     "a buffer of {} bytes, the tensor {} needs {}", room,
                     ShapeText(new_type.Layout().Dimensions()), bytes);
      }
      auto larger = AlignedBuffer::Create(bytes);
      if (!larger) return Convert(larger.error(), Doing::kRunning);
      own = *std::move(larger);
      data = own.data();
      size = room = bytes;
    }
    if (new_type.ElementType() == ElementType::TfString) size = bytes;
    type = new_type;
    return {};
  }
};

namespace {

Unexpected EmptyBuffer() {
  return Unexpected(Status::kErrorInvalidArgument, "an empty TensorBuffer");
}

}  // namespace

Expected<TensorBuffer> TensorBuffer::Make(const RankedTensorType& type,
                                          size_t size, void* memory) {
  return Caught([&]() -> Expected<TensorBuffer> {
    const size_t needed = BytesOf(type);
    if (size < needed) {
      return Wrong(Status::kErrorInvalidArgument,
                   "a buffer of {} bytes; {} {} needs {}", size,
                   NameOf(type.ElementType()),
                   ShapeText(type.Layout().Dimensions()), needed);
    }
    if (type.Layout().HasStrides()) {
      return Wrong(Status::kErrorUnsupported,
                   "a layout with strides; tensors are row-major");
    }
    auto state = std::make_shared<State>();
    state->type = type;
    state->size = state->room = size;
    if (memory != nullptr) {
      state->data = static_cast<std::byte*>(memory);
    } else {
      auto own = AlignedBuffer::Create(size);
      if (!own) return Convert(own.error(), Doing::kRunning);
      state->own = *std::move(own);
      state->data = state->own.data();
      state->managed = true;
    }
    return TensorBuffer(std::move(state));
  });
}

Expected<TensorBuffer> TensorBuffer::CreateManaged(
    const Environment&, TensorBufferType buffer_type,
    const RankedTensorType& tensor_type, size_t buffer_size) {
  if (buffer_type != TensorBufferType::kHostMemory) {
    return Wrong(Status::kErrorUnsupported,
                 "buffer type {}: there is kHostMemory only",
                 static_cast<int>(buffer_type));
  }
  return Make(tensor_type, buffer_size, nullptr);
}

Expected<TensorBuffer> TensorBuffer::CreateManagedFromRequirements(
    const Environment& env, const RankedTensorType& tensor_type,
    const TensorBufferRequirements& requirements) {
  const auto types = requirements.SupportedTypes();
  if (std::ranges::find(*types, TensorBufferType::kHostMemory) ==
      types->end()) {
    return Wrong(Status::kErrorUnsupported,
                 "requirements without kHostMemory, which is all there is");
  }
  const auto alignment = requirements.Alignment();
  if (*alignment > 64) {
    return Wrong(Status::kErrorUnsupported, "an alignment of {}, limit 64",
                 *alignment);
  }
  const auto size = requirements.BufferSize();
  return CreateManaged(env, TensorBufferType::kHostMemory, tensor_type, *size);
}

Expected<TensorBuffer> TensorBuffer::CreateManagedHostMemory(
    const RankedTensorType& tensor_type, size_t buffer_size) {
  return Make(tensor_type, buffer_size, nullptr);
}

Expected<TensorBuffer> TensorBuffer::CreateFromHostMemory(
    const Environment&, const RankedTensorType& tensor_type,
    void* host_mem_addr, size_t buffer_size) {
  return CreateFromHostMemory(tensor_type, host_mem_addr, buffer_size);
}

Expected<TensorBuffer> TensorBuffer::CreateFromHostMemory(
    const RankedTensorType& tensor_type, void* host_mem_addr,
    size_t buffer_size) {
  if (host_mem_addr == nullptr) {
    return Unexpected(Status::kErrorInvalidArgument, "the memory is null");
  }
  return Make(tensor_type, buffer_size, host_mem_addr);
}

Expected<TensorBuffer> TensorBuffer::Duplicate() const {
  if (state_ == nullptr) return EmptyBuffer();
  return TensorBuffer(state_);
}

Expected<TensorBufferType> TensorBuffer::BufferType() const {
  if (state_ == nullptr) return EmptyBuffer();
  return TensorBufferType::kHostMemory;
}

Expected<RankedTensorType> TensorBuffer::TensorType() const {
  if (state_ == nullptr) return EmptyBuffer();
  return state_->type;
}

bool TensorBuffer::HasType(const RankedTensorType& type) const {
  return state_ != nullptr && state_->type == type;
}

Expected<size_t> TensorBuffer::Size() const {
  if (state_ == nullptr) return EmptyBuffer();
  return state_->size;
}

Expected<size_t> TensorBuffer::PackedSize() const {
  if (state_ == nullptr) return EmptyBuffer();
  return state_->Packed();
}

Expected<size_t> TensorBuffer::Offset() const {
  if (state_ == nullptr) return EmptyBuffer();
  return size_t{0};
}

Expected<void*> TensorBuffer::Memory() const {
  if (state_ == nullptr) return EmptyBuffer();
  return static_cast<void*>(state_->data);
}

Expected<void*> TensorBuffer::Lock(LockMode) { return Memory(); }

Expected<void> TensorBuffer::Unlock() {
  if (state_ == nullptr) return EmptyBuffer();
  return {};
}

Expected<void> TensorBuffer::WriteBytes(std::span<const std::byte> bytes) {
  if (state_ == nullptr) return EmptyBuffer();
  if (bytes.size() > state_->Packed()) {
    return Wrong(Status::kErrorRuntimeFailure,
                 "{} bytes to write, the tensor has {}", bytes.size(),
                 state_->Packed());
  }
  if (!bytes.empty()) std::memcpy(state_->data, bytes.data(), bytes.size());
  return {};
}

Expected<void> TensorBuffer::ReadBytes(std::span<std::byte> bytes) {
  if (state_ == nullptr) return EmptyBuffer();
  if (bytes.size() > state_->Packed()) {
    return Wrong(Status::kErrorRuntimeFailure,
                 "{} bytes to read, the tensor has {}", bytes.size(),
                 state_->Packed());
  }
  if (!bytes.empty()) std::memcpy(bytes.data(), state_->data, bytes.size());
  return {};
}

Expected<void> TensorBuffer::Clear() {
  if (state_ == nullptr) return EmptyBuffer();
  if (state_->size > 0) std::memset(state_->data, 0, state_->size);
  return {};
}

namespace util {

std::vector<uint8_t> SerializeStrings(const std::vector<std::string>& strings) {
  const auto blob = PackStrings(strings);
  if (!blob) return {};
  const auto* first = reinterpret_cast<const uint8_t*>(blob->data());
  return {first, first + blob->size()};
}

std::vector<std::string> DeserializeStrings(const uint8_t* data, size_t size) {
  auto strings =
      UnpackStrings(std::as_bytes(std::span(data, data == nullptr ? 0 : size)));
  return strings ? *std::move(strings) : std::vector<std::string>();
}

Expected<TensorBuffer> CreateTensorBufferFromStrings(
    const Environment& env, const RankedTensorType& tensor_type,
    const std::vector<std::string>& strings, TensorBufferType buffer_type) {
  return Caught([&]() -> Expected<TensorBuffer> {
    const std::vector<uint8_t> bytes = SerializeStrings(strings);
    LITERT_ASSIGN_OR_RETURN(TensorBuffer buffer,
                            TensorBuffer::CreateManaged(
                                env, buffer_type, tensor_type, bytes.size()));
    LITERT_RETURN_IF_ERROR(buffer.Write<uint8_t>(bytes));
    return buffer;
  });
}

Expected<TensorBuffer> CreateTensorBufferFromStrings(
    const Environment& env, const std::vector<std::string>& strings,
    TensorBufferType buffer_type) {
  return CreateTensorBufferFromStrings(
      env,
      RankedTensorType(
          ElementType::TfString,
          Layout(Dimensions{static_cast<int32_t>(strings.size())})),
      strings, buffer_type);
}

Expected<std::vector<std::string>> GetStringsFromTensorBuffer(
    TensorBuffer& buffer) {
  return Caught([&]() -> Expected<std::vector<std::string>> {
    LITERT_ASSIGN_OR_RETURN(void* const memory, buffer.Lock());
    LITERT_ASSIGN_OR_RETURN(const size_t size, buffer.Size());
    return DeserializeStrings(static_cast<const uint8_t*>(memory), size);
  });
}

}  // namespace util

// --- Signatures --------------------------------------------------------------

namespace {

template <typename T>
Expected<const SimpleTensor&> Pick(const std::vector<SimpleTensor>& tensors,
                                   const std::vector<StringView>& names,
                                   const T& which, const char* what) {
  if constexpr (std::same_as<T, size_t>) {
    if (which < tensors.size()) return tensors[which];
    return Wrong(Status::kErrorInvalidArgument, "{} {}; there are {}", what,
                 which, tensors.size());
  } else {
    for (size_t i = 0; i < names.size(); ++i) {
      if (names[i] == which) return tensors[i];
    }
    for (const SimpleTensor& tensor : tensors) {
      if (tensor.Name() == which) return tensor;
    }
    return Wrong(Status::kErrorNotFound, "no {} \"{}\"; there are: \"{}\"",
                 what, which, fmt::join(names, "\" \""));
  }
}

}  // namespace

Expected<const SimpleTensor&> SimpleSignature::InputTensor(
    StringView name) const {
  return Pick(table_->inputs, table_->input_names, name, "input");
}
Expected<const SimpleTensor&> SimpleSignature::InputTensor(size_t index) const {
  return Pick(table_->inputs, table_->input_names, index, "input");
}
Expected<const SimpleTensor&> SimpleSignature::OutputTensor(
    StringView name) const {
  return Pick(table_->outputs, table_->output_names, name, "output");
}
Expected<const SimpleTensor&> SimpleSignature::OutputTensor(
    size_t index) const {
  return Pick(table_->outputs, table_->output_names, index, "output");
}

SignatureTable::SignatureTable(const lathe::Model& model) {
  const auto describe = [](const TensorInfo& info) {
    SimpleTensor tensor(TypeOf(info, info.shape_signature.empty()
                                         ? info.shape
                                         : info.shape_signature));
    tensor.index_ = static_cast<uint32_t>(info.index);
    tensor.name_ = info.tensor;
    const QuantizationInfo& q = info.quantization;
    const bool zeros = q.zero_points.size() == q.scales.size();
    if (q.scales.size() == 1) {
      tensor.quantization_ = QuantizationTypeId::PerTensor;
      tensor.per_tensor_ = {q.scales[0], zeros ? q.zero_points[0] : 0};
    } else if (q.scales.size() > 1) {
      tensor.quantization_ = QuantizationTypeId::PerChannel;
      tensor.channel_axis_ = q.axis;
      tensor.scales_ = q.scales;
      tensor.zero_points_ = zeros ? std::span<const int64_t>(q.zero_points)
                                  : std::span<const int64_t>();
      if (!zeros) tensor.zeros_.resize(q.scales.size());
    }
    return tensor;
  };
  for (const SignatureInfo& info : model.signatures()) {
    auto table = std::make_shared<SimpleSignature::Table>();
    table->model = model.state();
    table->key = info.key.empty() ? DefaultSignatureKey() : info.key;
    for (const TensorInfo& input : info.inputs) {
      table->input_names.push_back(input.name);
      table->inputs.push_back(describe(input));
    }
    for (const TensorInfo& output : info.outputs) {
      table->output_names.push_back(output.name);
      table->outputs.push_back(describe(output));
    }
    signatures_.push_back(SimpleSignature(std::move(table)));
  }
}

Expected<std::vector<StringView>> SignatureTable::GetSignatureKeys() const {
  return Caught([&]() -> Expected<std::vector<StringView>> {
    std::vector<StringView> keys;
    for (const SimpleSignature& each : signatures_) keys.push_back(each.Key());
    return keys;
  });
}

Expected<size_t> SignatureTable::IndexOf(
    const internal::SignatureChoice& signature) const {
  if (signature.key) return GetSignatureIndex(*signature.key);
  if (signature.index < signatures_.size()) return signature.index;
  return Wrong(Status::kErrorInvalidArgument, "signature {}; there are {}",
               signature.index, signatures_.size());
}

Expected<SimpleSignature> SignatureTable::GetSignature(
    size_t signature_index) const {
  LITERT_ASSIGN_OR_RETURN(const size_t index, IndexOf(signature_index));
  return signatures_[index];
}

Expected<size_t> SignatureTable::GetSignatureIndex(
    StringView signature_key) const {
  if (signature_key.empty()) return IndexOf(size_t{0});
  std::string keys;
  for (size_t i = 0; i < signatures_.size(); ++i) {
    if (signatures_[i].Key() == signature_key) return i;
    keys += fmt::format(" \"{}\"", signatures_[i].Key());
  }
  return Wrong(Status::kErrorNotFound, "no signature \"{}\"; there are:{}",
               signature_key, keys);
}

Expected<SimpleSignature> SignatureTable::FindSignature(
    StringView signature_key) const {
  LITERT_ASSIGN_OR_RETURN(const size_t index, GetSignatureIndex(signature_key));
  return signatures_[index];
}

Expected<std::vector<StringView>> SignatureTable::GetSignatureInputNames(
    internal::SignatureChoice signature) const {
  LITERT_ASSIGN_OR_RETURN(const size_t index, IndexOf(signature));
  return signatures_[index].InputNames();
}

Expected<std::vector<StringView>> SignatureTable::GetSignatureOutputNames(
    internal::SignatureChoice signature) const {
  LITERT_ASSIGN_OR_RETURN(const size_t index, IndexOf(signature));
  return signatures_[index].OutputNames();
}

const SimpleTensor& SignatureTable::At(const Found& found, bool input) const {
  const SimpleSignature::Table& table = *signatures_[found.signature].table_;
  return (input ? table.inputs : table.outputs)[found.tensor];
}

Expected<SignatureTable::Found> SignatureTable::Locate(
    const internal::Place& place, bool input) const {
  LITERT_ASSIGN_OR_RETURN(const size_t index, IndexOf(place.signature));
  const SimpleSignature::Table& table = *signatures_[index].table_;
  const auto& tensors = input ? table.inputs : table.outputs;
  const auto& names = input ? table.input_names : table.output_names;
  const char* what = input ? "input" : "output";
  auto found = place.tensor.name
                   ? Pick(tensors, names, *place.tensor.name, what)
                   : Pick(tensors, names, place.tensor.index, what);
  if (!found) return found.Error();
  return Found{index, static_cast<size_t>(&*found - tensors.data())};
}

Expected<const SimpleTensor&> SignatureTable::Find(const internal::Place& place,
                                                   bool input) const {
  LITERT_ASSIGN_OR_RETURN(const Found found, Locate(place, input));
  return At(found, input);
}

// --- Models ------------------------------------------------------------------

namespace {

Expected<lathe::Model> OpenBuffer(BufferRef<uint8_t> buffer) {
  return Caught([&]() -> Expected<lathe::Model> {
    const auto bytes = std::as_bytes(buffer.Span());
    auto model = lathe::Model::FromMemory({bytes.begin(), bytes.end()});
    if (!model) return Convert(model.error(), Doing::kOpening);
    return *std::move(model);
  });
}

Expected<lathe::Model> OpenFile(const std::string& filename) {
  auto model = lathe::Model::Open(filename);
  if (!model && ::access(filename.c_str(), R_OK) != 0) {
    return Error(Status::kErrorFileIO, model.error().message);
  }
  if (!model) return Convert(model.error(), Doing::kOpening);
  return *std::move(model);
}

}  // namespace

Expected<Model> Model::CreateFromFile(const std::string& filename) {
  return Caught([&]() -> Expected<Model> {
    LITERT_ASSIGN_OR_RETURN(lathe::Model opened, OpenFile(filename));
    return Model(std::move(opened));
  });
}

Expected<Model> Model::CreateFromFile(Environment&,
                                      const std::string& filename) {
  return CreateFromFile(filename);
}

Expected<Model> Model::CreateFromBuffer(BufferRef<uint8_t> buffer) {
  return Caught([&]() -> Expected<Model> {
    LITERT_ASSIGN_OR_RETURN(lathe::Model opened, OpenBuffer(buffer));
    return Model(std::move(opened));
  });
}

Expected<Model> Model::CreateFromBuffer(Environment&,
                                        BufferRef<uint8_t> buffer) {
  return CreateFromBuffer(buffer);
}

Expected<Model> Model::CreateFromFd(int fd, size_t offset, size_t size) {
  return Caught([&]() -> Expected<Model> {
    // Grows with what is there, so that a wrong size costs no memory.
    constexpr size_t kPiece = size_t{16} << 20;
    std::vector<std::byte> bytes;
    while (bytes.size() < size) {
      const size_t had = bytes.size();
      bytes.resize(had + std::min(kPiece, size - had));
      const ssize_t got = ::pread(fd, bytes.data() + had, bytes.size() - had,
                                  static_cast<off_t>(offset + had));
      if (got < 0 && errno == EINTR) {
        bytes.resize(had);
        continue;
      }
      if (got <= 0) {
        return Wrong(Status::kErrorFileIO,
                     "descriptor {}: {} bytes from {} on, found {}", fd, size,
                     offset, had);
      }
      bytes.resize(had + static_cast<size_t>(got));
    }
    auto model = lathe::Model::FromMemory(std::move(bytes));
    if (!model) return Convert(model.error(), Doing::kOpening);
    return Model(*std::move(model));
  });
}

Expected<Model> Model::CreateFromFd(Environment&, int fd, size_t offset,
                                    size_t size) {
  return CreateFromFd(fd, offset, size);
}

Expected<Span<const uint8_t>> Model::Metadata(
    const std::string& metadata_key) const {
  if (model_) {
    const graph::Graph& graph = model_->state()->graph;
    for (const graph::Metadata& each : graph.metadata) {
      if (each.name != metadata_key) continue;
      const auto bytes = graph.buffers[each.buffer].bytes;
      return Span<const uint8_t>(reinterpret_cast<const uint8_t*>(bytes.data()),
                                 bytes.size());
    }
  }
  return Wrong(Status::kErrorNotFound, "no metadata \"{}\"", metadata_key);
}

// --- Compiled models ---------------------------------------------------------

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
