// Packed weights of one model, shared by its sessions and plans.

#ifndef LATHE_PLAN_PACKED_CACHE_H_
#define LATHE_PLAN_PACKED_CACHE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "src/base/aligned_buffer.h"
#include "src/base/result.h"

namespace lathe::plan {

using Packed = std::shared_ptr<const AlignedBuffer>;

// Thread-safe; `pack` may ask for other packings. Holds a packing as long as any plan uses it.
class PackedCache {
 public:
  // The packing under `key` (kernel, layout and source buffer in words), made
  // by `pack` into `bytes` bytes the first time. Two callers with one key get
  // one packing. `pack` may ask for others. Errors: kSystem when the memory is
  // not there.
  Result<Packed> Get(const std::string& key, uint64_t bytes,
                     const std::function<void(std::span<std::byte>)>& pack);

  // Bytes of all packings that are alive.
  uint64_t bytes() const;

 private:
  mutable std::recursive_mutex mutex_;
  std::map<std::string, std::weak_ptr<const AlignedBuffer>> entries_;
};

}  // namespace lathe::plan

#endif  // LATHE_PLAN_PACKED_CACHE_H_
