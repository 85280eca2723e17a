#include "src/run/session.h"

#include <chrono>
#include <utility>

namespace lathe::run {

Result<Session> Session::Create(plan::Plan plan,
                                std::span<std::byte* const> outside) {
  Session session;
  LATHE_ASSIGN(session.arena_, AlignedBuffer::Create(plan.arena_bytes));
  session.pointers_.resize(plan.tensors.size(), nullptr);
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    const plan::PlanTensor& tensor = plan.tensors[i];
    if (tensor.home == plan::Home::kConstant) {
      // Steps only read constants.
      session.pointers_[i] = const_cast<std::byte*>(tensor.constant);
    } else if (tensor.home == plan::Home::kArena) {
      session.pointers_[i] = session.arena_.data() + tensor.offset;
    } else if (tensor.home == plan::Home::kOutside && !outside.empty()) {
      std::byte* root = outside[static_cast<size_t>(tensor.root)];
      session.pointers_[i] =
          root == nullptr ? nullptr : root + tensor.root_offset;
    }
  }
  session.plan_ = std::move(plan);
  return session;
}

std::span<std::byte> Session::Bytes(int32_t tensor) const {
  const plan::PlanTensor& facts = plan_.tensors[tensor];
  if (pointers_[tensor] == nullptr) return {};
  return {pointers_[tensor], facts.bytes};
}

Status Session::Run(ThreadPool& pool, StopToken stop, const OnStep& on_step,
                    plan::Resources* resources) const {
  using Clock = std::chrono::steady_clock;
  plan::StepContext context;
  context.tensors = pointers_.data();
  context.pool = &pool;
  context.stop = stop;
  context.resources = resources;
  for (size_t i = 0; i < plan_.steps.size(); ++i) {
    if (Stopped(stop)) return Fail(ErrorCode::kInterrupted, "interrupted");
    const plan::Step& step = plan_.steps[i];
    context.scratch = arena_.data() + step.scratch_offset;
    if (step.shared >= 0) {
      context.shared = arena_.data() + plan_.shared[step.shared].offset;
    }
    const Clock::time_point start =
        on_step ? Clock::now() : Clock::time_point();
    if (Status status = step.run(context); !status) {
      return Fail(status.error().code, "step {} {}: {}", i, step.name,
                  status.error().message);
    }
    if (on_step) {
      on_step(i, std::chrono::duration<double, std::milli>(Clock::now() - start)
                     .count());
    }
  }
  if (Stopped(stop)) return Fail(ErrorCode::kInterrupted, "interrupted");
  return {};
}

}  // namespace lathe::run
