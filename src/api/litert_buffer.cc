// The LiteRT twin: buffers and packed strings.

#include <cstring>

#include "src/api/litert_state.h"

namespace lathe::litert {

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

}  // namespace lathe::litert
