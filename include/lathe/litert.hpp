// The LiteRT C++ API on top of lathe.hpp: the same nouns, order and macros, so
// that code written for LiteRT needs its includes replaced and one line,
//
//   namespace litert = lathe::litert;
//
//   LITERT_ASSIGN_OR_RETURN(auto env, litert::Environment::Create({}));
//   LITERT_ASSIGN_OR_RETURN(auto model, litert::CompiledModel::Create(
//       env, "model.tflite", litert::HwAccelerators::kCpu));
//   LITERT_ASSIGN_OR_RETURN(auto inputs, model.CreateInputBuffers());
//   LITERT_ASSIGN_OR_RETURN(auto outputs, model.CreateOutputBuffers());
//   LITERT_RETURN_IF_ERROR(inputs[0].Write<float>(samples));
//   LITERT_RETURN_IF_ERROR(model.Run(inputs, outputs));
//   LITERT_RETURN_IF_ERROR(outputs[0].Read<float>(logits));
//
// What has no meaning on a CPU is declared where code may call it and returns
// kErrorUnsupported with a sentence. New code had better use lathe.hpp: named
// inputs without a copy, and a model that any thread may use.
//
// Differences from LiteRT: every file is verified; a buffer given to
// CreateFromBuffer is copied and may go; two threads may run one CompiledModel
// (they take turns); models with the same number of threads share the
// environment's pool; without SetNumThreads that is one per physical core.
// Nothing throws; the value of an error aborts, as there.

#ifndef LATHE_LITERT_HPP_
#define LATHE_LITERT_HPP_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "lathe/lathe.hpp"

namespace lathe::litert {

using StringView = std::string_view;
template <typename T>
using Span = std::span<T>;
template <typename K, typename V>
using FlatHashMap = std::unordered_map<K, V>;
template <typename Signature>
using AnyInvocable = std::function<Signature>;

// --- Errors ------------------------------------------------------------------

enum class Status : int {
  kOk = 0,
  kErrorInvalidArgument = 1,
  kErrorMemoryAllocationFailure = 2,
  kErrorRuntimeFailure = 3,
  kErrorMissingInputTensor = 4,
  kErrorUnsupported = 5,
  kErrorNotFound = 6,
  kErrorTimeoutExpired = 7,
  kErrorWrongVersion = 8,
  kErrorUnknown = 9,
  kErrorAlreadyExists = 10,
  kCancelled = 100,
  kErrorFileIO = 500,
  kErrorInvalidFlatbuffer = 501,
  kErrorDynamicLoading = 502,
  kErrorSerialization = 503,
  kErrorCompilation = 504,
  kErrorIndexOOB = 1000,
  kErrorInvalidIrType = 1001,
  kErrorInvalidGraphInvariant = 1002,
  kErrorGraphModification = 1003,
  kErrorInvalidToolConfig = 1500,
  kLegalizeNoMatch = 2000,
  kErrorInvalidLegalization = 2001,
  kPatternNoMatch = 3000,
  kInvalidTransformation = 3001,
  kErrorUnsupportedRuntimeVersion = 4000,
  kErrorUnsupportedCompilerVersion = 4001,
  kErrorIncompatibleByteCodeVersion = 4002,
  kErrorShapeInferenceUnsupportedOp = 5000,
  kErrorShapeInferenceFailed = 5001,
};

// "kErrorNotFound" ...
LATHE_EXPORT const char* StatusName(Status status);

class Error {
 public:
  explicit Error(litert::Status status, std::string message = {})
      : status_(status), message_(std::move(message)) {}

  litert::Status StatusCC() const { return status_; }
  litert::Status StatusValue() const { return status_; }
  litert::Status Status() const { return status_; }
  const std::string& Message() const { return message_; }

  friend std::ostream& operator<<(std::ostream& stream, const Error& error) {
    stream << StatusName(error.status_);
    if (!error.message_.empty()) stream << ": " << error.message_;
    return stream;
  }

 private:
  litert::Status status_;
  std::string message_;
};

class Unexpected {
 public:
  explicit Unexpected(Status status, std::string message = {})
      : error_(status, std::move(message)) {}
  Unexpected(class Error error) : error_(std::move(error)) {}

  const class Error& Error() const& { return error_; }
  class Error& Error() & { return error_; }
  class Error&& Error() && { return std::move(error_); }

 private:
  class Error error_;
};

// A value, or an Error. Asking for the one that is not there aborts.
template <typename T>
class Expected {
  using Stored =
      std::conditional_t<std::is_reference_v<T>,
                         std::reference_wrapper<std::remove_reference_t<T>>, T>;
  using Bare = std::remove_reference_t<T>;

 public:
  using value_type = std::decay_t<T>;

  template <typename U = T>
    requires(std::convertible_to<U &&, Stored> &&
             !std::same_as<std::remove_cvref_t<U>, Expected> &&
             !std::same_as<std::remove_cvref_t<U>, Unexpected> &&
             !std::same_as<std::remove_cvref_t<U>, class Error>)
  Expected(U&& value)
      : either_(std::in_place_index<0>, std::forward<U>(value)) {}
  Expected(Unexpected error)
      : either_(std::in_place_index<1>, std::move(error).Error()) {}
  Expected(class Error error)
      : either_(std::in_place_index<1>, std::move(error)) {}

