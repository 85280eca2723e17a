// Figures that every benchmark prints beside its time.

#ifndef LATHE_KERNELS_BENCH_SUPPORT_H_
#define LATHE_KERNELS_BENCH_SUPPORT_H_

#include <algorithm>
#include <ctime>
#include <random>
#include <vector>

#include "benchmark/benchmark.h"
#include "src/kernels/peak/peak.h"

namespace lathe::kernels {

inline std::vector<float> BenchFloats(size_t n) {
  std::mt19937 rng(1);
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(rng() % 2001) * 1e-3f - 1;
  return values;
}

// FLOP per second of processor time of one thread: unlike wall time it can be
// compared on a machine that others use too.
inline double PeakFlops(Isa isa) {
  const PeakKernel* kernel = &kPeakScalar;
#if defined(__x86_64__)
  if (isa == Isa::kAvx512 || isa == Isa::kAvx512Vnni) kernel = &kPeakAvx512;
  if (isa == Isa::kAvx2) kernel = &kPeakAvx2;
#endif
#if defined(__aarch64__)
  if (isa == Isa::kNeon) kernel = &kPeakNeon;
#endif
  constexpr size_t kRounds = 1 << 20;
  double best = 0;
  for (int i = 0; i < 8; ++i) {
    const std::clock_t start = std::clock();
    benchmark::DoNotOptimize(kernel->multiply_adds(kRounds));
    const double seconds =
        static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    best = std::max(best, 2.0 * kRounds * kPeakSums * kernel->lanes / seconds);
  }
  return best;
}

// Adds GFLOP/s and the share of the peak measured just now.
inline void ReportFlops(benchmark::State& state, double flops, Isa isa) {
  using benchmark::Counter;
  state.counters["GFLOP/s"] =
      Counter(flops * 1e-9, Counter::kIsIterationInvariantRate);
  state.counters["of_peak"] =
      Counter(flops / PeakFlops(isa), Counter::kIsIterationInvariantRate);
}

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_BENCH_SUPPORT_H_
