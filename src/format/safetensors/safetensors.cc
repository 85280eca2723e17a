// Every number of the header is checked before it is used.

#include "src/format/safetensors/safetensors.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "nlohmann/json.hpp"

namespace lathe::format {
namespace {

using nlohmann::json;

constexpr uint64_t kMostHeaderBytes = 100'000'000;
constexpr size_t kMostDepth = 8;
constexpr size_t kMostDims = 16;
constexpr size_t kMostProblems = 50;
constexpr size_t kMostName = 4096;

struct TypeRow {
  std::string_view name;
  CheckpointType type;
  size_t bits;
};
constexpr TypeRow kTypes[] = {
    {"F32", CheckpointType::kFloat32, 32},
    {"F16", CheckpointType::kFloat16, 16},
    {"BF16", CheckpointType::kBfloat16, 16},
    {"F64", CheckpointType::kFloat64, 64},
    {"I8", CheckpointType::kInt8, 8},
    {"U8", CheckpointType::kUint8, 8},
    {"I16", CheckpointType::kInt16, 16},
    {"I32", CheckpointType::kInt32, 32},
    {"I64", CheckpointType::kInt64, 64},
    {"BOOL", CheckpointType::kBool, 8},
    {"U16", CheckpointType::kOther, 16},
    {"U32", CheckpointType::kOther, 32},
    {"U64", CheckpointType::kOther, 64},
    {"C64", CheckpointType::kOther, 64},
    {"F8_E4M3", CheckpointType::kOther, 8},
    {"F8_E5M2", CheckpointType::kOther, 8},
    {"F8_E8M0", CheckpointType::kOther, 8},
    {"F8_E4M3FNUZ", CheckpointType::kOther, 8},
    {"F8_E5M2FNUZ", CheckpointType::kOther, 8},
    {"F6_E2M3", CheckpointType::kOther, 6},
    {"F6_E3M2", CheckpointType::kOther, 6},
    {"F4", CheckpointType::kOther, 4},
};

// A whole number from 0 to 2^63 - 1; JSON's doubles would lose digits.
std::optional<uint64_t> WholeNumber(const json& value) {
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned()) {
    const uint64_t v = value.get<uint64_t>();
    if (v <= uint64_t{INT64_MAX}) return v;
    return std::nullopt;
  }
  const int64_t v = value.get<int64_t>();
  return v >= 0 ? std::optional<uint64_t>(static_cast<uint64_t>(v))
                : std::nullopt;
}

class Reader {
 public:
  explicit Reader(std::shared_ptr<const MappedFile> file)
      : file_(std::move(file)) {}

  Result<std::shared_ptr<const Checkpoint>> Read() {
    const std::span<const std::byte> bytes = file_->bytes();
    uint64_t header = 0;
    if (bytes.size() < 8) {
      return Invalid("{}: {} bytes, a header needs 8", file_->path(),
                     bytes.size());
    }
    std::memcpy(&header, bytes.data(), 8);
    if (header > kMostHeaderBytes || header > bytes.size() - 8) {
      return Invalid("{}: header of {} bytes, at most {} fit", file_->path(),
                     header,
                     std::min<uint64_t>(kMostHeaderBytes, bytes.size() - 8));
    }
    LATHE_ASSIGN(const json root, ParseHeader(bytes.subspan(8, header)));
    data_ = bytes.subspan(8 + header);
    for (const auto& [name, entry] : root.items()) {
      if (name == "__metadata__") {
        CheckMetadata(entry);
      } else {
        ReadTensor(name, entry);
      }
    }
    CheckCover();
    if (!problems_.empty()) {
      return Invalid("{}:{}", file_->path(), problems_);
    }
    return std::make_shared<const Checkpoint>(file_->path(), file_,
                                              std::move(tensors_));
  }

 private:
  Result<json> ParseHeader(std::span<const std::byte> text) {
    // nlohmann keeps the last of duplicate keys; the format forbids them.
    std::set<std::string> keys, inner_keys;
    std::string duplicate;
    bool deep = false;
    bool long_array = false;
    size_t in_array = 0;  // Values so far; a header of one list is a bomb.
    const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
      if (depth > static_cast<int>(kMostDepth)) {
        deep = true;
        return false;
      }
      if (event == json::parse_event_t::array_start) {
        in_array = 0;
      } else if (event == json::parse_event_t::object_start) {
        inner_keys.clear();
      } else if (depth >= 3 && event == json::parse_event_t::value &&
                 ++in_array > kMostDims) {
        long_array = true;
        return false;
      } else if (event == json::parse_event_t::key && depth == 2 &&
                 !inner_keys.insert(parsed.get<std::string>()).second) {
        duplicate = parsed.get<std::string>();
      }
      if (event == json::parse_event_t::key && depth == 1 &&
          !keys.insert(parsed.get<std::string>()).second) {
        duplicate = parsed.get<std::string>();
      }
      return true;
    };
    const char* begin = reinterpret_cast<const char*>(text.data());
    try {
      json root = json::parse(begin, begin + text.size(), watch);
      if (deep || !root.is_object()) {
        return Invalid("{}: the header is not one flat JSON object",
                       file_->path());
      }
      if (long_array) {
        return Invalid("{}: the header has a list of more than {} values",
                       file_->path(), kMostDims);
      }
      if (!duplicate.empty()) {
        return Invalid("{}: \"{}\" stands in the header twice", file_->path(),
                       duplicate);
      }
      return root;
    } catch (const std::exception& e) {
      return Invalid("{}: the header is not JSON: {}", file_->path(), e.what());
    }
  }