  bool HasValue() const { return either_.index() == 0; }
  explicit operator bool() const { return HasValue(); }

  const Bare& Value() const& { return Get(); }
  Bare& Value() & { return Get(); }
  const Bare& Value() const&& = delete;
  Bare& Value() && = delete;
  const Bare& operator*() const& { return Get(); }
  Bare& operator*() & { return Get(); }
  const Bare& operator*() const&& = delete;
  Bare& operator*() && = delete;
  const Bare* operator->() const& { return &Get(); }
  Bare* operator->() & { return &Get(); }
  const Bare* operator->() const&& = delete;
  Bare* operator->() && = delete;

  const class Error& Error() const& {
    if (HasValue()) std::abort();
    return *std::get_if<1>(&either_);
  }
  class Error& Error() & {
    if (HasValue()) std::abort();
    return *std::get_if<1>(&either_);
  }

 private:
  const Bare& Get() const {
    if (!HasValue()) std::abort();
    return *std::get_if<0>(&either_);
  }
  Bare& Get() {
    if (!HasValue()) std::abort();
    return *std::get_if<0>(&either_);
  }

  std::variant<Stored, class Error> either_;
};

template <>
class Expected<void> {
 public:
  Expected() = default;
  Expected(Unexpected error) : error_(std::move(error).Error()) {}
  Expected(class Error error) : error_(std::move(error)) {}

  bool HasValue() const { return !error_.has_value(); }
  explicit operator bool() const { return HasValue(); }

  const class Error& Error() const& {
    if (HasValue()) std::abort();
    return *error_;
  }
  class Error& Error() & {
    if (HasValue()) std::abort();
    return *error_;
  }

 private:
  std::optional<class Error> error_;
};

// What the macros below return: an Error that takes more text with << and turns
// into what the function returns.
class ErrorStatusBuilder {
 public:
  explicit ErrorStatusBuilder(Error error) : error_(std::move(error)) {}
  template <typename T>
  explicit ErrorStatusBuilder(const Expected<T>& failed)
      : error_(failed.Error()) {}
  explicit ErrorStatusBuilder(const Unexpected& failed)
      : error_(failed.Error()) {}
  explicit ErrorStatusBuilder(Status failed) : error_(failed) {}
  explicit ErrorStatusBuilder(bool) : error_(Status::kErrorUnknown) {}

  template <typename T>
  static bool IsError(const T& value) {
    if constexpr (std::same_as<T, Status>) {
      return value != Status::kOk;
    } else if constexpr (std::same_as<T, Unexpected>) {
      return true;
    } else {
      return !static_cast<bool>(value);
    }
  }

  template <typename T>
  ErrorStatusBuilder& operator<<(const T& more) {
    std::ostringstream text;
    text << more;
    more_ += text.str();
    return *this;
  }
  // LiteRT's levels of logging; Lathe logs nothing.
  ErrorStatusBuilder& LogVerbose() { return *this; }
  ErrorStatusBuilder& LogInfo() { return *this; }
  ErrorStatusBuilder& LogWarning() { return *this; }
  ErrorStatusBuilder& LogError() { return *this; }
  ErrorStatusBuilder& NoLog() { return *this; }

  litert::Error Get() const {
    if (more_.empty()) return error_;
    const std::string& message = error_.Message();
    return litert::Error(error_.StatusCC(),
                         message.empty() ? more_ : more_ + ": " + message);
  }
  template <typename T>
  operator Expected<T>() const {
    return Get();
  }
  operator Status() const { return error_.StatusCC(); }

 private:
  litert::Error error_;
  std::string more_;
};

// Prints the error and aborts at the end of the statement.
class LogBeforeAbort {
 public:
  explicit LogBeforeAbort(ErrorStatusBuilder builder)
      : builder_(std::move(builder)) {}
  ~LogBeforeAbort() {
    std::fprintf(stderr, "%s\n", builder_.Get().Message().c_str());
    std::abort();
  }
  template <typename T>
  LogBeforeAbort& operator<<(const T& more) {
    builder_ << more;
    return *this;
  }

