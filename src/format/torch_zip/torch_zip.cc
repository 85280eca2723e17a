// From the pickle's values to tensors, every number checked against the file.

#include "src/format/torch_zip/torch_zip.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "src/format/torch_zip/pickle.h"
#include "src/format/torch_zip/storage_cache.h"
#include "src/format/torch_zip/zip_entries.h"

namespace lathe::format {
namespace {

using Kind = PickleValue::Kind;

// A state dict needs about 150 bytes of pickle for a tensor.
constexpr uint64_t kMostPickleBytes = uint64_t{64} << 20;
constexpr uint64_t kMostByteOrderBytes = 64;
// Of one deflated storage: a small file must not claim all of memory.
constexpr uint64_t kMostInflated = uint64_t{4} << 30;
constexpr size_t kMostDepth = 64;
constexpr size_t kMostDims = 16;
constexpr size_t kMostName = 4096;
// Dicts may be shared, so that a few hundred bytes describe 2^64 of them.
constexpr size_t kMostVisited = 1'000'000;
constexpr size_t kMostArguments = 16;
constexpr size_t kMostProblems = 50;
// A view may repeat its storage (stride 0); real ones do so for small tensors.
constexpr uint64_t kMostRepeats = 64;

struct StorageRow {
  std::string_view name;
  CheckpointType type;
  size_t bytes;
};
constexpr StorageRow kStorages[] = {
    {"torch.FloatStorage", CheckpointType::kFloat32, 4},
    {"torch.HalfStorage", CheckpointType::kFloat16, 2},
    {"torch.BFloat16Storage", CheckpointType::kBfloat16, 2},
    {"torch.DoubleStorage", CheckpointType::kFloat64, 8},
    {"torch.LongStorage", CheckpointType::kInt64, 8},
    {"torch.IntStorage", CheckpointType::kInt32, 4},
    {"torch.ShortStorage", CheckpointType::kInt16, 2},
    {"torch.CharStorage", CheckpointType::kInt8, 1},
    {"torch.ByteStorage", CheckpointType::kUint8, 1},
    {"torch.BoolStorage", CheckpointType::kBool, 1},
    {"torch.ComplexFloatStorage", CheckpointType::kOther, 8},
    {"torch.ComplexDoubleStorage", CheckpointType::kOther, 16},
    {"torch.storage.UntypedStorage", CheckpointType::kOther, 1},
};

constexpr StorageRow kDtypes[] = {
    {"torch.float32", CheckpointType::kFloat32, 4},
    {"torch.float16", CheckpointType::kFloat16, 2},
    {"torch.bfloat16", CheckpointType::kBfloat16, 2},
    {"torch.float64", CheckpointType::kFloat64, 8},
    {"torch.int64", CheckpointType::kInt64, 8},
    {"torch.int32", CheckpointType::kInt32, 4},
    {"torch.int16", CheckpointType::kInt16, 2},
    {"torch.int8", CheckpointType::kInt8, 1},
    {"torch.uint8", CheckpointType::kUint8, 1},
    {"torch.bool", CheckpointType::kBool, 1},
};

const PickleValue* Lookup(const PickleValue& dict, std::string_view key) {
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const PickleValue& k = *dict.items[i];
    if (k.kind == Kind::kText && k.text == key) return dict.items[i + 1];
  }
  return nullptr;
}

class Reader {
 public:
  explicit Reader(std::shared_ptr<const MappedFile> file)
      : file_(std::move(file)) {}

  Result<std::shared_ptr<const Checkpoint>> Read() {
    LATHE_ASSIGN(entries_, ReadZipEntries(*file_));
    for (const auto& [name, entry] : entries_) {
      if (name == "data.pkl" || name.ends_with("/data.pkl")) {
        if (has_pickle_) {
          return Invalid("{}: two data.pkl entries", file_->path());
        }
        root_ = name.substr(0, name.size() - 8);
        has_pickle_ = true;
        if (entry.bytes > kMostPickleBytes) {
          return Invalid("{}: data.pkl of {} bytes, limit {}", file_->path(),
                         entry.bytes, kMostPickleBytes);
        }
      }
    }
    if (!has_pickle_) {
      return Invalid("{}: a zip without data.pkl, not from torch.save",
                     file_->path());
    }
    LATHE_TRY(CheckByteOrder());
    LATHE_ASSIGN(const auto text,
                 Inflate(root_ + "data.pkl", entries_[root_ + "data.pkl"]));
    LATHE_ASSIGN(const Pickle pickle, ReadPickle(*text, file_->path()));
    Walk(ChooseTree(*pickle.root), "", 0);
    if (visited_ > kMostVisited) {
      return Invalid("{}: more than {} values to look through", file_->path(),
                     kMostVisited);
    }
    if (!note_.empty() && !opaque_.empty()) {
      // Beside the weights a checkpoint may keep any object; among them one
      // would be a tensor that is lost without a word.
      Problem("among the weights stand objects that are not tensors: {}",
              fmt::join(opaque_, ", "));
    }
    if (!problems_.empty()) {
      return Invalid("{}:{}", file_->path(), problems_);
    }
    if (tensors_.empty()) {
      return Invalid("{}: holds no tensors", file_->path());
    }
    return std::make_shared<const Checkpoint>(
        file_->path(), file_, std::move(tensors_), std::move(note_), cache_);
  }

