#include "src/kernels/quantized/matmul.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace lathe::kernels {
namespace {

// How the work is cut and where scratch lies.
struct Layout {
  size_t rows = 0;      // Of all matrices A.
  size_t k = 0;         // Of a centred row.
  bool direct = false;  // 16-bit rows are used where they are.
  size_t row_tiles = 0, panels = 0, panels_per_job = 0, groups = 0;
  size_t rows_bytes = 0, scales_bytes = 0, job_bytes = 0;  // Per thread: job.
};

Layout LayoutOf(const IntMatmul& matmul) {
  Layout layout;
  const Product& product = matmul.product;
  layout.rows = matmul.a_batches * matmul.m;
  layout.k = RoundUp(product.k, product.bytes ? 4 : 2);
  layout.direct = !matmul.dynamic && matmul.a_type == Integer::kInt16 &&
                  matmul.a_zero == 0 && matmul.a_k_stride == 1 &&
                  product.k % 2 == 0;
  layout.row_tiles = (matmul.m + kTileRows - 1) / kTileRows;
  layout.panels = PanelCount(*product.kernels, product.n);
  // Enough jobs for the threads, no more: each job of unpacked weights packs
  // its own panels.
  const size_t wanted = matmul.threads == 1 ? 1 : 4 * matmul.threads;
  const size_t outer = matmul.batches * (matmul.packed ? layout.row_tiles : 1);
  const size_t groups =
      std::clamp<size_t>(outer == 0 ? 1 : (wanted + outer - 1) / outer, 1,
                         std::max<size_t>(1, layout.panels));
  layout.panels_per_job =
      std::max<size_t>(1, (layout.panels + groups - 1) / groups);
  if (!matmul.packed) {
    layout.panels_per_job = std::min<size_t>(layout.panels_per_job, 8);
  }
  layout.groups =
      (layout.panels + layout.panels_per_job - 1) / layout.panels_per_job;
  if (!layout.direct) {
    layout.rows_bytes =
        RoundUp(layout.rows * layout.k *
                    (product.bytes ? sizeof(int8_t) : sizeof(int16_t)),
                kCacheLine);
  }
  layout.scales_bytes =
      matmul.dynamic ? RoundUp(layout.rows * sizeof(float), kCacheLine) : 0;
  layout.job_bytes = RoundUp(TileScratchBytes(*product.kernels), kCacheLine);
  if (!matmul.packed) {
    layout.job_bytes +=
        RoundUp(layout.panels_per_job * PanelBytes(*product.kernels, product.k),
                kCacheLine);
  }
  return layout;
}

// All rows of A, floats, as int8 into scratch.
void QuantizeToBytes(const IntMatmul& matmul, const Layout& layout,
                     const float* a, ThreadPool& pool, int8_t* rows,
                     float* scales) {
  const size_t k = matmul.product.k, m = matmul.m;
  constexpr size_t kRowsPerJob = 16;
  pool.Run(
      (layout.rows + kRowsPerJob - 1) / kRowsPerJob, [&](size_t job, size_t) {
        const size_t end = std::min(layout.rows, (job + 1) * kRowsPerJob);
        for (size_t row = job * kRowsPerJob; row < end; ++row) {
          const size_t at = row / m * m * k + row % m * matmul.a_stride;
          scales[row] = QuantizeRowToBytes(*matmul.product.kernels, a + at, k,
                                           rows + row * layout.k, layout.k);
        }
      });
}

// All rows of A, centred, into scratch.
void CenterRows(const IntMatmul& matmul, const Layout& layout, const void* a,
                ThreadPool& pool, int16_t* rows, float* scales) {
  const QuantizedKernels& kernels = *matmul.product.kernels;
  const size_t k = matmul.product.k, m = matmul.m;
  constexpr size_t kRowsPerJob = 16;
  pool.Run((layout.rows + kRowsPerJob - 1) / kRowsPerJob, [&](size_t job,
                                                              size_t) {
    const size_t end = std::min(layout.rows, (job + 1) * kRowsPerJob);
    for (size_t row = job * kRowsPerJob; row < end; ++row) {
      int16_t* to = rows + row * layout.k;
      const size_t at = row / m * m * k + row % m * matmul.a_stride;
      const size_t step = matmul.a_k_stride;
      if (layout.k > k) to[k] = 0;
      if (matmul.dynamic && step == 1) {
        QuantizeRows(kernels, static_cast<const float*>(a) + at, 1, k, k,
                     matmul.asymmetric, to, layout.k, scales + row);
      } else if (matmul.dynamic) {
        // A column of the matrix: range and rounding one by one.
        const float* x = static_cast<const float*>(a) + at;
        float low = 0, high = 0;
        for (size_t p = 0; p < k; ++p) {
          low = std::min(low, x[p * step]);
          high = std::max(high, x[p * step]);
        }
        const DynamicRange range = DynamicRangeOf(low, high, matmul.asymmetric);
        for (size_t p = 0; p < k; ++p) {
          kernels.quantize(x + p * step, 1, range.inverse, range.zero,
                           range.low, range.high, to + p);
        }
        scales[row] = range.scale;
      } else if (step == 1) {
        kernels.center(
            matmul.a_type,
            static_cast<const std::byte*>(a) + at * BytesOf(matmul.a_type), k,
            matmul.a_zero, to);
      } else {
        const auto column = [&](const auto* x) {
          for (size_t p = 0; p < k; ++p) {
            to[p] = static_cast<int16_t>(x[p * step] - matmul.a_zero);
          }
        };
        if (matmul.a_type == Integer::kInt8) {
          column(static_cast<const int8_t*>(a) + at);
        } else if (matmul.a_type == Integer::kUint8) {
          column(static_cast<const uint8_t*>(a) + at);
        } else {
          column(static_cast<const int16_t*>(a) + at);
        }
      }
    }
  });
}

}  // namespace

