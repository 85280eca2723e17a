// What this machine can do at most: multiply-adds from registers, bytes from
// memory. Benchmarks print their figures beside these.

#ifndef LATHE_KERNELS_PEAK_PEAK_H_
#define LATHE_KERNELS_PEAK_PEAK_H_

#include <cstddef>
#include <string_view>

#include "src/base/cpu.h"
#include "src/base/result.h"
#include "src/base/thread_pool.h"

namespace lathe::kernels {

struct Peak {
  Isa isa = Isa::kScalar;
  double gflops = 0;        // f32, a multiply-add counted as two.
  double gbytes_per_s = 0;  // Read from memory, not from a cache.
};

// Best of several rounds on all threads of the pool, about 0.3 s in all. Other
// load on the machine lowers the figures. Errors: kSystem when 128 MiB cannot
// be had; kInvalid when the CPU lacks the level.
Result<Peak> MeasurePeak(Isa isa, ThreadPool& pool);

// One loop per level: `rounds` times 12 independent vectors of `lanes` floats,
// x = x * a + b each. Returns a number that depends on all of them.
struct PeakKernel {
  std::string_view name;
  Isa isa;
  size_t lanes;
  float (*multiply_adds)(size_t rounds);
};
inline constexpr size_t kPeakSums = 12;

extern const PeakKernel kPeakScalar;
#if defined(__x86_64__)
extern const PeakKernel kPeakAvx2;
extern const PeakKernel kPeakAvx512;
#endif
#if defined(__aarch64__)
extern const PeakKernel kPeakNeon;
#endif

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_PEAK_PEAK_H_
