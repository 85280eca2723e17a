// Where a writer's bytes go: a file that appears complete or not at all, or
// memory.

#ifndef LATHE_FORMAT_TFLITE_SINK_H_
#define LATHE_FORMAT_TFLITE_SINK_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "src/base/result.h"

namespace lathe::format {

class Sink {
 public:
  virtual ~Sink() = default;
  // Appends. Errors: kSystem.
  virtual Status Write(std::span<const std::byte> bytes) = 0;
};

class MemorySink : public Sink {
 public:
  Status Write(std::span<const std::byte> bytes) override;
  std::vector<std::byte> Take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

// Writes beside the target, under another name. Without Commit the destructor
// removes what was written. A target that is a device or a pipe is written
// directly.
class FileSink : public Sink {
 public:
  explicit FileSink(std::string path) : path_(std::move(path)) {}
  ~FileSink() override;
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;

  // Errors: kSystem, with the system's reason.
  Status Open();
  Status Write(std::span<const std::byte> bytes) override;
  // Closes the file and gives it its name.
  Status Commit();

 private:
  std::string path_;
  std::string temporary_;    // Empty when there is no file to remove.
  bool is_unnamed_ = false;  // Until Commit.
  int file_ = -1;
};

}  // namespace lathe::format

#endif  // LATHE_FORMAT_TFLITE_SINK_H_
