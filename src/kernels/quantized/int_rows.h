// The rows of matrices A, brought into the form that a product takes.
//
// Comes after: product.h
// Comes before: matmul.h

#ifndef LATHE_KERNELS_QUANTIZED_INT_ROWS_H_
#define LATHE_KERNELS_QUANTIZED_INT_ROWS_H_

#include "src/base/thread_pool.h"
#include "src/kernels/quantized/product.h"

namespace lathe::kernels {

// a(i, p) of matrix t is x[t * m * k + i * stride + p * k_stride]: integers,
// less `zero`, or floats that are quantized row by row. With Product::bytes,
// `type` is int8 or uint8 and k_stride 1.
struct RowSource {
  size_t matrices = 1, m = 0, stride = 0, k_stride = 1;
  bool dynamic = false, asymmetric = false;
  Integer type = Integer::kInt8;
  int32_t zero = 0;

  size_t rows() const { return matrices * m; }
};

// Row i of matrix t is number t * m + i of them all, `stride` apart. What
// RowTile says of each array holds for all rows.
struct Rows {
  const int16_t* words = nullptr;
  const int8_t* bytes = nullptr;
  size_t stride = 0;
  const float* scales = nullptr;
  const int32_t* starts = nullptr;
  const int32_t* zeros = nullptr;

  // Rows [first, first + rows), without their outputs.
  RowTile Tile(const Product& product, size_t first, size_t rows) const;
};

size_t RowsBytes(const Product& product, const RowSource& source);
// Writes them to `space`, or leaves numbers in x that are fit as they are.
Rows LayRows(const Product& product, const RowSource& source, const void* x,
             ThreadPool& pool, std::byte* space);
// What LayRows returned for the same arguments.
Rows RowsAt(const Product& product, const RowSource& source, const void* x,
            const std::byte* space);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_QUANTIZED_INT_ROWS_H_
