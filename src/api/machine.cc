// What the machine is and can do.

#include "lathe/machine.hpp"

#include <hwy/highway.h>

#include <algorithm>
#include <fstream>
#include <mutex>
#include <sstream>

#include "src/api/state.h"
#include "src/kernels/elementwise/elementwise.h"
#include "src/kernels/gemm/gemm.h"
#include "src/kernels/norm/norm.h"
#include "src/kernels/peak/peak.h"
#include "src/kernels/quantized/byte_dot.h"
#include "src/kernels/quantized/quantized.h"

#ifndef LATHE_COMMIT
#define LATHE_COMMIT "unknown"
#endif

namespace lathe {

MachineInfo DescribeMachine() {
  MachineInfo info;
  info.cpu = CpuName();
  info.cores = UsableCores();
  for (const Isa isa : KnownIsas()) {
    info.isas.push_back({std::string(Name(isa)), true, CpuHas(isa)});
    for (const kernels::GemmKernel& kernel : kernels::GemmKernels()) {
      if (kernel.isa == isa) {
        info.kernels.push_back({"gemm, conv, attention",
                                std::string(kernel.name),
                                std::string(Name(isa)), CpuHas(isa)});
      }
    }
    for (const kernels::QuantizedKernels* kernel : kernels::AllQuantized()) {
      if (kernel->isa == isa) {
        info.kernels.push_back({"integer product, conv",
                                std::string(kernel->name),
                                std::string(Name(isa)), CpuHas(isa)});
      }
    }
    for (const kernels::ByteDot* kernel : kernels::AllByteDots()) {
      if (kernel->isa == isa && isa != Isa::kScalar) {
        info.kernels.push_back({"int8 product", std::string(kernel->name),
                                std::string(Name(isa)), kernel->usable()});
      }
    }
    if (CpuHas(isa)) {
      info.kernels.push_back({"elementwise",
                              std::string(kernels::ChooseElementwise(isa).name),
                              std::string(Name(isa)), true});
      info.kernels.push_back({"norm, softmax, reduce",
                              std::string(kernels::ChooseNorm(isa).name),
                              std::string(Name(isa)), true});
    }
  }
  info.best_isa = Name(BestIsa());
#if defined(__clang__)
  info.compiler = fmt::format("clang {}", __clang_version__);
#else
  info.compiler = fmt::format("gcc {}", __VERSION__);
#endif
  info.commit = LATHE_COMMIT;
  info.version = "0.1.0";
  info.libraries = {
      fmt::format("highway {}.{}.{}", HWY_MAJOR, HWY_MINOR, HWY_PATCH),
      fmt::format("fmt {}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100,
                  FMT_VERSION % 100)};
  return info;
}

Result<Peaks> MeasurePeaks(Threads& threads, const std::string& isa) {
  LATHE_ASSIGN(const Isa level, ChooseIsa(isa));
  LATHE_ASSIGN(const kernels::Peak peak,
               kernels::MeasurePeak(level, threads.state()->pool));
  return Peaks{.gflops = peak.gflops, .gigabytes_s = peak.gbytes_per_s};
}

MemoryUse MeasureMemory() {
  static std::mutex mutex;
  static uint64_t peak_private = 0;
  MemoryUse use;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    std::istringstream words(line);
    std::string key;
    uint64_t kilobytes = 0;
    words >> key >> kilobytes;
    if (key == "VmRSS:") use.rss_bytes = kilobytes * 1024;
    if (key == "VmHWM:") use.peak_rss_bytes = kilobytes * 1024;
    if (key == "RssAnon:") use.private_bytes = kilobytes * 1024;
  }
  const std::lock_guard lock(mutex);
  peak_private = std::max(peak_private, use.private_bytes);
  use.peak_private_bytes = peak_private;
  use.peak_rss_bytes = std::max(use.peak_rss_bytes, use.rss_bytes);
  return use;
}

}  // namespace lathe
