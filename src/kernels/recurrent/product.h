// Products of rows with the weight matrices of recurrent layers, in float32 and
// with int8 weights, whose rows of inputs are quantized on the fly.

#ifndef LATHE_KERNELS_RECURRENT_PRODUCT_H_
#define LATHE_KERNELS_RECURRENT_PRODUCT_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "src/base/thread_pool.h"
#include "src/kernels/elementwise/elementwise.h"
#include "src/kernels/gemm/gemm.h"
#include "src/kernels/norm/norm.h"

namespace lathe::kernels {

// What the functions of this folder take of the ISA levels.
struct RecurrentKernels {
  const GemmKernel& gemm;
  const ElementwiseKernels& elementwise;
  const NormKernels& norm;
};

// What the format puts behind a gate or a unit.
enum class GateActivation : uint8_t {
  kNone,
  kRelu,
  kReluN1To1,
  kRelu6,
  kTanh,
  kSigmoid
};
void Activate(const ElementwiseKernels& kernels, GateActivation activation,
              size_t n, const float* x, float* y);

// `blocks` matrices [rows, k], one under the other: at most one per gate.
// Either `packed` (PackPanels of all of them as B[k, blocks * rows]) or
// `bytes`.
struct RecurrentMatrix {
  size_t blocks = 0, rows = 0, k = 0;
  const float* packed = nullptr;
  std::array<const int8_t*, 4> bytes{};
  std::array<float, 4> scales{};
  // Sums of the rows, all blocks; null quantizes symmetrically.
  const int32_t* row_sums = nullptr;

  size_t columns() const { return blocks * rows; }
};

// y[i, j] += sum of x[i, p] w[j, p] for i < m and j < columns(). With int8
// weights each row of x is quantized by itself: to [-127, 127] by its largest
// magnitude, or over its range with a zero point if there are row sums.
// Scratch: ProductScratch bytes, only for int8.
size_t ProductScratch(const RecurrentMatrix& matrix, size_t m);
void AddProduct(const RecurrentKernels& kernels, const RecurrentMatrix& matrix,
                size_t m, const float* x, size_t x_stride, float* y,
                size_t y_stride, std::byte* scratch, ThreadPool& pool);

// x as int8 with one scale; returns scale and zero point.
struct RowScale {
  float scale = 1;
  int32_t zero_point = 0;
};
RowScale QuantizeRowSymmetric(size_t n, const float* x, int8_t* q);
RowScale QuantizeRowAsymmetric(size_t n, const float* x, int8_t* q);

// sum of a[i] b[i]; wraps around, which needs an n above 2^17.
int32_t DotBytes(size_t n, const int8_t* a, const int8_t* b);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_RECURRENT_PRODUCT_H_