 private:
  ErrorStatusBuilder builder_;
};

namespace internal {

// An argument that is a span, a vector or a list in braces.
template <typename T>
class ListSpan : public std::span<const T> {
 public:
  ListSpan() = default;
  using std::span<const T>::span;
  ListSpan(std::span<const T> span) : std::span<const T>(span) {}
  ListSpan(std::initializer_list<T> list)
      : std::span<const T>(list.begin(), list.size()) {}
};

template <typename T>
T&& Forward(Expected<T>& expected) {
  return std::move(expected.Value());
}
template <typename T>
T& Forward(Expected<T&>& expected) {
  return expected.Value();
}

}  // namespace internal

// --- Types -------------------------------------------------------------------

enum class ElementType : int {
  None = 0,
  Bool = 6,
  Int2 = 20,
  Int4 = 18,
  Int8 = 9,
  Int16 = 7,
  Int32 = 2,
  Int64 = 4,
  UInt4 = 21,
  UInt8 = 3,
  UInt16 = 17,
  UInt32 = 16,
  UInt64 = 13,
  Float8E4M3FN = 22,
  Float8E5M2 = 23,
  Float16 = 10,
  BFloat16 = 19,
  Float32 = 1,
  Float64 = 11,
  Complex64 = 8,
  Complex128 = 12,
  TfResource = 14,
  TfString = 5,
  TfVariant = 15,
};

// Bytes of some elements; types below a byte share one.
class ByteWidth {
 public:
  constexpr explicit ByteWidth(size_t numerator, size_t denominator = 1)
      : numerator_(numerator), denominator_(denominator) {}
  constexpr size_t NumBytes(size_t elements = 1) const {
    return (elements * numerator_ + denominator_ - 1) / denominator_;
  }
  constexpr size_t operator*(size_t elements) const {
    return NumBytes(elements);
  }
  constexpr operator size_t() const { return NumBytes(); }

 private:
  size_t numerator_, denominator_;
};

// Empty for types that have no size of their own.
LATHE_EXPORT std::optional<ByteWidth> GetByteWidth(ElementType type);

// Of the element type that T is stored as; does not compile for others.
template <typename T>
constexpr ElementType GetElementType() {
  if constexpr (std::same_as<T, bool>)
    return ElementType::Bool;
  else if constexpr (std::same_as<T, int8_t>)
    return ElementType::Int8;
  else if constexpr (std::same_as<T, uint8_t>)
    return ElementType::UInt8;
  else if constexpr (std::same_as<T, int16_t>)
    return ElementType::Int16;
  else if constexpr (std::same_as<T, uint16_t>)
    return ElementType::UInt16;
  else if constexpr (std::same_as<T, int32_t>)
    return ElementType::Int32;
  else if constexpr (std::same_as<T, uint32_t>)
    return ElementType::UInt32;
  else if constexpr (std::same_as<T, int64_t>)
    return ElementType::Int64;
  else if constexpr (std::same_as<T, uint64_t>)
    return ElementType::UInt64;
  else if constexpr (std::same_as<T, float>)
    return ElementType::Float32;
  else {
    static_assert(std::same_as<T, double>, "no element type for this type");
    return ElementType::Float64;
  }
}

using Dimensions = std::vector<int32_t>;
using Strides = std::vector<uint32_t>;

class Layout {
 public:
  using Dim = int32_t;

  Layout() = default;
  explicit Layout(litert::Dimensions dimensions, litert::Strides strides = {})
      : dimensions_(std::move(dimensions)), strides_(std::move(strides)) {}

  bool operator==(const Layout& other) const = default;

  uint32_t Rank() const { return static_cast<uint32_t>(dimensions_.size()); }
  Span<const Dim> Dimensions() const { return dimensions_; }
  bool HasStrides() const { return !strides_.empty(); }
  Span<const uint32_t> Strides() const { return strides_; }
  // Errors: kErrorInvalidArgument for a dimension below 0, which means unknown.
  Expected<size_t> NumElements() const {
    size_t count = 1;
    for (const Dim dim : dimensions_) {
      if (dim < 0 || (dim > 0 && count > SIZE_MAX / 16 / dim)) {
        return Unexpected(litert::Status::kErrorInvalidArgument,
                          "a dimension of " + std::to_string(dim));
      }
      count *= static_cast<size_t>(dim);
    }
    return count;
  }

 private:
  litert::Dimensions dimensions_;
  litert::Strides strides_;
};

class RankedTensorType {
 public:
  RankedTensorType(litert::ElementType element_type, litert::Layout layout)
      : element_type_(element_type), layout_(std::move(layout)) {}

  bool operator==(const RankedTensorType& other) const = default;

  litert::ElementType ElementType() const { return element_type_; }
  void SetElementType(litert::ElementType type) { element_type_ = type; }
  const litert::Layout& Layout() const { return layout_; }
  // Without padding.
  Expected<size_t> Bytes() const {
    auto count = layout_.NumElements();
    if (!count) return count;
    const auto width = GetByteWidth(element_type_);
    if (!width) {
      return Unexpected(Status::kErrorInvalidArgument,
                        "an element type without a size");
    }
    return *width * *count;
  }