size_t IntMatmulScratchBytes(const IntMatmul& matmul) {
  const Layout layout = LayoutOf(matmul);
  return layout.rows_bytes + layout.scales_bytes +
         matmul.threads * layout.job_bytes;
}

void RunIntMatmul(const IntMatmul& matmul, const Output& output, const void* a,
                  const std::byte* b, ThreadPool& pool, std::byte* scratch,
                  StopToken stop) {
  const Layout layout = LayoutOf(matmul);
  const Product& product = matmul.product;
  const QuantizedKernels& kernels = *product.kernels;
  if (matmul.m == 0 || product.n == 0 || matmul.batches == 0) return;
  const int16_t* rows = static_cast<const int16_t*>(a);
  size_t stride = matmul.a_stride;
  float* scales = reinterpret_cast<float*>(scratch + layout.rows_bytes);
  if (product.bytes) {
    stride = layout.k;
    QuantizeToBytes(matmul, layout, static_cast<const float*>(a), pool,
                    reinterpret_cast<int8_t*>(scratch), scales);
  } else if (!layout.direct) {
    stride = layout.k;
    int16_t* centred = reinterpret_cast<int16_t*>(scratch);
    CenterRows(matmul, layout, a, pool, centred, scales);
    rows = centred;
  }
  std::byte* jobs = scratch + layout.rows_bytes + layout.scales_bytes;
  const size_t panel_bytes = PanelBytes(product);
  const std::array<size_t, 1> no_taps = {0};

  // Packed: a job is one tile of rows; else all tiles against the panels that
  // the job packs.
  const size_t tiles = matmul.packed ? layout.row_tiles : 1;
  pool.Run(matmul.batches * tiles * layout.groups, [&](size_t job,
                                                       size_t thread) {
    if (Stopped(stop)) return;
    const size_t batch = job / (tiles * layout.groups);
    const size_t group = job / tiles % layout.groups;
    const size_t first = group * layout.panels_per_job;
    const size_t last = std::min(layout.panels, first + layout.panels_per_job);
    std::byte* own = jobs + thread * layout.job_bytes;
    const size_t b_batch = matmul.b_index ? matmul.b_index[batch] : 0;
    const std::byte* packed = nullptr;
    if (matmul.packed) {
      packed = b + (b_batch * layout.panels + first) * panel_bytes;
    } else {
      WeightSource source;
      source.data =
          reinterpret_cast<const int8_t*>(b) + b_batch * product.k * product.n;
      source.taps = no_taps;
      source.per_tap = product.k;
      source.k_stride = matmul.b_k_stride;
      source.n_stride = matmul.b_n_stride;
      source.flip = matmul.b_flip;
      std::byte* panels = own + RoundUp(TileScratchBytes(kernels), kCacheLine);
      PackPanels(kernels, product.n, source, first, last, panels);
      packed = panels;
    }
    const size_t a_batch = matmul.a_index ? matmul.a_index[batch] : 0;
    size_t tile_first = job % tiles, tile_last = tile_first + 1;
    if (!matmul.packed) {
      tile_first = 0;
      tile_last = layout.row_tiles;
    }
    std::array<size_t, kTileRows> at;
    for (size_t t = tile_first; t < tile_last; ++t) {
      const size_t row = t * kTileRows;
      RowTile tile;
      tile.rows = std::min(kTileRows, matmul.m - row);
      for (size_t i = 0; i < tile.rows; ++i) {
        at[i] = (batch * matmul.m + row + i) * product.n;
      }
      tile.bytes = reinterpret_cast<const int8_t*>(scratch) +
                   (a_batch * matmul.m + row) * stride;
      tile.a =
          rows + (layout.direct ? a_batch * matmul.m * product.k + row * stride
                                : (a_batch * matmul.m + row) * stride);
      tile.a_stride = stride;
      tile.at = at.data();
      if (matmul.dynamic) {
        tile.row_scales = scales + a_batch * matmul.m + row;
      }
      RunTile(product, output, tile, first, last, packed, own);
    }
  });
}