 private:
  Status CheckByteOrder() {
    const auto order = entries_.find(root_ + "byteorder");
    if (order == entries_.end()) return {};
    if (order->second.bytes > kMostByteOrderBytes) {
      return Invalid("{}: byteorder of {} bytes, limit {}", file_->path(),
                     order->second.bytes, kMostByteOrderBytes);
    }
    LATHE_ASSIGN(const auto text, Inflate(order->first, order->second));
    const std::string_view word(reinterpret_cast<const char*>(text->data()),
                                text->size());
    if (word.starts_with("little")) return {};
    return Unsupported("{}: byte order \"{}\", allowed little", file_->path(),
                       word.substr(0, 16));
  }

  // The dict that holds the weights: what Lightning and others wrap them in is
  // taken off. A `state_dict` is never anything else; the other words may also
  // be names of modules, so they count only where nothing else has tensors.
  const PickleValue& ChooseTree(const PickleValue& root) {
    if (root.kind != Kind::kDict) return root;
    const auto take = [&](std::string_view key) -> const PickleValue* {
      const PickleValue* inner = Lookup(root, key);
      if (inner == nullptr || inner->kind != Kind::kDict) return nullptr;
      note_ = fmt::format("using its {}", key);
      return inner;
    };
    for (const std::string_view key : {"state_dict", "model_state_dict"}) {
      if (const PickleValue* inner = take(key)) return *inner;
    }
    constexpr std::string_view kWrappers[] = {"ema", "model", "module",
                                              "params"};
    if (!Visit(root.items.size())) return root;
    for (size_t i = 0; i + 1 < root.items.size(); i += 2) {
      const PickleValue& key = *root.items[i];
      if (key.kind == Kind::kText &&
          std::ranges::find(kWrappers, key.text) != std::end(kWrappers)) {
        continue;
      }
      if (!IsTraining(key) && HoldsTensors(*root.items[i + 1], 0)) return root;
    }
    for (const std::string_view key : kWrappers) {
      if (const PickleValue* inner = take(key)) return *inner;
    }
    return root;
  }

  // What a training run keeps beside the weights, twice their size.
  static bool IsTraining(const PickleValue& key) {
    return key.kind == Kind::kText &&
           (key.text.starts_with("optimizer") ||
            key.text.starts_with("lr_scheduler") ||
            key.text == "hyper_parameters" || key.text == "callbacks");
  }

  bool HoldsTensors(const PickleValue& value, size_t depth) {
    if (!Visit(1 + value.items.size()) || depth > kMostDepth) return false;
    if (IsTensor(value)) return true;
    if (value.kind != Kind::kDict) return false;
    for (size_t i = 1; i < value.items.size(); i += 2) {
      if (HoldsTensors(*value.items[i], depth + 1)) return true;
    }
    return false;
  }

  // False when there is more than anybody should have to look at.
  bool Visit(size_t count) {
    visited_ += count;
    return visited_ <= kMostVisited;
  }

  template <typename... Args>
  void Problem(fmt::format_string<Args...> text, Args&&... args) {
    if (++problem_count_ > kMostProblems) return;
    problems_ += "\n  " + fmt::format(text, std::forward<Args>(args)...);
  }

  static bool IsTensor(const PickleValue& value) {
    return value.kind == Kind::kObject && value.text.starts_with("torch._") &&
           value.text.find("_rebuild_") != std::string::npos;
  }