 private:
  litert::ElementType element_type_;
  litert::Layout layout_;
};

template <typename T>
RankedTensorType MakeRankedTensorType(
    std::initializer_list<Layout::Dim> shape) {
  return RankedTensorType(GetElementType<T>(), Layout(Dimensions(shape)));
}
template <typename T, typename Shape>
RankedTensorType MakeRankedTensorType(const Shape& shape) {
  return RankedTensorType(
      GetElementType<T>(),
      Layout(Dimensions(std::cbegin(shape), std::cend(shape))));
}

enum class QuantizationTypeId : int {
  None = 0,
  PerTensor = 1,
  PerChannel = 2,
  BlockWise = 3,
};
struct QuantizationPerTensor {
  float scale = 0;
  int64_t zero_point = 0;
};
// The arrays belong to the model.
struct QuantizationPerChannel {
  int32_t quantized_dimension = 0;
  uint64_t num_channels = 0;
  const float* scales = nullptr;
  const int64_t* zero_points = nullptr;
};
// No input or output is quantized in blocks: the getters below give this one.
struct QuantizationBlockWise {
  int32_t block_size = 0;
};

// A tensor of a signature. Belongs to the model and lives as long as it.
class SimpleTensor {
 public:
  litert::ElementType ElementType() const { return type_.ElementType(); }
  bool HasType(const litert::RankedTensorType& type) const {
    return type_ == type;
  }
  // Dimensions are -1 where the model lets them change.
  Expected<litert::RankedTensorType> RankedTensorType() const { return type_; }
  // The tensor's own name, not the signature's.
  StringView Name() const { return name_; }
  uint32_t TensorIndex() const { return index_; }
  QuantizationTypeId QTypeId() const { return quantization_; }
  bool HasQuantization() const {
    return quantization_ != QuantizationTypeId::None;
  }
  QuantizationPerTensor PerTensorQuantization() const { return per_tensor_; }
  QuantizationPerChannel PerChannelQuantization() const {
    return {channel_axis_, scales_.size(), scales_.data(),
            zeros_.empty() ? zero_points_.data() : zeros_.data()};
  }
  QuantizationBlockWise BlockWiseQuantization() const { return {}; }

 private:
  friend class SignatureTable;
  explicit SimpleTensor(litert::RankedTensorType type)
      : type_(std::move(type)) {}

  uint32_t index_ = 0;
  StringView name_;
  litert::RankedTensorType type_;
  QuantizationTypeId quantization_ = QuantizationTypeId::None;
  QuantizationPerTensor per_tensor_;
  int32_t channel_axis_ = 0;
  std::span<const float> scales_;
  std::span<const int64_t> zero_points_;
  std::vector<int64_t> zeros_;  // Where the file stores no zero points.
};

// The names and tensors of one entry of a model; copies share them. Keeps the
// model's file alive.
class SimpleSignature {
 public:
  StringView Key() const { return table_->key; }
  std::vector<StringView> InputNames() const { return table_->input_names; }
  std::vector<StringView> OutputNames() const { return table_->output_names; }
  // Errors: kErrorNotFound for a name, kErrorInvalidArgument for an index.
  LATHE_EXPORT Expected<const SimpleTensor&> InputTensor(StringView name) const;
  LATHE_EXPORT Expected<const SimpleTensor&> InputTensor(size_t index) const;
  LATHE_EXPORT Expected<const SimpleTensor&> OutputTensor(
      StringView name) const;
  LATHE_EXPORT Expected<const SimpleTensor&> OutputTensor(size_t index) const;
  template <typename Which>
  Expected<RankedTensorType> InputTensorType(const Which& which) const {
    auto tensor = InputTensor(which);
    if (!tensor) return tensor.Error();
    return tensor->RankedTensorType();
  }
  template <typename Which>
  Expected<RankedTensorType> OutputTensorType(const Which& which) const {
    auto tensor = OutputTensor(which);
    if (!tensor) return tensor.Error();
    return tensor->RankedTensorType();
  }

 private:
  friend class SignatureTable;
  struct Table {
    StringView key;
    std::vector<StringView> input_names, output_names;
    std::vector<SimpleTensor> inputs, outputs;
    std::shared_ptr<const void> model;
  };
  explicit SimpleSignature(std::shared_ptr<const Table> table)
      : table_(std::move(table)) {}

  std::shared_ptr<const Table> table_;
};

// A view of bytes.
template <typename ByteT = uint8_t>
class BufferRef {
 public:
  BufferRef() = default;
  BufferRef(const void* data, size_t end_offset, size_t start_offset = 0)
      : data_(static_cast<const ByteT*>(data) + start_offset),
        size_(end_offset > start_offset ? end_offset - start_offset : 0) {}
  explicit BufferRef(std::span<const ByteT> data)
      : data_(data.data()), size_(data.size()) {}
  const ByteT* Data() const { return data_; }
  size_t Size() const { return size_; }
  std::span<const ByteT> Span() const { return {data_, size_}; }

