// Choice, packing and the drivers that block for the caches.

#include "src/kernels/gemm/gemm.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "src/base/aligned_buffer.h"
#include "src/kernels/gemm/half.h"

namespace lathe::kernels {
namespace {

constexpr std::array kKernels = {
#define LATHE_GEMM(fn, widen, name, isa, lane, width, rows) \
  GemmKernel{name, isa, lane, width, rows, fn, widen},
#include "src/kernels/gemm/kernels.inc"
#undef LATHE_GEMM
};

// Floats of a panel that one pass over the rows uses: a quarter of a 1 MiB L2,
// so that it stays there while rows stream by.
constexpr size_t kBlockFloats = (size_t{256} << 10) / sizeof(float);

// Rows of one job where there are many: enough that the panel's stream from
// memory (4 bytes per column and k) is paid by 2 * 256 operations.
constexpr size_t kRowBlock = 252;

}  // namespace

std::span<const GemmKernel> GemmKernels() { return kKernels; }

const GemmKernel& ChooseGemm(Isa limit) {
  for (const GemmKernel& kernel : kKernels) {
    if (kernel.isa <= limit && CpuHas(kernel.isa)) return kernel;
  }
  return kKernels.back();
}

size_t PanelCount(const GemmKernel& kernel, const PanelShape& shape) {
  return (shape.n + kernel.width - 1) / kernel.width;
}

Panel PanelAt(const GemmKernel& kernel, const PanelShape& shape, size_t i) {
  Panel panel;
  panel.first = i * kernel.width;
  panel.columns = std::min<size_t>(kernel.width, shape.n - panel.first);
  panel.width = RoundUp(panel.columns, kernel.lane);
  panel.offset = panel.first * shape.taps * shape.k;
  return panel;
}

size_t PackedFloats(const GemmKernel& kernel, const PanelShape& shape) {
  return RoundUp(shape.n, kernel.lane) * shape.taps * shape.k;
}

void PackColumns(size_t width, size_t k, const float* const* columns,
                 size_t count, float* to) {
  typedef float Four __attribute__((vector_size(16), aligned(4)));
  size_t j = 0;
  // 4 x 4 at a time: rows of the source become columns of the panel.
  for (; j + 4 <= count; j += 4) {
    const float* const* c = columns + j;
    if (!c[0] || !c[1] || !c[2] || !c[3]) break;
    size_t p = 0;
    for (; p + 4 <= k; p += 4) {
      const auto load = [p](const float* from) {
        return *reinterpret_cast<const Four*>(from + p);
      };
      const Four a0 = load(c[0]), a1 = load(c[1]), a2 = load(c[2]),
                 a3 = load(c[3]);
      const Four low01 = __builtin_shufflevector(a0, a1, 0, 4, 1, 5);
      const Four high01 = __builtin_shufflevector(a0, a1, 2, 6, 3, 7);
      const Four low23 = __builtin_shufflevector(a2, a3, 0, 4, 1, 5);
      const Four high23 = __builtin_shufflevector(a2, a3, 2, 6, 3, 7);
      const auto store = [&](size_t row, Four v) {
        *reinterpret_cast<Four*>(to + (p + row) * width + j) = v;
      };
      store(0, __builtin_shufflevector(low01, low23, 0, 1, 4, 5));
      store(1, __builtin_shufflevector(low01, low23, 2, 3, 6, 7));
      store(2, __builtin_shufflevector(high01, high23, 0, 1, 4, 5));
      store(3, __builtin_shufflevector(high01, high23, 2, 3, 6, 7));
    }
    for (; p < k; ++p) {
      for (size_t i = 0; i < 4; ++i) to[p * width + j + i] = c[i][p];
    }
  }
  for (; j < width; ++j) {
    const float* column = j < count ? columns[j] : nullptr;
    for (size_t p = 0; p < k; ++p) to[p * width + j] = column ? column[p] : 0;
  }
}

void PackPanel(const GemmKernel& kernel, const PanelShape& shape, size_t i,
               const float* source, size_t tap_stride, size_t k_stride,
               size_t n_stride, float* packed) {
  const Panel panel = PanelAt(kernel, shape, i);
  for (size_t tap = 0; tap < shape.taps; ++tap) {
    const float* from = source + tap * tap_stride + panel.first * n_stride;
    float* to = packed + panel.offset + tap * shape.k * panel.width;
    if (k_stride == 1) {
      std::array<const float*, 256> columns;
      for (size_t j = 0; j < panel.columns; ++j)
        columns[j] = from + j * n_stride;
      PackColumns(panel.width, shape.k, columns.data(), panel.columns, to);
      continue;
    }
    for (size_t p = 0; p < shape.k; ++p, to += panel.width) {
      const float* row = from + p * k_stride;
      if (n_stride == 1) {
        std::memcpy(to, row, panel.columns * sizeof(float));
      } else {
        for (size_t j = 0; j < panel.columns; ++j) to[j] = row[j * n_stride];
      }
      std::fill(to + panel.columns, to + panel.width, 0.0f);
    }
  }
}

void PackPanels(const GemmKernel& kernel, const PanelShape& shape,
                const float* source, size_t tap_stride, size_t k_stride,
                size_t n_stride, float* packed, ThreadPool* pool) {
  RunJobs(pool, PanelCount(kernel, shape), [&](size_t i, size_t) {
    PackPanel(kernel, shape, i, source, tap_stride, k_stride, n_stride, packed);
  });
}

bool SplitsSum(const GemmKernel& kernel, const PanelShape& shape) {
  return shape.taps * shape.k >
         kBlockFloats /
             std::min<size_t>(kernel.width, RoundUp(shape.n, kernel.lane));
}

void RunPanel(const GemmKernel& kernel, const Tile& tile) {
  const size_t rows_of_b = kBlockFloats / tile.width;
  // A sum parked in c would overwrite a residual that lies there.
  const bool in_place = tile.residual != nullptr && tile.residual == tile.c;
  if (tile.taps * tile.k <= rows_of_b || in_place) {
    kernel.run(tile);
    return;
  }
  // Whole taps while they fit, else pieces of one tap.
  const size_t taps =
      std::max<size_t>(1, rows_of_b / std::max<size_t>(1, tile.k));
  const size_t piece =
      tile.k <= rows_of_b
          ? tile.k
          : RoundUp(tile.k / ((tile.k + rows_of_b - 1) / rows_of_b), 64);
  for (size_t tap = 0; tap < tile.taps; tap += taps) {
    for (size_t p = 0; p < tile.k; p += piece) {
      Tile part = tile;
      part.taps = std::min(taps, tile.taps - tap);
      part.k = std::min(piece, tile.k - p);
      part.a += tap * tile.a_tap_stride + p;
      part.b += tap * tile.b_tap_stride + p * tile.width;
      part.accumulate = tile.accumulate || tap > 0 || p > 0;
      part.finish =
          tile.finish && tap + part.taps == tile.taps && p + part.k == tile.k;
      kernel.run(part);
    }
  }
}

Tile PanelTile(const GemmKernel& kernel, const PanelShape& shape,
               const float* packed, const Tile& whole, size_t i) {
  const Panel panel = PanelAt(kernel, shape, i);
  Tile tile = whole;
  tile.columns = panel.columns;
  tile.width = panel.width;
  tile.taps = shape.taps;
  tile.k = shape.k;
  if (packed) tile.b = packed + panel.offset;
  tile.b_tap_stride = shape.k * panel.width;
  tile.c += panel.first;
  if (tile.bias) tile.bias += panel.first;
  if (tile.residual) tile.residual += panel.first;
  return tile;
}

void RunPanels(const GemmKernel& kernel, const PanelShape& shape,
               const float* packed, const Tile& tile) {
  for (size_t i = 0; i < PanelCount(kernel, shape); ++i) {
    RunPanel(kernel, PanelTile(kernel, shape, packed, tile, i));
  }
}

void RunGemm(const GemmKernel& kernel, const Gemm& gemm, ThreadPool& pool,
             float* scratch) {
  const PanelShape shape{gemm.n, 1, gemm.k};
  const size_t panels = PanelCount(kernel, shape);
  const size_t row_block =
      gemm.m <= 2 * kRowBlock ? std::max<size_t>(1, gemm.m) : kRowBlock;
  const size_t row_blocks = (gemm.m + row_block - 1) / row_block;
  Tile whole;
  whole.a_stride = gemm.a_stride;
  whole.c_stride = gemm.c_stride;
  whole.bias = gemm.bias;
  whole.residual_stride = gemm.residual_stride;
  whole.clamp = ClampOf(gemm.activation);
  pool.Run(row_blocks * panels, [&](size_t job, size_t thread) {
    const size_t row = job / panels * row_block, panel = job % panels;
    Tile rows = whole;
    rows.rows = std::min(row_block, gemm.m - row);
    rows.a = gemm.a + row * gemm.a_stride;
    rows.c = gemm.c + row * gemm.c_stride;
    if (gemm.residual) {
      rows.residual = gemm.residual + row * gemm.residual_stride;
    }
    const Tile tile = PanelTile(kernel, shape, gemm.packed, rows, panel);
    if (gemm.halves) {
      RunHalfPanel(kernel, tile,
                   gemm.halves + PanelAt(kernel, shape, panel).offset,
                   scratch + thread * kHalfScratchFloats);
    } else {
      RunPanel(kernel, tile);
    }
  });
}

namespace {

// Batches that are packed at the same time: all where they are few, so that
// rows can be split too, else one for each thread.
size_t Slots(const BatchGemm& gemm, size_t threads) {
  return gemm.batches <= 2 * threads ? gemm.batches : threads;
}

size_t SlotFloats(const GemmKernel& kernel, const BatchGemm& gemm) {
  const size_t a = gemm.a_k_stride == 1 ? 0 : RoundUp(gemm.m * gemm.k, 16);
  return RoundUp(PackedFloats(kernel, {gemm.n, 1, gemm.k}), 16) + a;
}

void PackBatch(const GemmKernel& kernel, const BatchGemm& gemm, size_t batch,
               float* slot) {
  const PanelShape shape{gemm.n, 1, gemm.k};
  PackPanels(kernel, shape, gemm.b + gemm.b_offsets[batch], 0, gemm.b_k_stride,
             gemm.b_n_stride, slot);
  if (gemm.a_k_stride == 1) return;
  const float* a = gemm.a + gemm.a_offsets[batch];
  float* rows = slot + RoundUp(PackedFloats(kernel, shape), 16);
  for (size_t i = 0; i < gemm.m; ++i) {
    for (size_t p = 0; p < gemm.k; ++p) {
      rows[i * gemm.k + p] = a[p * gemm.a_k_stride + i * gemm.a_stride];
    }
  }
}

void MultiplyBatch(const GemmKernel& kernel, const BatchGemm& gemm,
                   size_t batch, const float* slot, size_t row, size_t rows) {
  const PanelShape shape{gemm.n, 1, gemm.k};
  const bool copied = gemm.a_k_stride != 1;
  Tile tile;
  tile.rows = rows;
  tile.a_stride = copied ? gemm.k : gemm.a_stride;
  tile.a = copied ? slot + RoundUp(PackedFloats(kernel, shape), 16)
                  : gemm.a + gemm.a_offsets[batch];
  tile.a += row * tile.a_stride;
  tile.c = gemm.c + gemm.c_offsets[batch] + row * gemm.c_stride;
  tile.c_stride = gemm.c_stride;
  RunPanels(kernel, shape, slot, tile);
}

}  // namespace

size_t BatchGemmScratchFloats(const GemmKernel& kernel, const BatchGemm& gemm,
                              size_t threads) {
  return Slots(gemm, threads) * SlotFloats(kernel, gemm);
}

void RunBatchGemm(const GemmKernel& kernel, const BatchGemm& gemm,
                  ThreadPool& pool, float* scratch) {
  const size_t floats = SlotFloats(kernel, gemm);
  if (Slots(gemm, pool.threads()) < gemm.batches) {
    pool.Run(gemm.batches, [&](size_t batch, size_t thread) {
      float* slot = scratch + thread * floats;
      PackBatch(kernel, gemm, batch, slot);
      MultiplyBatch(kernel, gemm, batch, slot, 0, gemm.m);
    });
    return;
  }
  pool.Run(gemm.batches, [&](size_t batch, size_t) {
    PackBatch(kernel, gemm, batch, scratch + batch * floats);
  });
  // Four jobs for each thread keep them even.
  const size_t blocks =
      std::clamp<size_t>(4 * pool.threads() / std::max<size_t>(1, gemm.batches),
                         1, std::max<size_t>(1, gemm.m / 12));
  const size_t rows = RoundUp((gemm.m + blocks - 1) / blocks, 12);
  pool.Run(gemm.batches * blocks, [&](size_t job, size_t) {
    const size_t batch = job / blocks, row = job % blocks * rows;
    if (row >= gemm.m) return;
    MultiplyBatch(kernel, gemm, batch, scratch + batch * floats, row,
                  std::min(rows, gemm.m - row));
  });
}

}  // namespace lathe::kernels
