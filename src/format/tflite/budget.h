// Bounds what is copied out of a file: a small file can refer to one long
// vector a million times.

#ifndef LATHE_FORMAT_TFLITE_BUDGET_H_
#define LATHE_FORMAT_TFLITE_BUDGET_H_

#include <cstddef>
#include <cstdint>

namespace lathe::format {

class CopyBudget {
 public:
  // Honest files copy each byte of their structure about once.
  explicit CopyBudget(size_t file_bytes)
      : left_(uint64_t{4} * file_bytes + (uint64_t{64} << 20)) {}

  // Another file that is part of the model.
  void AddFile(size_t bytes) { left_ += uint64_t{4} * bytes; }

  // False once the budget is spent; nothing may be copied then.
  bool Take(uint64_t bytes) {
    if (bytes > left_) return false;
    left_ -= bytes;
    return true;
  }

 private:
  uint64_t left_;
};

}  // namespace lathe::format

#endif  // LATHE_FORMAT_TFLITE_BUDGET_H_