 private:
  const ByteT* data_ = nullptr;
  size_t size_ = 0;
};

// --- Environment and options ------------------------------------------------

enum class HwAccelerators : int { kNone = 0, kCpu = 1, kGpu = 2, kNpu = 4 };

struct HwAcceleratorSet {
  int value;
  explicit HwAcceleratorSet(int set) : value(set) {}
  explicit HwAcceleratorSet(HwAccelerators one)
      : value(static_cast<int>(one)) {}
};
inline HwAcceleratorSet operator|(HwAccelerators a, HwAccelerators b) {
  return HwAcceleratorSet(static_cast<int>(a) | static_cast<int>(b));
}
inline HwAcceleratorSet operator|(HwAcceleratorSet a, HwAccelerators b) {
  return HwAcceleratorSet(a.value | static_cast<int>(b));
}
inline int operator&(HwAccelerators a, HwAccelerators b) {
  return static_cast<int>(a) & static_cast<int>(b);
}
inline int operator&(HwAcceleratorSet a, HwAccelerators b) {
  return a.value & static_cast<int>(b);
}
inline HwAcceleratorSet& operator|=(HwAcceleratorSet& a, HwAccelerators b) {
  a.value |= static_cast<int>(b);
  return a;
}

using LiteRtVariant =
    std::variant<std::monostate, bool, int8_t, int16_t, int32_t, int64_t, float,
                 double, const char*, StringView, const void*, void*>;

class EnvironmentOptions {
 public:
  enum class Tag : int {
    kCompilerPluginLibraryDir = 0,
    kDispatchLibraryDir = 1,
    kOpenClDeviceId = 2,
    kOpenClPlatformId = 3,
    kOpenClContext = 4,
    kOpenClCommandQueue = 5,
    kEglDisplay = 6,
    kEglContext = 7,
    kWebGpuDevice = 8,
    kWebGpuQueue = 9,
    kMetalDevice = 10,
    kMetalCommandQueue = 11,
    kVulkanEnvironment = 12,
    kCallbackOnGpuEnvDestroy = 14,
    kCallbackUserDataOnGpuEnvDestroy = 15,
    kMagicNumberConfigs = 16,
    kMagicNumberVerifications = 17,
    kCompilerCacheDir = 18,
    kWebGpuInstance = 19,
    kWebGpuProcs = 20,
    kRuntimeLibraryDir = 22,
    kSystemRuntimeHandle = 23,
    kAutoRegisterAccelerators = 24,
    kMinLoggerSeverity = 25,
    kCompilerCacheMaxConfigsPerModel = 26,
    kCompilerCacheMaxTotalSize = 27,
    kContext = 28,
    kWebGpuFlushCallback = 29,
    kSystemGpuAcceleratorHandle = 30,
  };
  // Keeps its own copy of text.
  struct Option {
    Option(Tag which, LiteRtVariant what) : tag(which), value(what) {
      if (const auto* view = std::get_if<StringView>(&what)) {
        text = std::make_shared<const std::string>(*view);
      } else if (const auto* chars = std::get_if<const char*>(&what)) {
        text = std::make_shared<const std::string>(*chars ? *chars : "");
      }
      if (text) value = text->c_str();
    }
    Tag tag;
    LiteRtVariant value;
    std::shared_ptr<const std::string> text;
  };

  explicit EnvironmentOptions(internal::ListSpan<Option> options)
      : options_(options.begin(), options.end()) {}
  Span<const Option> GetOptions() const { return options_; }
  Expected<LiteRtVariant> GetOption(Tag tag) const {
    for (const Option& option : options_) {
      if (option.tag == tag) return option.value;
    }
    return Unexpected(Status::kErrorNotFound, "the option was not set");
  }

 private:
  std::vector<Option> options_;
};

// Holds the thread pools of its models. Models keep what they need of it, so it
// may go before them. Any thread may use it.
class LATHE_EXPORT Environment {
 public:
  using OptionTag = EnvironmentOptions::Tag;
  using Option = EnvironmentOptions::Option;

  // Options about logging, caches of compiled models and folders of runtime
  // libraries have nothing to set here and are taken. Errors: kErrorUnsupported
  // for those that hand over a GPU, an NPU or a plugin.
  static Expected<Environment> Create(internal::ListSpan<Option> options);
  static Expected<Environment> Create(const EnvironmentOptions& options) {
    return Create(internal::ListSpan<Option>(options.GetOptions()));
  }

  Expected<EnvironmentOptions> GetOptions() const;
  Expected<std::vector<HwAccelerators>> GetAvailableAccelerators() const {
    return std::vector<HwAccelerators>{HwAccelerators::kCpu};
  }
  // Of a GPU.
  bool SupportsClGlInterop() const { return false; }
  bool SupportsAhwbClInterop() const { return false; }
  bool SupportsAhwbGlInterop() const { return false; }
  bool SupportsFP16() const { return false; }

  explicit operator bool() const { return state_ != nullptr; }
  bool operator==(const Environment& other) const = default;

 private:
  friend class CompiledModel;
  struct State;
  explicit Environment(std::shared_ptr<State> state)
      : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

enum LiteRtCpuKernelMode {
  kLiteRtCpuKernelModeDelegate = 0,
  kLiteRtCpuKernelModeXnnpack = kLiteRtCpuKernelModeDelegate,
  kLiteRtCpuKernelModeReference = 1,
  kLiteRtCpuKernelModeBuiltin = 2,
};

class CompiledModel;

class LATHE_EXPORT CpuOptions {
 public:
  static Expected<CpuOptions> Create() { return CpuOptions(); }

