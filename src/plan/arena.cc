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
  std::vector<size_t> placed;  // Ascending by offset.
  for (const size_t i : order) {
    const Lifetime& life = lifetimes[i];
    if (life.bytes == 0) continue;
    uint64_t offset = 0;
    for (const size_t other : placed) {
      if (!MeetInTime(life, lifetimes[other])) continue;
      if (offset + life.bytes <= plan.offsets[other]) break;
      const uint64_t end = plan.offsets[other] + lifetimes[other].bytes;
      offset = std::max(offset, (end + alignment - 1) & ~(alignment - 1));
    }
    if (offset + life.bytes > kMostBytes) {
      return Invalid("block {}: the arena would pass 2^62 bytes", i);
    }
    plan.offsets[i] = offset;
    plan.bytes = std::max(plan.bytes, offset + life.bytes);
    placed.insert(std::ranges::upper_bound(
                      placed, offset, {},
                      [&](size_t other) { return plan.offsets[other]; }),
                  i);
  }
  return plan;
}

}  // namespace lathe::plan