  void Walk(const PickleValue& value, const std::string& name, size_t depth) {
    if (depth > kMostDepth) {
      return Problem("\"{}\": nested deeper than {}", name, kMostDepth);
    }
    if (!Visit(1)) return;
    if (name.size() > kMostName) {
      return Problem("\"{}...\": a name of {} bytes, limit {}",
                     name.substr(0, 64), name.size(), kMostName);
    }
    if (IsTensor(value)) return AddTensor(value, name, depth);
    const std::string prefix = name.empty() ? "" : name + ".";
    if (value.kind == Kind::kDict) {
      if (!Visit(value.items.size() / 2)) return;
      for (size_t i = 0; i + 1 < value.items.size(); i += 2) {
        const PickleValue& key = *value.items[i];
        if (depth == 0 && IsTraining(key)) continue;
        if (key.kind == Kind::kText) {
          Walk(*value.items[i + 1], prefix + key.text, depth + 1);
        } else if (key.kind == Kind::kInt) {
          Walk(*value.items[i + 1], prefix + std::to_string(key.number),
               depth + 1);
        }
      }
    } else if (value.kind == Kind::kObject && value.state != nullptr &&
               value.state->kind == Kind::kDict) {
      if (!Visit(value.state->items.size())) return;
      // A whole module: its parameters, buffers and modules lie in its state.
      for (const std::string_view part :
           {"_parameters", "_buffers", "_modules"}) {
        const PickleValue* inner = Lookup(*value.state, part);
        if (inner != nullptr) Walk(*inner, name, depth + 1);
      }
    } else if (value.kind == Kind::kObject && value.text != "torch.Size" &&
               value.text != "torch.device") {
      opaque_.insert(value.text);
    }
  }

  void AddTensor(const PickleValue& value, const std::string& name,
                 size_t depth) {
    if (depth > kMostDepth || value.items.size() > kMostArguments) {
      return Problem(
          "tensor \"{}\": {} arguments at depth {}, limits {} and {}", name,
          value.items.size(), depth, kMostArguments, kMostDepth);
    }
    const std::string_view call =
        std::string_view(value.text).substr(value.text.rfind('.') + 1);
    const std::vector<PickleValue*>& args = value.items;
    if (call.starts_with("_rebuild_parameter") && !args.empty()) {
      return Walk(*args[0], name, depth + 1);
    }
    if (call == "_rebuild_from_type_v2" && args.size() >= 3 &&
        args[0]->kind == Kind::kGlobal && args[2]->kind == Kind::kTuple &&
        args[2]->items.size() <= kMostArguments) {
      PickleValue inner;
      inner.kind = Kind::kObject;
      inner.text = args[0]->text;
      inner.items = args[2]->items;
      if (!IsTensor(inner)) {
        return Problem("tensor \"{}\": made by {}, which is not allowed", name,
                       inner.text);
      }
      return AddTensor(inner, name, depth + 1);
    }
    const bool v3 = call == "_rebuild_tensor_v3";
    if (call != "_rebuild_tensor_v2" && !v3) {
      return Problem("tensor \"{}\": made by {}; only dense tensors are read",
                     name, value.text);
    }
    if (args.size() < (v3 ? 7u : 6u) || args[0]->kind != Kind::kStorage ||
        args[1]->kind != Kind::kInt || args[2]->kind != Kind::kTuple ||
        args[3]->kind != Kind::kTuple) {
      return Problem("tensor \"{}\": arguments of {} are not as torch writes",
                     name, call);
    }
    PlaceTensor(args, v3, name);
  }

