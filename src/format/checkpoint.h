// A checkpoint: named tensors whose bytes stay in the mapped file until asked
// for. Nothing in the file is ever executed.
//
// Comes before: import/, which authors graphs from it.

#ifndef LATHE_FORMAT_CHECKPOINT_H_
#define LATHE_FORMAT_CHECKPOINT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/mapped_file.h"
#include "src/base/result.h"

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

struct CheckpointTensor {
  std::string name;
  CheckpointType type = CheckpointType::kFloat32;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // In elements; row-major unless a view.
  uint64_t elements = 0;
  // Bytes of the storage, from the tensor's first element on. For a deflated
  // entry they are on the heap.
  std::span<const std::byte> bytes;
  bool mapped = true;

  bool IsRowMajor() const;
};

// Immutable and thread-safe once opened.
class Checkpoint {
 public:
  // Reads .safetensors and torch zip files, told apart by their content.
  // Errors: kInvalidInput naming the entry, what was found and what is
  // allowed; kUnsupported for torch files from before 1.6 and for big-endian
  // ones.
  static Result<std::shared_ptr<const Checkpoint>> Open(
      const std::string& path);

  const std::string& path() const { return path_; }
  // Sorted by name.
  std::span<const CheckpointTensor> tensors() const { return tensors_; }
  const CheckpointTensor* Find(std::string_view name) const;

  // Elements [first, first + out.size()) in row-major order as float32. Exact
  // for f32, f16 and bf16; f64 is rounded. Errors: kInvalidInput for integer
  // types and a range beyond the tensor.
  Status ReadFloats(const CheckpointTensor& tensor, uint64_t first,
                    std::span<float> out) const;

  // Tells the system that the tensor's pages are not needed now.
  void GiveBack(const CheckpointTensor& tensor) const;

  // For the readers of the formats.
  Checkpoint(std::string path, std::shared_ptr<const MappedFile> file,
             std::vector<CheckpointTensor> tensors,
             std::vector<std::shared_ptr<const std::vector<std::byte>>>
                 inflated = {});

 private:
  std::string path_;
  std::shared_ptr<const MappedFile> file_;
  std::vector<std::shared_ptr<const std::vector<std::byte>>> inflated_;
  std::vector<CheckpointTensor> tensors_;
};

// Tensor names as the models themselves use them: what training wrappers put
// in front is taken off. `prefix` of EMA weights (diffusion_ema.ema_model.) is
// preferred over diffusion. where a file has both, since that is what sounds
// best; `note` says in words what was chosen, empty if nothing was.
struct NormalNames {
  std::map<std::string, const CheckpointTensor*, std::less<>> tensors;
  std::string note;
};
NormalNames NormalizeNames(const Checkpoint& checkpoint);

}  // namespace lathe::format

#endif  // LATHE_FORMAT_CHECKPOINT_H_
