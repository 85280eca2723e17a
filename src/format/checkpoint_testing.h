// Checkpoint files on disk for tests.

#ifndef LATHE_FORMAT_CHECKPOINT_TESTING_H_
#define LATHE_FORMAT_CHECKPOINT_TESTING_H_

#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "src/format/checkpoint.h"
#include "src/format/checkpoint_bytes.h"

namespace lathe::format {

// Removed with the object.
class TempFile {
 public:
  explicit TempFile(std::string_view bytes)
      : path_(testing::TempDir() + "lathe-checkpoint-" +
              std::to_string(::getpid()) + "-" + std::to_string(++count_)) {
    Write(bytes);
  }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  ~TempFile() { ::unlink(path_.c_str()); }

  void Write(std::string_view bytes) const {
    std::ofstream out(path_, std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  const std::string& path() const { return path_; }

 private:
  static inline int count_ = 0;
  std::string path_;
};

// The error's message, or "opened".
inline std::string OpenMessage(std::string_view bytes) {
  const TempFile file(bytes);
  const auto checkpoint = Checkpoint::Open(file.path());
  return checkpoint ? "opened" : checkpoint.error().message;
}

inline std::vector<float> AllFloats(const Checkpoint& checkpoint,
                                    std::string_view name) {
  const CheckpointTensor* tensor = checkpoint.Find(name);
  if (tensor == nullptr) {
    ADD_FAILURE() << "no tensor " << name;
    return {};
  }
  std::vector<float> values(tensor->elements);
  const Status status = checkpoint.ReadFloats(*tensor, 0, values);
  if (!status) ADD_FAILURE() << status.error().message;
  return values;
}

}  // namespace lathe::format

#endif  // LATHE_FORMAT_CHECKPOINT_TESTING_H_
