#include "src/base/cpu.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <set>
#include <string>
#include <utility>

namespace lathe {
namespace {

struct Row {
  Isa isa;
  std::string_view name;
};
constexpr std::array kRows = {
    Row{Isa::kScalar, "scalar"}, Row{Isa::kAvx2, "avx2"},
    Row{Isa::kAvx512, "avx512"}, Row{Isa::kAvx512Vnni, "avx512vnni"},
    Row{Isa::kNeon, "neon"},
};

#if defined(__x86_64__)
constexpr std::array kKnown = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512,
                               Isa::kAvx512Vnni};
#elif defined(__aarch64__)
constexpr std::array kKnown = {Isa::kScalar, Isa::kNeon};
#else
constexpr std::array kKnown = {Isa::kScalar};
#endif

}  // namespace

std::string_view Name(Isa isa) {
  for (const Row& row : kRows) {
    if (row.isa == isa) return row.name;
  }
  return "?";
}

std::optional<Isa> IsaNamed(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) return row.isa;
  }
  return std::nullopt;
}

std::span<const Isa> KnownIsas() { return kKnown; }

bool CpuHas(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return true;
#if defined(__x86_64__)
    // These ask CPUID and XCR0, so the operating system is included.
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
             __builtin_cpu_supports("f16c") && __builtin_cpu_supports("bmi") &&
             __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("aes") &&
             __builtin_cpu_supports("pclmul");
    case Isa::kAvx512:
      return CpuHas(Isa::kAvx2) && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl");
    case Isa::kAvx512Vnni:
      return CpuHas(Isa::kAvx512) && __builtin_cpu_supports("avx512vnni");
#endif
#if defined(__aarch64__)
    case Isa::kNeon:
      return true;
#endif
    default:
      return false;
  }
}

bool CpuHasAvxVnni() {
#if defined(__x86_64__)
  return CpuHas(Isa::kAvx2) && __builtin_cpu_supports("avxvnni");
#else
  return false;
#endif
}

Isa BestIsa() {
  Isa best = Isa::kScalar;
  for (const Isa isa : kKnown) {
    if (CpuHas(isa)) best = isa;
  }
  return best;
}

std::string CpuName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) {
      const size_t colon = line.find(": ");
      if (colon != std::string::npos) return line.substr(colon + 2);
    }
  }
  return {};
}

int UsableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  // Two logical CPUs with the same siblings list are one core.
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &set)) continue;
    std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                       "/topology/thread_siblings_list");
    std::string siblings;
    if (!std::getline(file, siblings)) siblings = std::to_string(cpu);
    cores.insert(siblings);
  }
  return std::max(1, static_cast<int>(cores.size()));
}

}  // namespace lathe
