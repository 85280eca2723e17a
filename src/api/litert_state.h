// What the bodies of the LiteRT twin share.

#ifndef LATHE_API_LITERT_STATE_H_
#define LATHE_API_LITERT_STATE_H_

#include <algorithm>
#include <cstddef>
#include <exception>
#include <map>
#include <mutex>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "lathe/litert.hpp"
#include "src/api/state.h"
#include "src/base/aligned_buffer.h"

namespace lathe::litert {

// None for a type that LiteRT does not know.
ElementType TheirType(lathe::ElementType ours);
std::string NameOf(ElementType theirs);
std::string ShapeText(std::span<const int32_t> shape);
RankedTensorType TypeOf(const TensorInfo& tensor,
                        std::span<const int32_t> shape);
// Bytes that hold a tensor of the type; 0 for strings, which say it themselves.
size_t BytesOf(const RankedTensorType& type);

// What went wrong depends on what was being done.
enum class Doing { kOpening, kCompiling, kRunning };
Error Convert(const lathe::Error& error, Doing doing);

Expected<lathe::Model> OpenFile(const std::string& filename);
Expected<lathe::Model> OpenBuffer(BufferRef<uint8_t> buffer);

Expected<void> CheckAccelerators(HwAcceleratorSet set);

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

struct Environment::State {
  std::vector<Option> options;
  std::mutex mutex;
  std::map<int, Threads> pools;  // By the number that was asked for.

  Threads Pool(int count) {
    const std::lock_guard lock(mutex);
    return pools.try_emplace(count, count).first->second;
  }
};

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

}  // namespace lathe::litert

#endif  // LATHE_API_LITERT_STATE_H_
