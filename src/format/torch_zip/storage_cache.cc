#include "src/format/torch_zip/storage_cache.h"

#include <algorithm>
#include <exception>

namespace lathe::format {

const DeflatedStorage* StorageCache::Add(const std::string& name,
                                         const ZipEntry& entry) {
  return &storages_.try_emplace(name, DeflatedStorage{name, entry})
              .first->second;
}

Result<std::shared_ptr<const std::vector<std::byte>>> StorageCache::Get(
    const DeflatedStorage& storage) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(
      kept_, &storage, [](const auto& kept) { return kept.first; });
  if (found != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, found);
    return found->second;
  }
  // Room first, so that the largest storage is all there is at its time.
  while (!kept_.empty() && kept_bytes_ + storage.entry.bytes > kMostKept) {
    kept_bytes_ -= kept_.back().second->size();
    kept_.pop_back();
  }
  try {
    LATHE_ASSIGN(Bytes bytes, Inflate(storage.name, storage.entry));
    kept_.emplace_front(&storage, bytes);
    kept_bytes_ += bytes->size();
    return bytes;
  } catch (const std::exception& e) {
    return SystemError("zip entry \"{}\": {} bytes cannot be inflated: {}",
                       storage.name, storage.entry.bytes, e.what());
  }
}

}  // namespace lathe::format