  void PlaceTensor(const std::vector<PickleValue*>& args, bool v3,
                   const std::string& name) {
    const std::vector<PickleValue*>& id = args[0]->items;
    if (id.size() < 5 || id[0]->text != "storage" ||
        id[1]->kind != Kind::kGlobal || id[2]->kind != Kind::kText ||
        id[4]->kind != Kind::kInt || id[4]->number < 0) {
      return Problem("tensor \"{}\": its storage id is not as torch writes",
                     name);
    }
    const auto storage =
        std::ranges::find(kStorages, id[1]->text, &StorageRow::name);
    if (storage == std::end(kStorages)) {
      return Problem("tensor \"{}\": storage type {} is not known", name,
                     id[1]->text);
    }
    CheckpointTensor tensor;
    tensor.name = name;
    tensor.type = storage->type;
    size_t item = storage->bytes;
    if (v3) {
      const auto dtype =
          std::ranges::find(kDtypes, args[6]->text, &StorageRow::name);
      if (dtype != std::end(kDtypes)) {
        tensor.type = dtype->type;
        item = dtype->bytes;
      }
    } else if (args.size() > 6 && args[6]->kind == Kind::kDict) {
      for (const std::string_view bit : {"conj", "neg"}) {
        const PickleValue* set = Lookup(*args[6], bit);
        if (set != nullptr && set->number != 0) {
          return Problem("tensor \"{}\": its {} bit is set", name, bit);
        }
      }
    }
    uint64_t storage_bytes = 0;
    if (__builtin_mul_overflow(static_cast<uint64_t>(id[4]->number),
                               storage->bytes, &storage_bytes)) {
      return Problem("tensor \"{}\": storage of {} elements", name,
                     id[4]->number);
    }
    const std::string key = root_ + "data/" + id[2]->text;
    const auto entry = entries_.find(key);
    if (entry == entries_.end() || entry->second.bytes < storage_bytes) {
      return Problem(
          "tensor \"{}\": storage \"{}\" of {} bytes, the file has "
          "{}",
          name, key, storage_bytes,
          entry == entries_.end() ? 0 : entry->second.bytes);
    }
    const std::vector<PickleValue*>& sizes = args[2]->items;
    const std::vector<PickleValue*>& strides = args[3]->items;
    if (sizes.size() != strides.size() || sizes.size() > kMostDims) {
      return Problem("tensor \"{}\": {} dims and {} strides, limit {}", name,
                     sizes.size(), strides.size(), kMostDims);
    }
    // All in elements of the tensor; v3 counts its storage in bytes.
    const uint64_t have = storage_bytes / item;
    uint64_t last = static_cast<uint64_t>(args[1]->number);
    bool fits = args[1]->number >= 0;
    uint64_t sides = 1;  // Without the zeros: any run of dims fits 63 bits.
    tensor.elements = 1;
    for (size_t i = 0; fits && i < sizes.size(); ++i) {
      const int64_t size = sizes[i]->number, stride = strides[i]->number;
      uint64_t reach = 0;
      fits =
          sizes[i]->kind == Kind::kInt && strides[i]->kind == Kind::kInt &&
          size >= 0 && stride >= 0 &&
          !__builtin_mul_overflow(tensor.elements, static_cast<uint64_t>(size),
                                  &tensor.elements) &&
          !__builtin_mul_overflow(
              sides, static_cast<uint64_t>(std::max<int64_t>(size, 1)),
              &sides) &&
          sides <= uint64_t{INT64_MAX} &&
          !__builtin_mul_overflow(
              static_cast<uint64_t>(std::max<int64_t>(size, 1) - 1),
              static_cast<uint64_t>(stride), &reach) &&
          !__builtin_add_overflow(last, reach, &last);
      tensor.shape.push_back(size);
      tensor.strides.push_back(stride);
    }
    if (!fits || (tensor.elements > 0 && last >= have) ||
        tensor.elements / kMostRepeats > have + 1024) {
      return Problem(
          "tensor \"{}\": its view leaves the storage of {} "
          "elements",
          name, have);
    }
    if (tensor.elements > 0) {
      const uint64_t first = static_cast<uint64_t>(args[1]->number) * item;
      if (!entry->second.deflated) {
        tensor.bytes =
            entry->second.stored.subspan(first, (last + 1) * item - first);
      } else if (entry->second.bytes > kMostInflated) {
        return Problem("tensor \"{}\": \"{}\" inflates to {} bytes, limit {}",
                       name, key, entry->second.bytes, kMostInflated);
      } else {
        tensor.deflated = cache_->Add(key, entry->second);
        tensor.deflated_begin = first;
      }
    }
    if (!names_.insert(name).second) {
      return Problem("tensor \"{}\" stands there twice", name);
    }
    tensors_.push_back(std::move(tensor));
  }

  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, ZipEntry> entries_;
  std::string root_;
  bool has_pickle_ = false;
  std::vector<CheckpointTensor> tensors_;
  std::set<std::string> names_;
  std::set<std::string> opaque_;  // Names of objects that are not read.
  std::string note_;
  std::shared_ptr<StorageCache> cache_ = std::make_shared<StorageCache>();
  size_t visited_ = 0;
  std::string problems_;
  size_t problem_count_ = 0;
};

}  // namespace

Result<std::shared_ptr<const Checkpoint>> ReadTorchZip(
    std::shared_ptr<const MappedFile> file) {
  return Reader(std::move(file)).Read();
}

}  // namespace lathe::format
