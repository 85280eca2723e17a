#include "src/kernels/recurrent/product.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lathe::kernels {
namespace {

// Multiplications of one job.
constexpr size_t kPiece = 65536;

}  // namespace

void Activate(const ElementwiseKernels& kernels, GateActivation activation,
              size_t n, const float* x, float* y) {
  Unary kind = Unary::kRelu;
  switch (activation) {
    case GateActivation::kNone:
      if (x != y) std::copy_n(x, n, y);
      return;
    case GateActivation::kRelu:
      break;
    case GateActivation::kReluN1To1:
      kind = Unary::kReluN1To1;
      break;
    case GateActivation::kRelu6:
      kind = Unary::kRelu6;
      break;
    case GateActivation::kTanh:
      kind = Unary::kTanh;
      break;
    case GateActivation::kSigmoid:
      kind = Unary::kLogistic;
      break;
  }
  kernels.unary(kind, n, x, y, 0);
}

RowScale QuantizeRowSymmetric(size_t n, const float* x, int8_t* q) {
  float range = 0;
  for (size_t i = 0; i < n; ++i) range = std::max(range, std::abs(x[i]));
  if (!(range > 0) || !std::isfinite(range)) {
    std::fill_n(q, n, int8_t{0});
    return {};
  }
  const float inverse = 127 / range;
  for (size_t i = 0; i < n; ++i) {
    const float steps = std::round(x[i] * inverse);
    // NaN compares false and becomes 0.
    q[i] = steps >= -127 && steps <= 127 ? static_cast<int8_t>(steps)
           : steps > 127                 ? int8_t{127}
           : steps < -127                ? int8_t{-127}
                                         : int8_t{0};
  }
  return {range / 127, 0};
}

RowScale QuantizeRowAsymmetric(size_t n, const float* x, int8_t* q) {
  float low = 0, high = 0;
  for (size_t i = 0; i < n; ++i) {
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
  }
  if (!(low < high) || !std::isfinite(low) || !std::isfinite(high)) {
    std::fill_n(q, n, int8_t{0});
    return {};
  }
  const double scale = (double{high} - double{low}) / 255;
  // Of the two zero points that the ends ask for, the one that loses less.
  const double from_low = -128 - low / scale;
  const double from_high = 127 - high / scale;
  const double zero = 128 + std::abs(low / scale) < 127 + std::abs(high / scale)
                          ? from_low
                          : from_high;
  RowScale row;
  row.scale = static_cast<float>(scale);
  row.zero_point =
      static_cast<int32_t>(std::clamp(std::round(zero), -128.0, 127.0));
  const float inverse = 1.0F / row.scale;
  for (size_t i = 0; i < n; ++i) {
    const float steps =
        std::round(static_cast<float>(row.zero_point) + x[i] * inverse);
    q[i] = static_cast<int8_t>(
        std::clamp(std::isnan(steps) ? 0.0F : steps, -128.0F, 127.0F));
  }
  return row;
}

int32_t DotBytes(size_t n, const int8_t* a, const int8_t* b) {
  uint32_t sum = 0;
  for (size_t i = 0; i < n; ++i) {
    sum += static_cast<uint32_t>(static_cast<int16_t>(a[i]) *
                                 static_cast<int16_t>(b[i]));
  }
  return static_cast<int32_t>(sum);
}

size_t ProductScratch(const RecurrentMatrix& matrix, size_t m) {
  if (matrix.packed != nullptr) return 0;
  return m * (matrix.k + sizeof(RowScale)) + alignof(RowScale);
}

void AddProduct(const RecurrentKernels& kernels, const RecurrentMatrix& matrix,
                size_t m, const float* x, size_t x_stride, float* y,
                size_t y_stride, std::byte* scratch, ThreadPool& pool) {
  const size_t columns = matrix.columns();
  if (m == 0 || columns == 0) return;
  if (matrix.packed != nullptr) {
    Gemm gemm;
    gemm.m = m;
    gemm.n = columns;
    gemm.k = matrix.k;
    gemm.a = x;
    gemm.a_stride = x_stride;
    gemm.packed = matrix.packed;
    gemm.c = y;
    gemm.c_stride = y_stride;
    gemm.residual = y;
    gemm.residual_stride = y_stride;
    RunGemm(kernels.gemm, gemm, pool);
    return;
  }
  RowScale* scales = reinterpret_cast<RowScale*>(scratch);
  int8_t* q = reinterpret_cast<int8_t*>(scales + m);
  for (size_t i = 0; i < m; ++i) {
    const float* row = x + i * x_stride;
    int8_t* to = q + i * matrix.k;
    scales[i] = matrix.row_sums != nullptr
                    ? QuantizeRowAsymmetric(matrix.k, row, to)
                    : QuantizeRowSymmetric(matrix.k, row, to);
  }
  const size_t per_job =
      std::max<size_t>(1, kPiece / std::max<size_t>(1, m * matrix.k));
  pool.Run((columns + per_job - 1) / per_job, [&](size_t job, size_t) {
    const size_t end = std::min(columns, (job + 1) * per_job);
    for (size_t j = job * per_job; j < end; ++j) {
      const size_t block = j / matrix.rows;
      const int8_t* w =
          matrix.bytes[block] + (j - block * matrix.rows) * matrix.k;
      const int32_t sum = matrix.row_sums != nullptr ? matrix.row_sums[j] : 0;
      for (size_t i = 0; i < m; ++i) {
        const int64_t dot = DotBytes(matrix.k, w, q + i * matrix.k) -
                            int64_t{scales[i].zero_point} * sum;
        y[i * y_stride + j] +=
            static_cast<float>(dot) * (scales[i].scale * matrix.scales[block]);
      }
    }
  });
}

}  // namespace lathe::kernels
