// Splits work over a fixed set of threads. One pool may serve many sessions.

#ifndef LATHE_BASE_THREAD_POOL_H_
#define LATHE_BASE_THREAD_POOL_H_

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace lathe {

// A borrowed callable void(size_t job, size_t thread); lives no longer than
// the call that takes it.
class JobRef {
 public:
  template <typename F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, JobRef>)
  JobRef(F&& f)  // NOLINT: implicit, so that lambdas can be passed.
      : object_(const_cast<void*>(static_cast<const void*>(&f))),
        call_([](void* object, size_t job, size_t thread) {
          (*static_cast<std::remove_reference_t<F>*>(object))(job, thread);
        }) {}
  void operator()(size_t job, size_t thread) const {
    call_(object_, job, thread);
  }

 private:
  void* object_;
  void (*call_)(void*, size_t, size_t);
};

// `threads` counts the caller: a pool of 1 starts no thread. Run may be called
// from several threads at once; the calls then take turns.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  size_t threads() const { return workers_.size() + 1; }

  // Calls job(i, thread) once for each i in [0, jobs), on any of the threads,
  // in any order, and returns when all are done. `thread` < threads() tells
  // concurrent calls apart (for scratch memory). Jobs write disjoint outputs,
  // so the result does not depend on who runs what. Allocates nothing. Must
  // not be called from inside a job.
  void Run(size_t jobs, JobRef job);

 private:
  void Work(size_t thread);
  void TakeJobs(const JobRef& job, size_t jobs, size_t thread);

  std::mutex turn_;  // Held by the Run that is under way.
  std::mutex mutex_;
  std::condition_variable start_;
  std::condition_variable done_;
  const JobRef* job_ = nullptr;
  size_t jobs_ = 0;
  uint64_t round_ = 0;
  size_t busy_ = 0;  // Workers inside the round.
  bool stop_ = false;
  std::atomic<size_t> next_{0};
  // What workers look at before they sleep; spinning for some microseconds
  // saves the wake-up between the steps of a model.
  std::atomic<uint64_t> round_seen_{0};
  std::atomic<size_t> busy_seen_{0};
  std::vector<std::thread> workers_;
};

// The same for a pool that may be missing: then this thread does all, as 0.
inline void RunJobs(ThreadPool* pool, size_t jobs, JobRef job) {
  if (pool != nullptr) return pool->Run(jobs, job);
  for (size_t i = 0; i < jobs; ++i) job(i, 0);
}

}  // namespace lathe

#endif  // LATHE_BASE_THREAD_POOL_H_
