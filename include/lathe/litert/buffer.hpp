// Memory for inputs and outputs, and locks on it.

#ifndef LATHE_LITERT_BUFFER_HPP_
#define LATHE_LITERT_BUFFER_HPP_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lathe/litert/options.hpp"
#include "lathe/litert/types.hpp"

namespace lathe::litert {

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
      const TensorBuffer& tensor_buffer, TensorBuffer::LockMode) {
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

}  // namespace lathe::litert

#endif  // LATHE_LITERT_BUFFER_HPP_
