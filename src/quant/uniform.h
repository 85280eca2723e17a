// Uniform quantization of ranges and values (quantizer reference 2.1, 2.2).

#ifndef LATHE_QUANT_UNIFORM_H_
#define LATHE_QUANT_UNIFORM_H_

#include <cstdint>

namespace lathe::quant {

// Integers that a value may become. Symmetric types of 8 bits and more leave
// the lowest value out.
struct IntegerRange {
  int64_t low = 0, high = 0;
};
IntegerRange RangeOf(int bits, bool symmetric, bool is_unsigned);

struct ScaleZeroPoint {
  double scale = 1;
  int64_t zero_point = 0;
};

// Of the range [min, max]; is_unsigned: asymmetric 8 bits, 0 to 255. Zero is
// always representable; the range is at least 1e-9 wide. In double; a caller
// that follows the older tool's float32 passes float values and rounds.
ScaleZeroPoint FromRange(double min, double max, int bits, bool symmetric,
                         bool is_unsigned);

// clip(rint(value / scale + zero_point)), half to even, computed in double.
int64_t Quantize(double value, ScaleZeroPoint grid, IntegerRange range);

// fp16(bf16(scale)), both to nearest even, as block scales are stored (2.2).
float BlockScale(float scale);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_UNIFORM_H_
