// x86 with AVX-VNNI: VPDPBUSD of 256 bits, which CPUs without AVX-512 have too.
// 6 rows x 2 vectors keep 12 sums, 2 vectors of weights and a broadcast in 15
// of the 16 registers.

#if defined(__x86_64__)

#include <immintrin.h>

#include "src/kernels/quantized/byte_dot-inl.h"

namespace lathe::kernels {
namespace {

struct Lanes {
  using Vector = __m256i;
  static constexpr size_t kLanes = 8;
  static Vector Zero() { return _mm256_setzero_si256(); }
  static Vector Broadcast(int32_t x) { return _mm256_set1_epi32(x); }
  static Vector Load(const void* p) {
    return _mm256_loadu_si256(static_cast<const Vector*>(p));
  }
  static void Store(void* p, Vector x) {
    _mm256_storeu_si256(static_cast<Vector*>(p), x);
  }
  static Vector Add(Vector x, Vector y) { return _mm256_add_epi32(x, y); }
  static Vector Subtract(Vector x, Vector y) { return _mm256_sub_epi32(x, y); }
  static Vector Multiply(Vector x, Vector y) {
    return _mm256_mullo_epi32(x, y);
  }
  static Vector DotAdd(Vector sum, Vector weights, Vector row) {
    return _mm256_dpbusd_avx_epi32(sum, weights, row);
  }
  static Vector LowNibbles(Vector x) {
    return _mm256_and_si256(x, _mm256_set1_epi8(15));
  }
  static Vector HighNibbles(Vector x) {
    return LowNibbles(_mm256_srli_epi16(x, 4));
  }
  using Floats = __m256;
  static Floats ZeroFloats() { return _mm256_setzero_ps(); }
  static void StoreFloats(float* p, Floats x) { _mm256_storeu_ps(p, x); }
  // total + x * scales, rounded twice.
  static Floats AddScaled(Floats total, Vector x, const float* scales) {
    typedef int32_t Words __attribute__((vector_size(32)));
    const Floats floats =
        __builtin_convertvector(reinterpret_cast<Words>(x), Floats);
    return _mm256_add_ps(total, _mm256_mul_ps(floats, _mm256_loadu_ps(scales)));
  }
};

bool Usable() { return CpuHasAvxVnni(); }

}  // namespace

extern const ByteDot kByteDotAvxVnni;
constinit const ByteDot kByteDotAvxVnni = {
    "int8_6x16_avxvnni", Isa::kAvx2,          2 * Lanes::kLanes, Usable,
    DotRows<Lanes, 6>,   DotBlocks<Lanes, 1>, Expand<Lanes>};

}  // namespace lathe::kernels

#endif  // __x86_64__
