// The latest deflated storages that were read, inflated.

#ifndef LATHE_FORMAT_TORCH_ZIP_STORAGE_CACHE_H_
#define LATHE_FORMAT_TORCH_ZIP_STORAGE_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "src/base/result.h"
#include "src/format/torch_zip/zip_entries.h"

namespace lathe::format {

struct DeflatedStorage {
  std::string name;  // The zip entry's.
  ZipEntry entry;    // Its bytes stay in the mapped file.
};

// Thread-safe once every storage is added.
class StorageCache {
 public:
  // Half of what a conversion may use beyond its largest tensor (300 MB).
  static constexpr uint64_t kMostKept = uint64_t{128} << 20;

  // The same address for the same name. Before the first Get.
  const DeflatedStorage* Add(const std::string& name, const ZipEntry& entry);

  // The storage's bytes; they live as long as the pointer. Errors: as Inflate,
  // and kSystem when memory runs out.
  Result<std::shared_ptr<const std::vector<std::byte>>> Get(
      const DeflatedStorage& storage);

 private:
  using Bytes = std::shared_ptr<const std::vector<std::byte>>;
  std::map<std::string, DeflatedStorage> storages_;
  std::mutex mutex_;  // Guards what follows.
  std::list<std::pair<const DeflatedStorage*, Bytes>> kept_;  // Latest first.
  uint64_t kept_bytes_ = 0;
};

}  // namespace lathe::format

#endif  // LATHE_FORMAT_TORCH_ZIP_STORAGE_CACHE_H_