  // 0: one per physical core. Errors: kErrorInvalidArgument below 0.
  Expected<void> SetNumThreads(int num_threads);
  Expected<int> GetNumThreads() const { return threads_; }
  // Lathe has one set of kernels; kErrorUnsupported for another than the
  // default. `isa` of lathe.hpp chooses among them.
  Expected<void> SetKernelMode(LiteRtCpuKernelMode mode);
  Expected<LiteRtCpuKernelMode> GetKernelMode() const {
    return kLiteRtCpuKernelModeDelegate;
  }
  // There is no XNNPACK here: kErrorUnsupported for what switches it.
  Expected<void> SetEnableYNNPack(bool enabled);
  Expected<bool> GetEnableYNNPack() const { return false; }
  Expected<void> SetXNNPackFlags(uint32_t flags);
  Expected<uint32_t> GetXNNPackFlags() const { return uint32_t{0}; }
  Expected<void> SetHintFullyDelegatedToSingleDelegate(bool) { return {}; }
  Expected<void> SetXNNPackWeightCachePath(const char* path);
  Expected<StringView> GetXNNPackWeightCachePath() const {
    return StringView();
  }
  Expected<void> SetXNNPackWeightCacheFileDescriptor(int descriptor);
  Expected<int> GetXNNPackWeightCacheFileDescriptor() const { return -1; }

 private:
  friend class CompiledModel;
  int threads_ = 0;
};

enum LiteRtErrorReporterMode {
  kLiteRtErrorReporterModeNone = 0,
  kLiteRtErrorReporterModeStderr = 1,
  kLiteRtErrorReporterModeBuffer = 2,
};

class LATHE_EXPORT RuntimeOptions {
 public:
  static Expected<RuntimeOptions> Create() { return RuntimeOptions(); }

  // kErrorUnsupported for true: profile with SessionOptions::on_step of
  // lathe.hpp or the command `lathe profile`.
  Expected<void> SetEnableProfiling(bool enable);
  Expected<bool> GetEnableProfiling() const { return false; }
  // Lathe never prints, so that the mode on stderr is that of none.
  Expected<void> SetErrorReporterMode(LiteRtErrorReporterMode mode);
  Expected<LiteRtErrorReporterMode> GetErrorReporterMode() const {
    return mode_;
  }
  // About how LiteRT keeps and splits its graph; taken.
  Expected<void> SetCompressQuantizationZeroPoints(bool) { return {}; }
  Expected<bool> GetCompressQuantizationZeroPoints() const { return false; }
  Expected<void> SetDisableDelegateClustering(bool) { return {}; }
  Expected<bool> GetDisableDelegateClustering() const { return false; }
  // A signature is prepared when it is first used, so there is nothing to
  // select; taken.
  Expected<void> SetSelectedSignatures(Span<const StringView>) { return {}; }

 private:
  friend class CompiledModel;
  LiteRtErrorReporterMode mode_ = kLiteRtErrorReporterModeStderr;
};

class LATHE_EXPORT Options {
 public:
  static Expected<Options> Create() { return Options(); }

  // A set must have kCpu in it, which is what runs. Errors, here and when a
  // model is compiled: kErrorUnsupported naming what there is.
  Expected<void> SetHardwareAccelerators(HwAccelerators accelerators) {
    return SetHardwareAccelerators(HwAcceleratorSet(accelerators));
  }
  Expected<void> SetHardwareAccelerators(HwAcceleratorSet accelerators);
  Expected<int> GetHardwareAccelerators() const;

  Expected<CpuOptions&> GetCpuOptions() { return cpu_; }
  Expected<RuntimeOptions&> GetRuntimeOptions() { return runtime_; }

  // Inputs without a copy are what lathe.hpp is for: kErrorUnsupported.
  Expected<void> AddExternalTensorBinding(const std::string& signature_name,
                                          const std::string& tensor_name,
                                          void* data, size_t size_bytes);

 private:
  friend class CompiledModel;
  std::optional<HwAcceleratorSet> accelerators_;
  CpuOptions cpu_;
  RuntimeOptions runtime_;
};

// --- Buffers -----------------------------------------------------------------

enum class TensorBufferType : int { kUnknown = 0, kHostMemory = 1 };

class TensorBufferRequirements {
 public:
  TensorBufferRequirements() = default;
  static Expected<TensorBufferRequirements> Create(
      Span<const TensorBufferType> buffer_types, size_t buffer_size,
      Span<const uint32_t> strides = {}) {
    return CreateWithAlignment(buffer_types, buffer_size, 64, strides);
  }
  static Expected<TensorBufferRequirements> CreateWithAlignment(
      Span<const TensorBufferType> buffer_types, size_t buffer_size,
      size_t alignment, Span<const uint32_t> strides = {}) {
    if (buffer_types.empty() || alignment == 0 ||
        (alignment & (alignment - 1)) != 0) {
      return Unexpected(Status::kErrorInvalidArgument,
                        "no buffer type, or an alignment that is no power of "
                        "two");
    }
    TensorBufferRequirements made;
    made.types_.assign(buffer_types.begin(), buffer_types.end());
    made.size_ = buffer_size;
    made.alignment_ = alignment;
    made.strides_.assign(strides.begin(), strides.end());
    return made;
  }

  Expected<std::vector<TensorBufferType>> SupportedTypes() const {
    return types_;
  }
  Expected<TensorBufferType> SupportedType(int index) const {
    if (index < 0 || static_cast<size_t>(index) >= types_.size()) {
      return Unexpected(Status::kErrorInvalidArgument,
                        "buffer type " + std::to_string(index));
    }
    return types_[static_cast<size_t>(index)];
  }
  Expected<size_t> BufferSize() const { return size_; }
  Expected<Span<const uint32_t>> Strides() const {
    return Span<const uint32_t>(strides_);
  }
  Expected<size_t> Alignment() const { return alignment_; }

