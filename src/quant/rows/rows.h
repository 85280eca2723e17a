// The loops over numbers under every algorithm: one set per ISA level, made of
// rows-inl.h. A run is neighbouring elements that share a scale.

#ifndef LATHE_QUANT_ROWS_ROWS_H_
#define LATHE_QUANT_ROWS_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "src/base/cpu.h"

namespace lathe::quant {

// Bits of a float without its sign; as integers they are ordered as the
// magnitudes are, infinity and then NaN last.
constexpr uint32_t kInfinityBits = 0x7F800000u;

struct Selection {
  double sum = 0;      // Of |x|.
  uint64_t count = 0;  // Zeros count twice when the threshold is 0.
};

// Every result but those of the last two is equal bit for bit at each level:
// sums go over 16 lanes and then in double, whatever the width of a vector.
struct RowKernels {
  std::string_view name;
  Isa isa;

  // largest[r] = bits of the largest |x| of run r. run > 0.
  void (*magnitudes)(size_t runs, size_t run, const float* x,
                     uint32_t* largest);

  // low, high and largest (bits) are widened to contain x. A NaN may leave low
  // and high as they were; it shows in largest.
  void (*extremes)(size_t n, const float* x, float* low, float* high,
                   uint32_t* largest);

  // The same for each of n columns.
  void (*column_extremes)(size_t n, const float* x, float* low, float* high,
                          uint32_t* largest);

  // q = clip(rint(x / scale[r] + zero[r]), low, high) in float32, ties to
  // even; 0 where that is NaN.
  void (*encode)(size_t runs, size_t run, const float* x, const float* scale,
                 const float* zero, float low, float high, int8_t* q);

  // The same with a scale and a zero point for each element.
  void (*encode_columns)(size_t n, const float* x, const float* scale,
                         const float* zero, float low, float high, int8_t* q);

  // The same in double, without a zero point: x * factor / scale. `factor` may
  // be null.
  void (*encode_double)(size_t n, const float* x, const double* factor,
                        double scale, double low, double high, int8_t* q);

  // IEEE halves, nearest even.
  void (*halves)(size_t n, const float* x, uint16_t* y);

  // Of x with x >= threshold or x <= -threshold.
  Selection (*select)(size_t n, const float* x, float threshold);

  // Sum of (x - scale * clip(rint(x * (1 / scale)), low, high))^2;
  // low <= 0 <= high.
  double (*squared_error)(size_t n, const float* x, float scale, float low,
                          float high);

  double (*sum_of_squares)(size_t n, const float* x);

  // x = H x / sqrt(n), H the Hadamard matrix in natural (Sylvester) order; n a
  // power of 2. n log2(n) additions.
  void (*rotate)(size_t n, float* x);

  // out[i][j] += sum over p < k of a[i][p] * b[j][p], for 4 rows of a and 2 of
  // b. Sums in float32: split a long k.
  void (*dots)(size_t k, const float* const* a, const float* const* b,
               double* out);

  // c[i][j] -= sum over p < k of a[i][p] * b[p][j], for i < m and j < n.
  void (*subtract_product)(size_t m, size_t n, size_t k, const float* a,
                           size_t a_stride, const float* b, size_t b_stride,
                           float* c, size_t c_stride);
};

// The best that the CPU has, but not above `limit`.
const RowKernels& ChooseRows(Isa limit);
// The best that the CPU has.
const RowKernels& Rows();

extern const RowKernels kRowsScalar;
#if defined(__x86_64__)
extern const RowKernels kRowsAvx2;
extern const RowKernels kRowsAvx512;
#endif
#if defined(__aarch64__)
extern const RowKernels kRowsNeon;
#endif

}  // namespace lathe::quant

#endif  // LATHE_QUANT_ROWS_ROWS_H_
