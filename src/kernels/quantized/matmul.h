// Matrix products of integers: FULLY_CONNECTED and BATCH_MATMUL.

#ifndef LATHE_KERNELS_QUANTIZED_MATMUL_H_
#define LATHE_KERNELS_QUANTIZED_MATMUL_H_

#include "src/base/stop_token.h"
#include "src/base/thread_pool.h"
#include "src/kernels/quantized/int_rows.h"

namespace lathe::kernels {

// y[i] = finish(A[i] B[i]) for i < batches, A of a.m rows and k columns, y of
// a.m rows and n columns, one behind the other. All strides and offsets in
// elements.
struct IntMatmul {
  size_t batches = 1;
  // n, k, ... Product::bytes wants `packed`. The block_scales of the matrices
  // lie one behind the other.
  Product product;
  RowSource a;
  // What is given as A is what LayRows wrote of it.
  bool laid = false;
  // B is packed, one batch behind the other, or run-time int8 (uint8 with
  // b_flip): b(p, j) = b[b_offsets[batch] + p * b_k_stride + j * b_n_stride].
  bool packed = true, b_flip = false;
  size_t b_k_stride = 0, b_n_stride = 0;
  // Index of the matrix that each batch takes; batches entries each.
  const uint32_t* a_index = nullptr;
  const uint32_t* b_index = nullptr;
  size_t threads = 1;
};

size_t IntMatmulScratchBytes(const IntMatmul& matmul);
// Work is split over batches, tiles of rows and panels. Looks at `stop` between
// tiles and then leaves y undefined.
void RunIntMatmul(const IntMatmul& matmul, const Output& output, const void* a,
                  const std::byte* b, ThreadPool& pool, std::byte* scratch,
                  StopToken stop);

// The product of 16-bit with 16-bit numbers, less their zero points, with
// 64-bit sums; a and b as above, neither packed nor flipped. Output::kind is
// kWide.
void RunWideMatmul(const IntMatmul& matmul, int32_t b_zero,
                   const Output& output, const int16_t* a, const int16_t* b,
                   ThreadPool& pool, StopToken stop);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_MATMUL_H_
