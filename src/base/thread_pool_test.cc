// The pool: every job once, who runs it, and several callers at a time.

#include "src/base/thread_pool.h"

#include <atomic>
#include <chrono>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace lathe {
namespace {

class ThreadPoolTest : public testing::TestWithParam<int> {};

TEST_P(ThreadPoolTest, CallsEachJobOnceForAnyNumberOfJobs) {
  ThreadPool pool(GetParam());
  for (const size_t jobs : {0, 1, 2, 3, 7, 64, 1000}) {
    std::vector<std::atomic<int>> calls(jobs);
    pool.Run(jobs, [&](size_t job, size_t) { ++calls[job]; });
    for (size_t i = 0; i < jobs; ++i) {
      EXPECT_EQ(calls[i], 1) << "job " << i << " of " << jobs;
    }
  }
}

TEST_P(ThreadPoolTest, TellsConcurrentCallsApart) {
  ThreadPool pool(GetParam());
  ASSERT_EQ(pool.threads(), static_cast<size_t>(GetParam()));
  std::vector<std::atomic<bool>> busy(pool.threads());
  std::atomic<int> clashes = 0;
  pool.Run(200, [&](size_t, size_t thread) {
    ASSERT_LT(thread, busy.size());
    if (busy[thread].exchange(true)) ++clashes;
    std::this_thread::yield();
    busy[thread] = false;
  });
  EXPECT_EQ(clashes, 0);
}

TEST_P(ThreadPoolTest, ReturnsOnlyWhenAllJobsAreDone) {
  ThreadPool pool(GetParam());
  // Plain memory: a job that is still running would race with the sum.
  std::vector<int> values(500);
  for (int round = 1; round <= 50; ++round) {
    pool.Run(values.size(), [&](size_t job, size_t) { values[job] = round; });
    EXPECT_EQ(std::accumulate(values.begin(), values.end(), 0), 500 * round);
  }
}

TEST_P(ThreadPoolTest, WorksAgainAfterItsThreadsWentToSleep) {
  ThreadPool pool(GetParam());
  std::atomic<int> calls = 0;
  for (int round = 0; round < 3; ++round) {
    // Longer than workers spin.
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    pool.Run(8, [&](size_t, size_t) { ++calls; });
  }
  EXPECT_EQ(calls, 24);
}

TEST_P(ThreadPoolTest, ServesCallersThatTakeTurns) {
  ThreadPool pool(GetParam());
  constexpr int kCallers = 4, kRounds = 50;
  constexpr size_t kJobs = 16;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&] {
      std::vector<int> values(kJobs);
      for (int round = 1; round <= kRounds; ++round) {
        pool.Run(kJobs, [&](size_t job, size_t) { ++values[job]; });
        for (const int value : values) wrong += value != round;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

INSTANTIATE_TEST_SUITE_P(OneToFive, ThreadPoolTest, testing::Range(1, 6));

TEST(ThreadPool, OfOneRunsInOrderOnTheCaller) {
  ThreadPool pool(1);
  std::vector<size_t> order;
  std::set<std::thread::id> threads;
  pool.Run(5, [&](size_t job, size_t thread) {
    order.push_back(job);
    threads.insert(std::this_thread::get_id());
    EXPECT_EQ(thread, 0u);
  });
  EXPECT_EQ(order, (std::vector<size_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(threads, std::set{std::this_thread::get_id()});
}

TEST(ThreadPool, CountsBelowOneAreOne) {
  for (const int threads : {0, -1, -100}) {
    EXPECT_EQ(ThreadPool(threads).threads(), 1u);
  }
}

TEST(ThreadPool, MayRunAnotherPoolInsideAJob) {
  ThreadPool outer(2), inner(2);
  std::atomic<int> calls = 0;
  outer.Run(6, [&](size_t, size_t) {
    inner.Run(5, [&](size_t, size_t) { ++calls; });
  });
  EXPECT_EQ(calls, 30);
}

TEST(ThreadPool, PoolsDoNotDisturbEachOther) {
  ThreadPool a(3), b(2);
  std::atomic<int> calls = 0;
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) b.Run(7, [&](size_t, size_t) { ++calls; });
  });
  for (int i = 0; i < 100; ++i) a.Run(9, [&](size_t, size_t) { ++calls; });
  other.join();
  EXPECT_EQ(calls, 1600);
}

TEST(ThreadPool, EndsWithoutHavingRun) {
  for (int i = 0; i < 20; ++i) ThreadPool pool(4);
}

}  // namespace
}  // namespace lathe
