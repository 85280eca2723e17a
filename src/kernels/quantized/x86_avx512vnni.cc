// x86 with AVX-512 VNNI.
//
// VPDPBUSD multiplies 4 bytes of weights with 4 bytes of a row and adds them
// into an int32 lane: a vector is 16 columns of 4 numbers of k. 12 rows x 2
// vectors keep 24 sums, 2 vectors of weights and a broadcast in 27 of the 32
// registers.

#if defined(__x86_64__)

#include <immintrin.h>

#include "src/kernels/quantized/byte_dot-inl.h"

namespace lathe::kernels {
namespace {

struct Lanes {
  using Vector = __m512i;
  static constexpr size_t kLanes = 16;
  static Vector Zero() { return _mm512_setzero_si512(); }
  static Vector Broadcast(int32_t x) { return _mm512_set1_epi32(x); }
  static Vector Load(const void* p) { return _mm512_loadu_si512(p); }
  static void Store(void* p, Vector x) { _mm512_storeu_si512(p, x); }
  static Vector Add(Vector x, Vector y) { return _mm512_add_epi32(x, y); }
  static Vector Subtract(Vector x, Vector y) { return _mm512_sub_epi32(x, y); }
  static Vector Multiply(Vector x, Vector y) {
    return _mm512_mullo_epi32(x, y);
  }
  static Vector DotAdd(Vector sum, Vector weights, Vector row) {
    return _mm512_dpbusd_epi32(sum, weights, row);
  }
  static Vector LowNibbles(Vector x) {
    return _mm512_and_si512(x, _mm512_set1_epi8(15));
  }
  static Vector HighNibbles(Vector x) {
    return LowNibbles(_mm512_srli_epi16(x, 4));
  }
  using Floats = __m512;
  static Floats ZeroFloats() { return _mm512_setzero_ps(); }
  static void StoreFloats(float* p, Floats x) { _mm512_storeu_ps(p, x); }
  // total + x * scales, rounded twice.
  static Floats AddScaled(Floats total, Vector x, const float* scales) {
    typedef int32_t Words __attribute__((vector_size(64)));
    const Floats floats =
        __builtin_convertvector(reinterpret_cast<Words>(x), Floats);
    return _mm512_add_ps(total, _mm512_mul_ps(floats, _mm512_loadu_ps(scales)));
  }
};

bool Usable() { return CpuHas(Isa::kAvx512Vnni); }

}  // namespace

extern const ByteDot kByteDotAvx512Vnni;
constinit const ByteDot kByteDotAvx512Vnni = {
    "int8_12x32_avx512vnni", Isa::kAvx512Vnni,    2 * Lanes::kLanes, Usable,
    DotRows<Lanes, 12>,      DotBlocks<Lanes, 4>, Expand<Lanes>};

}  // namespace lathe::kernels

#endif  // __x86_64__
