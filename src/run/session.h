// A plan with memory of its own: binds tensors to an arena and runs the steps.
//
// Comes after: plan/plan.h. Comes before: api/ (names, resizing).

#ifndef LATHE_RUN_SESSION_H_
#define LATHE_RUN_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "src/base/aligned_buffer.h"
#include "src/base/result.h"
#include "src/base/stop_token.h"
#include "src/base/thread_pool.h"
#include "src/plan/plan.h"

namespace lathe::run {

// Called after each step with its index and milliseconds.
using OnStep = std::function<void(size_t, double)>;

// One thread at a time.
class Session {
 public:
  // `outside`: the memory of tensors that are not the plan's own
  // (plan::Home::kOutside), by tensor; it must outlive the session and stay
  // where it is. Errors: kSystem when there is no memory for the arena.
  static Result<Session> Create(plan::Plan plan,
                                std::span<std::byte* const> outside = {});

  const plan::Plan& plan() const { return plan_; }

  // The memory of a tensor; empty for one that the plan keeps nowhere. A
  // constant's bytes must not be written.
  std::span<std::byte> Bytes(int32_t tensor) const;

  // Runs all steps. Allocates nothing. The pool must have the number of
  // threads that the plan was made for. Errors: kInterrupted when `stop` was
  // set, looked at before each step; what a step says, with its name.
  Status Run(ThreadPool& pool, StopToken stop, const OnStep& on_step,
             plan::Resources* resources = nullptr) const;

 private:
  plan::Plan plan_;
  AlignedBuffer arena_;
  std::vector<std::byte*> pointers_;  // By tensor.
};

}  // namespace lathe::run

#endif  // LATHE_RUN_SESSION_H_
