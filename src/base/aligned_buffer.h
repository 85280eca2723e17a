// A block of memory for numbers: aligned to cache lines, large pages asked for.

#ifndef LATHE_BASE_ALIGNED_BUFFER_H_
#define LATHE_BASE_ALIGNED_BUFFER_H_

#include <cstddef>
#include <span>
#include <utility>

#include "src/base/result.h"

namespace lathe {

inline constexpr size_t kCacheLine = 64;

inline constexpr size_t RoundUp(size_t value, size_t step) {
  return (value + step - 1) / step * step;
}

// Zeroed on creation; not touched (so not resident) until used. Movable.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  // Errors: kSystem when the memory is not there. 0 bytes is legal.
  static Result<AlignedBuffer> Create(size_t bytes);

  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~AlignedBuffer();

  std::byte* data() const { return data_; }
  size_t size() const { return bytes_; }
  std::span<std::byte> bytes() const { return {data_, bytes_}; }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace lathe

#endif  // LATHE_BASE_ALIGNED_BUFFER_H_
