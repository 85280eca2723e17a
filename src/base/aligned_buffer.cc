#include "src/base/aligned_buffer.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>

namespace lathe {
namespace {

constexpr size_t kLargePage = size_t{2} << 20;

}  // namespace

// Always a mapping of its own: zero pages for nothing, and the memory really
// goes back to the system when the buffer dies. 2 MiB pages spare TLB misses,
// worth 2-20 % of a convolution (reference fast-convolution.md, section 7), and
// page faults; what is as large begins at one.
Result<AlignedBuffer> AlignedBuffer::Create(size_t bytes) {
  AlignedBuffer buffer;
  if (bytes == 0) return buffer;
  const bool large = bytes >= kLargePage && bytes <= SIZE_MAX / 2;
  const size_t mapped = large ? RoundUp(bytes, kLargePage) + kLargePage : bytes;
  void* address = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) {
    return SystemError("{} bytes of memory cannot be had: {}", bytes,
                       std::strerror(errno));
  }
  std::byte* begin = static_cast<std::byte*>(address);
  if (large) {
    // What lies in front of the first large page and behind the last byte's
    // goes back.
    const uintptr_t at = reinterpret_cast<uintptr_t>(begin);
    const size_t front = RoundUp(at, kLargePage) - at;
    if (front > 0) ::munmap(begin, front);
    begin += front;
    const size_t size = RoundUp(bytes, kLargePage);
    if (mapped > front + size) ::munmap(begin + size, mapped - front - size);
    ::madvise(begin, bytes, MADV_HUGEPAGE);
  }
  buffer.data_ = begin;
  buffer.bytes_ = bytes;
  return buffer;
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ == nullptr) return;
  ::munmap(data_, bytes_ >= kLargePage ? RoundUp(bytes_, kLargePage) : bytes_);
}

}  // namespace lathe
