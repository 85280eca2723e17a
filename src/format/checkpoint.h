// A checkpoint: named tensors whose bytes stay in the mapped file until asked
// for. Nothing in the file is ever executed.
//
// Comes before: import/, which authors graphs from it.

#ifndef LATHE_FORMAT_CHECKPOINT_H_
#define LATHE_FORMAT_CHECKPOINT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/mapped_file.h"
#include "src/base/result.h"
#include "src/format/checkpoint_names.h"  // Readers of tensors need names.

namespace lathe::format {

enum class CheckpointType : uint8_t {
  kFloat32,
  kFloat16,
  kBfloat16,
  kFloat64,
  kInt8,
  kUint8,
  kInt16,
  kInt32,
  kInt64,
  kBool,
  kOther,  // Known to the format, of no use to us (complex, float8 ...).
};
std::string_view Name(CheckpointType type);
size_t BytesPerElement(CheckpointType type);  // 0 for kOther.

struct DeflatedStorage;
class StorageCache;

struct CheckpointTensor {
  std::string name;
  CheckpointType type = CheckpointType::kFloat32;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // In elements; row-major unless a view.
  uint64_t elements = 0;
  // The file's own bytes from the tensor's first element to its last; several
  // tensors may share them. Empty when deflated.
  std::span<const std::byte> bytes;
  // Of a deflated storage, which is inflated when it is read: the storage (the
  // checkpoint's), and where in it the tensor's first element lies, in bytes.
  const DeflatedStorage* deflated = nullptr;
  uint64_t deflated_begin = 0;

  bool IsRowMajor() const;
};

// Immutable and thread-safe once opened. Whoever shortens the file meanwhile
// ends the program with a bus error, as with every mapped file.
class Checkpoint {
 public:
  // Reads .safetensors and torch zip files, told apart by their content.
  // Cost: the names and shapes; no weight is touched.
  // Errors: kInvalidInput naming the entry, what was found and what is
  // allowed; kUnsupported for torch files from before 1.6 and for big-endian
  // ones; kSystem when the file cannot be opened or memory runs out.
  static Result<std::shared_ptr<const Checkpoint>> Open(
      const std::string& path);

  const std::string& path() const { return path_; }
  // Which part of the file the tensors are from ("using its state_dict"); empty
  // when all of it.
  const std::string& note() const { return note_; }
  // Sorted by name, without duplicates.
  std::span<const CheckpointTensor> tensors() const { return tensors_; }
  const CheckpointTensor* Find(std::string_view name) const;

  // Elements [first, first + out.size()) in row-major order as float32. Exact
  // for f32, f16 and bf16; f64 is rounded. Errors: kInvalidInput for integer
  // types, a range beyond the tensor, and deflated data that is damaged.
  // Cost: that of the elements; of a deflated storage the whole of it, once as
  // long as it is among the latest read (128 MiB of them, or one larger, are
  // kept).
  Status ReadFloats(const CheckpointTensor& tensor, uint64_t first,
                    std::span<float> out) const;

  // Tells the system that the tensor's pages are not needed now.
  void GiveBack(const CheckpointTensor& tensor) const;

  // For the readers of the formats.
  Checkpoint(std::string path, std::shared_ptr<const MappedFile> file,
             std::vector<CheckpointTensor> tensors, std::string note = {},
             std::shared_ptr<StorageCache> cache = nullptr);

 private:
  std::string path_, note_;
  std::shared_ptr<const MappedFile> file_;
  std::shared_ptr<StorageCache> cache_;
  std::vector<CheckpointTensor> tensors_;
};

}  // namespace lathe::format

#endif  // LATHE_FORMAT_CHECKPOINT_H_
