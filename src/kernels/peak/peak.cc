// The two measurements.

#include "src/kernels/peak/peak.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "src/base/aligned_buffer.h"

namespace lathe::kernels {
namespace {

constexpr std::array kAll = {
#if defined(__x86_64__)
    &kPeakAvx512, &kPeakAvx2,
#endif
#if defined(__aarch64__)
    &kPeakNeon,
#endif
    &kPeakScalar};

// 4 million rounds of 12 chains, one start per cycle: about 12 ms at 4 GHz.
constexpr size_t kRounds = size_t{4} << 20;
constexpr int kTries = 8;
// Larger than the last-level caches of the machines we know by a factor of 4.
constexpr size_t kReadBytes = size_t{128} << 20;

template <typename F>
double BestSeconds(int tries, const F& f) {
  using Clock = std::chrono::steady_clock;
  double best = 1e30;
  for (int i = 0; i < tries; ++i) {
    const auto start = Clock::now();
    f();
    best = std::min(
        best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

// Two streams of 8-byte words, unrolled so that loads are the limit.
uint64_t ReadAll(const uint64_t* words, size_t count) {
  std::array<uint64_t, 16> sums = {};
  for (size_t i = 0; i + 16 <= count; i += 16) {
    for (size_t j = 0; j < 16; ++j) sums[j] ^= words[i + j];
  }
  uint64_t all = 0;
  for (const uint64_t sum : sums) all ^= sum;
  return all;
}

}  // namespace

Result<Peak> MeasurePeak(Isa isa, ThreadPool& pool) {
  // The best not above it: a level may add nothing to float32.
  const auto kernel = std::ranges::find_if(
      kAll, [&](const PeakKernel* one) { return one->isa <= isa; });
  if (kernel == kAll.end() || !CpuHas(isa)) {
    return Invalid("ISA level \"{}\" cannot be measured: this CPU lacks it",
                   Name(isa));
  }
  const size_t threads = pool.threads();
  LATHE_ASSIGN(const AlignedBuffer memory, AlignedBuffer::Create(kReadBytes));
  std::atomic<uint64_t> sink = 0;  // Keeps the loops from being left out.

  Peak peak;
  peak.isa = isa;
  const double seconds = BestSeconds(kTries, [&] {
    pool.Run(threads, [&](size_t, size_t) {
      sink += static_cast<uint64_t>((*kernel)->multiply_adds(kRounds));
    });
  });
  peak.gflops =
      2.0 * kRounds * kPeakSums * (*kernel)->lanes * threads / seconds * 1e-9;

  // Written once, so that every page is its own.
  const size_t share = kReadBytes / threads / 1024 * 1024;
  uint64_t* const words = memory.as<uint64_t>();
  const auto for_shares = [&](auto&& f) {
    pool.Run(threads, [&](size_t i, size_t) {
      f(words + i * share / sizeof(uint64_t), share / sizeof(uint64_t));
    });
  };
  for_shares([](uint64_t* at, size_t count) { std::fill_n(at, count, 1); });
  const double read = BestSeconds(kTries, [&] {
    for_shares(
        [&](const uint64_t* at, size_t count) { sink ^= ReadAll(at, count); });
  });
  peak.gbytes_per_s = static_cast<double>(share * threads) / read * 1e-9;
  return peak;
}

}  // namespace lathe::kernels
