// The machine that Lathe runs on: instruction sets, kernels, peaks, memory.

#ifndef LATHE_MACHINE_HPP_
#define LATHE_MACHINE_HPP_

#include <cstdint>
#include <string>
#include <vector>

#include "lathe/lathe.hpp"

namespace lathe {

struct IsaInfo {
  std::string name;
  bool compiled_in = false;
  bool cpu_has = false;  // Usable: both.
};

struct KernelInfo {
  std::string family, name, isa;
  bool usable = false;
};

struct MachineInfo {
  std::string cpu;
  int cores = 1;  // Physical, usable by this process.
  std::vector<IsaInfo> isas;
  std::vector<KernelInfo> kernels;
  std::string best_isa;
  std::string compiler, commit, version;
  std::vector<std::string> libraries;  // "highway 1.0.3" ...
};
LATHE_EXPORT MachineInfo DescribeMachine();

struct Peaks {
  double gflops = 0;       // f32 multiply-adds from registers, as 2 each.
  double gigabytes_s = 0;  // Reading memory.
};
// Takes about 0.2 s. `isa` empty: the best. Errors as Session::Create.
LATHE_EXPORT Result<Peaks> MeasurePeaks(Threads& threads,
                                        const std::string& isa = {});

// This process's memory. The peak of private bytes is that of all calls so far
// (the system keeps none): call at the end of each stage.
struct MemoryUse {
  uint64_t rss_bytes = 0, private_bytes = 0;
  uint64_t peak_rss_bytes = 0, peak_private_bytes = 0;
};
LATHE_EXPORT MemoryUse MeasureMemory();

}  // namespace lathe

#endif  // LATHE_MACHINE_HPP_
