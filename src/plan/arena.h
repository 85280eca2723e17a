// Gives every intermediate tensor an offset inside one arena.
//
// Comes after: plan/plan.cc (when each tensor is alive)
// Comes before: run/session.cc (turns offsets into pointers)

#ifndef LATHE_PLAN_ARENA_H_
#define LATHE_PLAN_ARENA_H_

#include <cstdint>
#include <span>
#include <vector>

#include "src/base/result.h"

namespace lathe::plan {

// A block is alive from `first_step` to `last_step`, both included. Two blocks
// may share bytes only if no step needs both.
struct Lifetime {
  uint32_t first_step = 0;
  uint32_t last_step = 0;
  uint64_t bytes = 0;  // 0 is legal: the block takes no room.
};

struct ArenaPlan {
  std::vector<uint64_t> offsets;  // One per lifetime, in the caller's order.
  uint64_t bytes = 0;             // What the session must allocate.
};

// Places the largest block first, each at the lowest offset that is free for
// its whole life. Ties go to the earlier step, then to the lower index, so one
// graph has one plan on every machine.
//
// Cost: for each block, those that live in the same 64 steps or longer: linear
// for many short lives, quadratic for many long ones.
// Errors: kInvalidInput when first_step > last_step, when `alignment` is not a
// power of two, or when the arena would pass 2^62 bytes.
Result<ArenaPlan> PlanArena(std::span<const Lifetime> lifetimes,
                            uint64_t alignment);

}  // namespace lathe::plan

#endif  // LATHE_PLAN_ARENA_H_
