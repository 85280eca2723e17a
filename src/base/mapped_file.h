// A whole file as read-only bytes, without copying it.

#ifndef LATHE_BASE_MAPPED_FILE_H_
#define LATHE_BASE_MAPPED_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "src/base/result.h"

namespace lathe {

// Owns one mapping. Shared by everything whose bytes point into it. Thread-safe
// after construction.
class MappedFile {
 public:
  // Errors: kInvalidInput for a missing path, a folder or a file that is not
  // regular; kSystem when the system refuses (permission, memory).
  static Result<std::shared_ptr<const MappedFile>> Open(
      const std::string& path);

  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }
  const std::string& path() const { return path_; }

 private:
  MappedFile(std::string path, std::span<const std::byte> bytes)
      : path_(std::move(path)), bytes_(bytes) {}

  std::string path_;
  std::span<const std::byte> bytes_;
};

// Tells the system that the whole pages inside `bytes`, which must lie in a
// file mapping, are not needed now. They are read again from the file if they
// are touched. Cheap; never fails visibly.
void GiveBackPages(std::span<const std::byte> bytes);

}  // namespace lathe

#endif  // LATHE_BASE_MAPPED_FILE_H_