 private:
  std::vector<TensorBufferType> types_;
  size_t size_ = 0, alignment_ = 64;
  std::vector<uint32_t> strides_;
};

// Memory for one tensor, in the host's RAM. Run copies inputs from it and
// outputs into it, so that a buffer may serve any number of models. Moving and
// Duplicate share the memory; the last one frees it.
class LATHE_EXPORT TensorBuffer {
 public:
  TensorBuffer() = default;  // Holds nothing; every call is an error.
  TensorBuffer(TensorBuffer&&) noexcept = default;
  TensorBuffer& operator=(TensorBuffer&&) noexcept = default;

  // Memory of its own, zeros, aligned to 64 bytes. Errors: kErrorUnsupported
  // for another type than kHostMemory; kErrorInvalidArgument for a size below
  // that of the type.
  static Expected<TensorBuffer> CreateManaged(
      const Environment& env, TensorBufferType buffer_type,
      const RankedTensorType& tensor_type, size_t buffer_size);
  static Expected<TensorBuffer> CreateManagedFromRequirements(
      const Environment& env, const RankedTensorType& tensor_type,
      const TensorBufferRequirements& requirements);
  static Expected<TensorBuffer> CreateManagedHostMemory(
      const RankedTensorType& tensor_type, size_t buffer_size);
  // The caller's memory, of any alignment, which must outlive the buffer.
  // Nothing is read or written beyond `buffer_size`.
  static Expected<TensorBuffer> CreateFromHostMemory(
      const Environment& env, const RankedTensorType& tensor_type,
      void* host_mem_addr, size_t buffer_size);
  static Expected<TensorBuffer> CreateFromHostMemory(
      const RankedTensorType& tensor_type, void* host_mem_addr,
      size_t buffer_size);

  // Another name for the same memory.
  Expected<TensorBuffer> Duplicate() const;

  explicit operator bool() const { return state_ != nullptr; }
  Expected<TensorBufferType> BufferType() const;
  bool IsOpenClMemory() const { return false; }
  bool IsWebGpuMemory() const { return false; }
  bool IsMetalMemory() const { return false; }
  bool IsVulkanMemory() const { return false; }

  // What the tensor is; of an output that Run gave another shape, that shape.
  Expected<RankedTensorType> TensorType() const;
  bool HasType(const RankedTensorType& type) const;
  // What was asked for; what the tensor needs.
  Expected<size_t> Size() const;
  Expected<size_t> PackedSize() const;
  Expected<size_t> Offset() const;
  // A CPU has no events.
  bool HasEvent() const { return false; }
  Expected<void> ClearEvent() { return {}; }

  enum class LockMode { kRead = 0, kWrite = 1, kReadWrite = 2 };
  // The memory, valid as long as the buffer, except that a Run whose output
  // needs more moves it. Locks count nothing and block nobody.
  Expected<void*> Lock(LockMode mode = LockMode::kWrite);
  Expected<void> Unlock();

  // Copies in and out. Errors: kErrorRuntimeFailure for more bytes than
  // PackedSize.
  template <typename T>
  Expected<void> Write(Span<const T> data) {
    return WriteBytes(std::as_bytes(data));
  }
  template <typename T>
  Expected<void> Read(Span<T> data) {
    return ReadBytes(std::as_writable_bytes(data));
  }
  // Zeros.
  Expected<void> Clear();

 private:
  friend class CompiledModel;
  friend class TensorBufferScopedLock;
  struct State;
  explicit TensorBuffer(std::shared_ptr<State> state)
      : state_(std::move(state)) {}
  static Expected<TensorBuffer> Make(const RankedTensorType& type, size_t size,
                                     void* memory);
  Expected<void> WriteBytes(std::span<const std::byte> bytes);
  Expected<void> ReadBytes(std::span<std::byte> bytes);
  Expected<void*> Memory() const;

  std::shared_ptr<State> state_;
};

// Keeps a buffer locked, and its memory alive, as long as it lives.
class TensorBufferScopedLock {
 public:
  TensorBufferScopedLock(TensorBufferScopedLock&&) noexcept = default;
  TensorBufferScopedLock& operator=(TensorBufferScopedLock&&) noexcept =
      default;

  template <typename T = void>
  static Expected<std::pair<TensorBufferScopedLock, T*>> Create(
      TensorBuffer& tensor_buffer, TensorBuffer::LockMode mode) {
    auto memory = tensor_buffer.Lock(mode);
    if (!memory) return memory.Error();
    return std::pair(TensorBufferScopedLock(tensor_buffer.state_),
                     static_cast<T*>(*memory));
  }
  template <typename T = void>
  static Expected<std::pair<TensorBufferScopedLock, const T*>> Create(
      const TensorBuffer& tensor_buffer, TensorBuffer::LockMode mode) {
    auto memory = tensor_buffer.Memory();
    if (!memory) return memory.Error();
    return std::pair(TensorBufferScopedLock(tensor_buffer.state_),
                     static_cast<const T*>(*memory));
  }