void RunWideMatmul(const IntMatmul& matmul, int32_t b_zero,
                   const Output& output, const int16_t* a, const int16_t* b,
                   ThreadPool& pool, StopToken stop) {
  const Product& product = matmul.product;
  constexpr size_t kColumns = 64;
  pool.Run(matmul.batches * matmul.m, [&](size_t job, size_t) {
    if (Stopped(stop)) return;
    const size_t batch = job / matmul.m, i = job % matmul.m;
    const int16_t* row =
        a +
        (matmul.a_index ? matmul.a_index[batch] : 0) * matmul.m * product.k +
        i * matmul.a_stride;
    const int16_t* matrix = b + (matmul.b_index ? matmul.b_index[batch] : 0) *
                                    product.k * product.n;
    for (size_t first = 0; first < product.n; first += kColumns) {
      const size_t columns = std::min(kColumns, product.n - first);
      int64_t sums[kColumns] = {};
      for (size_t p = 0; p < product.k; ++p) {
        const int64_t x = row[p * matmul.a_k_stride] - matmul.a_zero;
        const int16_t* from =
            matrix + p * matmul.b_k_stride + first * matmul.b_n_stride;
        for (size_t j = 0; j < columns; ++j) {
          sums[j] += x * (from[j * matmul.b_n_stride] - b_zero);
        }
      }
      FinishRow finish;
      finish.kind = output.kind;
      finish.type = output.type;
      finish.n = columns;
      finish.sums = sums;
      finish.multiplier = output.multiplier + first;
      finish.shift = output.shift + first;
      finish.zero_point = output.zero_point;
      finish.low = output.low;
      finish.high = output.high;
      finish.wide_bias = output.wide_bias;
      if (output.bias) {
        finish.bias = static_cast<const std::byte*>(output.bias) +
                      first * (output.wide_bias ? 8 : 4);
      }
      finish.y = output.y + (job * product.n + first) * output.element_bytes();
      product.kernels->finish(finish);
    }
  });
}

}  // namespace lathe::kernels
