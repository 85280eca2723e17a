#include "src/plan/arena.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace lathe::plan {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 62;

bool MeetInTime(const Lifetime& a, const Lifetime& b) {
  return a.first_step <= b.last_step && b.first_step <= a.last_step;
}

// Placed blocks by the steps in which they live, so that a plan of many short
// lives looks at few neighbours of each.
class Neighbours {
 public:
  explicit Neighbours(std::span<const Lifetime> lifetimes)
      : lifetimes_(lifetimes) {
    size_t last = 0;
    for (const Lifetime& life : lifetimes) {
      last = std::max(last, static_cast<size_t>(life.last_step));
    }
    buckets_.resize(last / kSteps + 1);
  }

  void Add(size_t block) {
    ForBuckets(block, [&](auto& bucket) { bucket.push_back(block); });
  }

  // The placed blocks that meet this one, ascending by offset, once each.
  std::span<const size_t> Meeting(size_t block,
                                  std::span<const uint64_t> offsets) {
    found_.clear();
    ForBuckets(block, [&](auto& bucket) {
      for (const size_t other : bucket) {
        if (MeetInTime(lifetimes_[block], lifetimes_[other])) {
          found_.push_back(other);
        }
      }
    });
    std::ranges::sort(found_, [&](size_t a, size_t b) {
      return offsets[a] != offsets[b] ? offsets[a] < offsets[b] : a < b;
    });
    const auto rest = std::ranges::unique(found_);
    found_.erase(rest.begin(), rest.end());
    return found_;
  }

 private:
  static constexpr size_t kSteps = 64;  // Of a bucket.

  template <typename F>
  void ForBuckets(size_t block, const F& f) {
    const Lifetime& life = lifetimes_[block];
    const auto first = static_cast<size_t>(life.first_step) / kSteps;
    const auto last = static_cast<size_t>(life.last_step) / kSteps;
    for (size_t i = first; i <= last; ++i) f(buckets_[i]);
  }

  std::span<const Lifetime> lifetimes_;
  std::vector<std::vector<size_t>> buckets_;
  std::vector<size_t> found_;
};

}  // namespace

Result<ArenaPlan> PlanArena(std::span<const Lifetime> lifetimes,
                            uint64_t alignment) {
  if (!std::has_single_bit(alignment)) {
    return Invalid("arena alignment {}: expected a power of two", alignment);
  }
  for (size_t i = 0; i < lifetimes.size(); ++i) {
    const Lifetime& life = lifetimes[i];
    if (life.first_step > life.last_step) {
      return Invalid("block {}: first step {} is after its last step {}", i,
                     life.first_step, life.last_step);
    }
    if (life.bytes > kMostBytes) {
      return Invalid("block {}: {} bytes, limit 2^62", i, life.bytes);
    }
  }
  std::vector<size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, [&](size_t a, size_t b) {
    const Lifetime &x = lifetimes[a], &y = lifetimes[b];
    if (x.bytes != y.bytes) return x.bytes > y.bytes;
    if (x.first_step != y.first_step) return x.first_step < y.first_step;
    return a < b;
  });

  ArenaPlan plan;
  plan.offsets.resize(lifetimes.size());
  Neighbours placed(lifetimes);
  for (const size_t i : order) {
    const Lifetime& life = lifetimes[i];
    if (life.bytes == 0) continue;
    uint64_t offset = 0;
    for (const size_t other : placed.Meeting(i, plan.offsets)) {
      if (offset + life.bytes <= plan.offsets[other]) break;
      const uint64_t end = plan.offsets[other] + lifetimes[other].bytes;
      offset = std::max(offset, (end + alignment - 1) & ~(alignment - 1));
    }
    if (offset + life.bytes > kMostBytes) {
      return Invalid("block {}: the arena would pass 2^62 bytes", i);
    }
    plan.offsets[i] = offset;
    plan.bytes = std::max(plan.bytes, offset + life.bytes);
    placed.Add(i);
  }
  return plan;
}

}  // namespace lathe::plan