 private:
  explicit TensorBufferScopedLock(std::shared_ptr<const void> state)
      : state_(std::move(state)) {}
  std::shared_ptr<const void> state_;
};

namespace util {

// The bytes of a STRING tensor: count, offsets, text.
LATHE_EXPORT std::vector<uint8_t> SerializeStrings(
    const std::vector<std::string>& strings);
// Empty where the bytes are none.
LATHE_EXPORT std::vector<std::string> DeserializeStrings(const uint8_t* data,
                                                         size_t size);
LATHE_EXPORT Expected<TensorBuffer> CreateTensorBufferFromStrings(
    const Environment& env, const RankedTensorType& tensor_type,
    const std::vector<std::string>& strings,
    TensorBufferType buffer_type = TensorBufferType::kHostMemory);
LATHE_EXPORT Expected<TensorBuffer> CreateTensorBufferFromStrings(
    const Environment& env, const std::vector<std::string>& strings,
    TensorBufferType buffer_type = TensorBufferType::kHostMemory);
LATHE_EXPORT Expected<std::vector<std::string>> GetStringsFromTensorBuffer(
    TensorBuffer& buffer);

}  // namespace util

// --- Models ------------------------------------------------------------------

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
  // kCancelled.
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

// --- LiteRT's macros
// ----------------------------------------------------------
//
// LITERT_RETURN_IF_ERROR(Work()) << "more text";
// LITERT_RETURN_IF_ERROR(Work(), what_to_return);  `_` is the error there.
// LITERT_ASSIGN_OR_RETURN(auto x, Make());
// LITERT_ASSIGN_OR_RETURN(auto x, Make(), what_to_return);
// LITERT_ABORT_IF_ERROR, LITERT_ASSIGN_OR_ABORT: print and abort instead.

#ifndef LITERT_RETURN_IF_ERROR

#define LATHE_LITERT_CONCAT_INNER(a, b) a##b
#define LATHE_LITERT_CONCAT(a, b) LATHE_LITERT_CONCAT_INNER(a, b)
#define LATHE_LITERT_NAME LATHE_LITERT_CONCAT(lathe_litert_, __LINE__)
#define LATHE_LITERT_THIRD(a, b, c, ...) c
#define LATHE_LITERT_FOURTH(a, b, c, d, ...) d

#define LITERT_RETURN_IF_ERROR(...)                      \
  LATHE_LITERT_THIRD(__VA_ARGS__, LATHE_LITERT_RETURN_2, \
                     LATHE_LITERT_RETURN_1, )(__VA_ARGS__)
#define LATHE_LITERT_RETURN_1(expression)                            \
  if (auto lathe_status = (expression);                              \
      !::lathe::litert::ErrorStatusBuilder::IsError(lathe_status)) { \
  } else /* NOLINT */                                                \
    return ::lathe::litert::ErrorStatusBuilder(lathe_status)
#define LATHE_LITERT_RETURN_2(expression, value)                     \
  if (auto lathe_status = (expression);                              \
      !::lathe::litert::ErrorStatusBuilder::IsError(lathe_status)) { \
  } else if ([[maybe_unused]] ::lathe::litert::ErrorStatusBuilder _( \
                 lathe_status);                                      \
             true) /* NOLINT */                                      \
  return value

#define LITERT_ASSIGN_OR_RETURN(...)                      \
  LATHE_LITERT_FOURTH(__VA_ARGS__, LATHE_LITERT_ASSIGN_3, \
                      LATHE_LITERT_ASSIGN_2, )(LATHE_LITERT_NAME, __VA_ARGS__)
#define LATHE_LITERT_ASSIGN_2(name, declaration, expression)   \
  auto name = (expression);                                    \
  if (!name) return ::lathe::litert::ErrorStatusBuilder(name); \
  declaration = ::lathe::litert::internal::Forward(name)
#define LATHE_LITERT_ASSIGN_3(name, declaration, expression, value) \
  auto name = (expression);                                         \
  if (!name) {                                                      \
    [[maybe_unused]] ::lathe::litert::ErrorStatusBuilder _(name);   \
    return value;                                                   \
  }                                                                 \
  declaration = ::lathe::litert::internal::Forward(name)

#define LITERT_ABORT_IF_ERROR(expression)                            \
  if (auto lathe_status = (expression);                              \
      !::lathe::litert::ErrorStatusBuilder::IsError(lathe_status)) { \
  } else /* NOLINT */                                                \
    ::lathe::litert::LogBeforeAbort(                                 \
        ::lathe::litert::ErrorStatusBuilder(lathe_status))

#define LITERT_ASSIGN_OR_ABORT(declaration, expression) \
  LATHE_LITERT_ASSIGN_ABORT(LATHE_LITERT_NAME, declaration, expression)
#define LATHE_LITERT_ASSIGN_ABORT(name, declaration, expression) \
  auto name = (expression);                                      \
  if (!name) {                                                   \
    ::lathe::litert::LogBeforeAbort(                             \
        ::lathe::litert::ErrorStatusBuilder(name));              \
  }                                                              \
  declaration = ::lathe::litert::internal::Forward(name)

#endif  // LITERT_RETURN_IF_ERROR

#endif  // LATHE_LITERT_HPP_
