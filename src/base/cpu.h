// What this CPU can do, in our words for instruction sets.

#ifndef LATHE_BASE_CPU_H_
#define LATHE_BASE_CPU_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lathe {

// Ordered: within one architecture a later level contains the earlier ones.
enum class Isa : uint8_t {
  kScalar,
  kAvx2,        // AVX2, FMA, F16C, BMI, AES: what every such CPU has.
  kAvx512,      // AVX-512 F, CD, BW, DQ, VL.
  kAvx512Vnni,  // And VNNI: products of bytes.
  kNeon,        // Every 64-bit Arm.
};

std::string_view Name(Isa isa);
std::optional<Isa> IsaNamed(std::string_view name);

// Every level of this build's architecture, lowest first.
std::span<const Isa> KnownIsas();

// Whether CPU and operating system support the level.
bool CpuHas(Isa isa);

// Whether it has AVX-VNNI. Not a level: some CPUs with AVX-512 lack it.
bool CpuHasAvxVnni();

// The highest level that CpuHas.
Isa BestIsa();

// The CPU's name for people, such as "AMD EPYC"; empty if unknown.
std::string CpuName();

// Physical cores that this process may use, at least 1.
int UsableCores();

}  // namespace lathe

#endif  // LATHE_BASE_CPU_H_
