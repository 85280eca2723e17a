#include "src/plan/packed_cache.h"

namespace lathe::plan {

Result<Packed> PackedCache::Get(
    const std::string& key, uint64_t bytes,
    const std::function<void(std::span<std::byte>)>& pack) {
  const std::lock_guard lock(mutex_);
  std::weak_ptr<const AlignedBuffer>& entry = entries_[key];
  if (Packed packed = entry.lock()) return packed;
  LATHE_ASSIGN(AlignedBuffer buffer, AlignedBuffer::Create(bytes));
  pack(buffer.bytes());
  auto packed = std::make_shared<const AlignedBuffer>(std::move(buffer));
  entry = packed;
  return packed;
}

uint64_t PackedCache::bytes() const {
  const std::lock_guard lock(mutex_);
  uint64_t sum = 0;
  for (const auto& [key, entry] : entries_) {
    if (const Packed packed = entry.lock()) sum += packed->size();
  }
  return sum;
}

}  // namespace lathe::plan
