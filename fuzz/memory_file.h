// Bytes under a path, for readers that map files.

#ifndef LATHE_FUZZ_MEMORY_FILE_H_
#define LATHE_FUZZ_MEMORY_FILE_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace lathe::fuzz {

class MemoryFile {
 public:
  MemoryFile(const uint8_t* data, size_t size)
      : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    for (size_t at = 0; at < size;) {
      const ssize_t written = ::write(descriptor_, data + at, size - at);
      if (written <= 0) break;
      at += static_cast<size_t>(written);
    }
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(descriptor_); }

  std::string path() const {
    return "/proc/self/fd/" + std::to_string(descriptor_);
  }

 private:
  int descriptor_;
};

}  // namespace lathe::fuzz

#endif  // LATHE_FUZZ_MEMORY_FILE_H_