  template <typename... Args>
  void Problem(fmt::format_string<Args...> text, Args&&... args) {
    if (++problem_count_ > kMostProblems) return;
    problems_ += "\n  " + fmt::format(text, std::forward<Args>(args)...);
  }

  void CheckMetadata(const json& entry) {
    bool fine = entry.is_object();
    if (fine) {
      for (const auto& [key, value] : entry.items()) {
        fine = fine && value.is_string();
      }
    }
    if (!fine) Problem("__metadata__: expected an object of strings");
  }

  void ReadTensor(const std::string& name, const json& entry) {
    if (name.size() > kMostName) {
      return Problem("tensor \"{}...\": a name of {} bytes, limit {}",
                     name.substr(0, 64), name.size(), kMostName);
    }
    if (!entry.is_object() || !entry.contains("dtype") ||
        !entry["dtype"].is_string() || !entry.contains("shape") ||
        !entry["shape"].is_array() || !entry.contains("data_offsets") ||
        !entry["data_offsets"].is_array() ||
        entry["data_offsets"].size() != 2) {
      return Problem("tensor \"{}\": expected dtype, shape, data_offsets",
                     name);
    }
    const std::string dtype = entry["dtype"].get<std::string>();
    const auto row = std::ranges::find(kTypes, dtype, &TypeRow::name);
    if (row == std::end(kTypes)) {
      return Problem("tensor \"{}\": dtype \"{}\" is not known", name, dtype);
    }
    CheckpointTensor tensor;
    tensor.name = name;
    tensor.type = row->type;
    uint64_t elements = 1, sides = 1;  // sides: without the zeros.
    if (entry["shape"].size() > kMostDims) {
      return Problem("tensor \"{}\": {} dims, limit {}", name,
                     entry["shape"].size(), kMostDims);
    }
    for (const json& dim : entry["shape"]) {
      const auto size = WholeNumber(dim);
      if (!size || __builtin_mul_overflow(elements, *size, &elements) ||
          __builtin_mul_overflow(sides, std::max<uint64_t>(*size, 1), &sides) ||
          sides > uint64_t{INT64_MAX}) {
        return Problem("tensor \"{}\": shape {} is not one of sizes", name,
                       entry["shape"].dump());
      }
      tensor.shape.push_back(static_cast<int64_t>(*size));
    }
    const auto begin = WholeNumber(entry["data_offsets"][0]);
    const auto end = WholeNumber(entry["data_offsets"][1]);
    uint64_t bits = 0;
    if (!begin || !end || *begin > *end || *end > data_.size()) {
      return Problem("tensor \"{}\": data_offsets {} in data of {} bytes", name,
                     entry["data_offsets"].dump(), data_.size());
    }
    if (__builtin_mul_overflow(elements, row->bits, &bits) || bits % 8 != 0 ||
        bits / 8 != *end - *begin) {
      return Problem("tensor \"{}\": {} of {} need {} bytes, it has {}", name,
                     dtype, entry["shape"].dump(), bits / 8, *end - *begin);
    }
    tensor.elements = elements;
    tensor.strides.resize(tensor.shape.size());
    int64_t run = 1;
    for (size_t i = tensor.shape.size(); i-- > 0;) {
      tensor.strides[i] = run;
      run *= std::max<int64_t>(1, tensor.shape[i]);
    }
    tensor.bytes = data_.subspan(*begin, *end - *begin);
    ranges_.push_back({*begin, *end});
    tensors_.push_back(std::move(tensor));
  }

  void CheckCover() {
    if (problem_count_ > 0) return;
    std::ranges::sort(ranges_);
    uint64_t at = 0;
    for (const auto& [begin, end] : ranges_) {
      if (begin != at) {
        return Problem("data byte {}: {} of tensors", at,
                       begin < at ? "an overlap" : "a hole");
      }
      at = end;
    }
    if (at != data_.size()) {
      Problem("the tensors end at data byte {} of {}", at, data_.size());
    }
  }

  std::shared_ptr<const MappedFile> file_;
  std::span<const std::byte> data_;
  std::vector<CheckpointTensor> tensors_;
  std::vector<std::pair<uint64_t, uint64_t>> ranges_;
  std::string problems_;
  size_t problem_count_ = 0;
};

}  // namespace

Result<std::shared_ptr<const Checkpoint>> ReadSafetensors(
    std::shared_ptr<const MappedFile> file) {
  return Reader(std::move(file)).Read();
}

}  // namespace lathe::format
