#include "src/base/thread_pool.h"

#include <algorithm>
#include <chrono>

namespace lathe {
namespace {

// About 30 us on a 3 GHz core: longer than the gap between two steps, far
// shorter than a time slice.
constexpr int kSpins = 2000;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  const size_t workers = static_cast<size_t>(std::max(1, threads)) - 1;
  workers_.reserve(workers);
  for (size_t i = 0; i < workers; ++i) {
    workers_.emplace_back([this, i] { Work(i + 1); });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    round_seen_.fetch_add(1, std::memory_order_release);
  }
  start_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::TakeJobs(const JobRef& job, size_t jobs, size_t thread) {
  for (;;) {
    const size_t i = next_.fetch_add(1, std::memory_order_relaxed);
    if (i >= jobs) return;
    job(i, thread);
  }
}

void ThreadPool::Run(size_t jobs, JobRef job) {
  if (jobs == 0) return;
  if (workers_.empty() || jobs == 1) {
    for (size_t i = 0; i < jobs; ++i) job(i, 0);
    return;
  }
  const std::lock_guard turn(turn_);
  {
    const std::lock_guard lock(mutex_);
    job_ = &job;
    jobs_ = jobs;
    next_.store(0, std::memory_order_relaxed);
    ++round_;
    round_seen_.fetch_add(1, std::memory_order_release);
  }
  start_.notify_all();
  TakeJobs(job, jobs, 0);
  {
    // Whoever wakes up from here on is too late and stays out: a small step
    // does not wait for threads that sleep.
    const std::lock_guard lock(mutex_);
    job_ = nullptr;
  }
  for (int i = 0; i < kSpins; ++i) {
    if (busy_seen_.load(std::memory_order_acquire) == 0) break;
    Pause();
  }
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return busy_ == 0; });
}

void ThreadPool::Work(size_t thread) {
  uint64_t seen = 0;
  uint64_t seen_hint = 0;
  for (;;) {
    for (int i = 0; i < kSpins; ++i) {
      if (round_seen_.load(std::memory_order_acquire) != seen_hint) break;
      Pause();
    }
    const JobRef* job = nullptr;
    size_t jobs = 0;
    {
      std::unique_lock lock(mutex_);
      start_.wait(lock, [&] { return stop_ || round_ != seen; });
      if (stop_) return;
      seen = round_;
      seen_hint = round_seen_.load(std::memory_order_relaxed);
      if (job_ == nullptr) continue;
      job = job_;
      jobs = jobs_;
      ++busy_;
      busy_seen_.store(busy_, std::memory_order_relaxed);
    }
    TakeJobs(*job, jobs, thread);
    {
      const std::lock_guard lock(mutex_);
      --busy_;
      busy_seen_.store(busy_, std::memory_order_release);
      if (busy_ == 0) done_.notify_one();
    }
  }
}

}  // namespace lathe
