// What the readers of both formats share: values out of tensors.

#include "src/format/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <exception>

#include "src/base/half.h"
#include "src/format/safetensors/safetensors.h"
#include "src/format/torch_zip/storage_cache.h"
#include "src/format/torch_zip/torch_zip.h"

namespace lathe::format {

std::string_view Name(CheckpointType type) {
  switch (type) {
    case CheckpointType::kFloat32:
      return "float32";
    case CheckpointType::kFloat16:
      return "float16";
    case CheckpointType::kBfloat16:
      return "bfloat16";
    case CheckpointType::kFloat64:
      return "float64";
    case CheckpointType::kInt8:
      return "int8";
    case CheckpointType::kUint8:
      return "uint8";
    case CheckpointType::kInt16:
      return "int16";
    case CheckpointType::kInt32:
      return "int32";
    case CheckpointType::kInt64:
      return "int64";
    case CheckpointType::kBool:
      return "bool";
    case CheckpointType::kOther:
      return "another type";
  }
  return "?";
}

size_t BytesPerElement(CheckpointType type) {
  switch (type) {
    case CheckpointType::kFloat64:
    case CheckpointType::kInt64:
      return 8;
    case CheckpointType::kFloat32:
    case CheckpointType::kInt32:
      return 4;
    case CheckpointType::kFloat16:
    case CheckpointType::kBfloat16:
    case CheckpointType::kInt16:
      return 2;
    case CheckpointType::kInt8:
    case CheckpointType::kUint8:
    case CheckpointType::kBool:
      return 1;
    case CheckpointType::kOther:
      return 0;
  }
  return 0;
}

bool CheckpointTensor::IsRowMajor() const {
  if (elements == 0) return true;
  int64_t run = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1 && strides[i] != run) return false;
    run *= shape[i];
  }
  return true;
}

Checkpoint::Checkpoint(std::string path, std::shared_ptr<const MappedFile> file,
                       std::vector<CheckpointTensor> tensors, std::string note,
                       std::shared_ptr<StorageCache> cache)
    : path_(std::move(path)),
      note_(std::move(note)),
      file_(std::move(file)),
      cache_(std::move(cache)),
      tensors_(std::move(tensors)) {
  std::ranges::sort(tensors_, {}, &CheckpointTensor::name);
}

namespace {

Result<std::shared_ptr<const Checkpoint>> OpenMapped(
    const std::shared_ptr<const MappedFile>& file) {
  const std::string& path = file->path();
  const std::span<const std::byte> bytes = file->bytes();
  const auto starts_with = [&](std::string_view head, size_t at = 0) {
    return bytes.size() >= at + head.size() &&
           std::memcmp(bytes.data() + at, head.data(), head.size()) == 0;
  };
  if (starts_with(std::string_view("PK\x03\x04", 4))) {
    return ReadTorchZip(file);
  }
  if (starts_with("{", 8)) return ReadSafetensors(file);
  if (starts_with("\x80")) {
    return Unsupported(
        "{}: a torch file from before version 1.6 (a plain pickle); load and "
        "save it again with a current torch, or use .safetensors",
        path);
  }
  return Invalid("{}: neither a .safetensors file nor a torch zip (.ckpt, .pt)",
                 path);
}

}  // namespace

Result<std::shared_ptr<const Checkpoint>> Checkpoint::Open(
    const std::string& path) {
  LATHE_ASSIGN(const std::shared_ptr<const MappedFile> file,
               MappedFile::Open(path));
  try {
    return OpenMapped(file);
  } catch (const std::exception& e) {
    return SystemError("{}: cannot be read: {}", path, e.what());
  }
}

const CheckpointTensor* Checkpoint::Find(std::string_view name) const {
  const auto found =
      std::ranges::lower_bound(tensors_, name, {}, &CheckpointTensor::name);
  return found != tensors_.end() && found->name == name ? &*found : nullptr;
}

namespace {

template <typename T, typename F>
void Convert(const std::byte* from, std::span<float> out, const F& to_float) {
  for (size_t i = 0; i < out.size(); ++i) {
    T value;  // Storage need not be aligned.
    std::memcpy(&value, from + i * sizeof(T), sizeof(T));
    out[i] = to_float(value);
  }
}

void ConvertRun(CheckpointType type, const std::byte* from,
                std::span<float> out) {
  if (out.empty()) return;  // memcpy wants no null pointers.
  switch (type) {
    case CheckpointType::kFloat32:
      std::memcpy(out.data(), from, out.size_bytes());
      return;
    case CheckpointType::kFloat16:
      return Convert<uint16_t>(from, out, HalfToFloat);
    case CheckpointType::kBfloat16:
      return Convert<uint16_t>(from, out, Bf16ToFloat);
    default:
      return Convert<double>(from, out,
                             [](double v) { return static_cast<float>(v); });
  }
}

}  // namespace

Status Checkpoint::ReadFloats(const CheckpointTensor& tensor, uint64_t first,
                              std::span<float> out) const {
  if (tensor.type != CheckpointType::kFloat32 &&
      tensor.type != CheckpointType::kFloat16 &&
      tensor.type != CheckpointType::kBfloat16 &&
      tensor.type != CheckpointType::kFloat64) {
    return Invalid("{}: tensor \"{}\" holds {}, expected a float type", path_,
                   tensor.name, Name(tensor.type));
  }
  if (first > tensor.elements || out.size() > tensor.elements - first) {
    return Invalid("{}: tensor \"{}\" has {} elements, asked for {} from {}",
                   path_, tensor.name, tensor.elements, out.size(), first);
  }
  if (out.empty()) return {};
  std::span<const std::byte> bytes = tensor.bytes;
  std::shared_ptr<const std::vector<std::byte>> inflated;
  if (tensor.deflated != nullptr) {
    LATHE_ASSIGN(inflated, cache_->Get(*tensor.deflated));
    bytes = std::span(*inflated).subspan(tensor.deflated_begin);
  }
  const size_t size = BytesPerElement(tensor.type);
  if (tensor.IsRowMajor()) {
    ConvertRun(tensor.type, bytes.data() + first * size, out);
    return {};
  }
  for (size_t i = 0; i < out.size(); ++i) {
    uint64_t rest = first + i, at = 0;
    for (size_t d = tensor.shape.size(); d-- > 0;) {
      const uint64_t dim = static_cast<uint64_t>(tensor.shape[d]);
      at += rest % dim * static_cast<uint64_t>(tensor.strides[d]);
      rest /= dim;
    }
    ConvertRun(tensor.type, bytes.data() + at * size, {&out[i], 1});
  }
  return {};
}

void Checkpoint::GiveBack(const CheckpointTensor& tensor) const {
  GiveBackPages(tensor.bytes);
}

}  // namespace lathe::format
