#include "src/kernels/quantized/matmul.h"

#include <algorithm>
#include <array>

namespace lathe::kernels {
namespace {

// Bytes of rows that meet one panel after the other: half of a 1 MiB L2, so
// that they stay there, and the panel is read once for all of them.
constexpr size_t kRowBlockBytes = size_t{512} << 10;

// Bytes of panels that meet a tile of rows one behind the other: their columns
// lie side by side in the output, whose pages are then touched less often. The
// rest of the L2 is for the rows.
constexpr size_t kPanelBlockBytes = size_t{256} << 10;

// More rows than this are worth a pass that makes nibbles bytes.
constexpr size_t kFewRows = 4;

// How the work is cut and where scratch lies.
struct Layout {
  size_t row_tiles = 0, tiles_per_block = 0, row_blocks = 0;
  size_t panels = 0, panels_per_job = 0, groups = 0;
  size_t rows_bytes = 0, job_bytes = 0;  // Per thread: job.
  bool expands = false;                  // Nibbles to bytes, for each job.
  size_t panel_bytes = 0;                // That rows meet.
  size_t at_once = 0;                    // Panels.
};

Layout LayoutOf(const IntMatmul& matmul) {
  Layout layout;
  const Product& product = matmul.product;
  layout.row_tiles = (matmul.a.m + kTileRows - 1) / kTileRows;
  layout.panels = PanelCount(product);
  const size_t tile_bytes =
      kTileRows * product.padded_k() * (product.bytes ? 1 : 2);
  layout.tiles_per_block =
      std::max<size_t>(1, kRowBlockBytes / std::max<size_t>(1, tile_bytes));
  // Where panels are packed for a job, all rows take part in it.
  if (!matmul.packed) layout.tiles_per_block = layout.row_tiles;
  layout.tiles_per_block = std::clamp<size_t>(
      layout.tiles_per_block, 1, std::max<size_t>(1, layout.row_tiles));
  layout.row_blocks =
      (layout.row_tiles + layout.tiles_per_block - 1) / layout.tiles_per_block;
  // Enough jobs for the threads, no more.
  const size_t wanted = matmul.threads == 1 ? 1 : 4 * matmul.threads;
  const size_t outer = matmul.batches * layout.row_blocks;
  const size_t groups =
      std::clamp<size_t>(outer == 0 ? 1 : (wanted + outer - 1) / outer, 1,
                         std::max<size_t>(1, layout.panels));
  layout.panels_per_job =
      std::max<size_t>(1, (layout.panels + groups - 1) / groups);
  if (product.gates) layout.panels_per_job += layout.panels_per_job % 2;
  if (!matmul.packed) {
    layout.panels_per_job = std::min<size_t>(layout.panels_per_job, 8);
  }
  layout.groups =
      (layout.panels + layout.panels_per_job - 1) / layout.panels_per_job;
  layout.panel_bytes = PanelBytes(product);
  if (product.nibbles && matmul.a.m > kFewRows && product.block == 0) {
    layout.expands = true;
    Product bytes = product;
    bytes.nibbles = false;
    layout.panel_bytes = PanelBytes(bytes);
  }
  layout.at_once = std::max<size_t>(
      1, kPanelBlockBytes / std::max<size_t>(1, layout.panel_bytes));
  if (product.gates) layout.at_once += layout.at_once % 2;
  layout.rows_bytes = matmul.laid ? 0 : RowsBytes(product, matmul.a);
  layout.job_bytes = RoundUp(TileScratchBytes(*product.kernels), kCacheLine);
  if (!matmul.packed) {
    layout.job_bytes +=
        RoundUp(layout.panels_per_job * layout.panel_bytes, kCacheLine);
  } else if (layout.expands) {
    layout.job_bytes += RoundUp(
        std::min(layout.at_once, layout.panels_per_job) * layout.panel_bytes,
        kCacheLine);
  }
  return layout;
}

}  // namespace

size_t IntMatmulScratchBytes(const IntMatmul& matmul) {
  const Layout layout = LayoutOf(matmul);
  return layout.rows_bytes + matmul.threads * layout.job_bytes;
}

void RunIntMatmul(const IntMatmul& matmul, const Output& output, const void* a,
                  const std::byte* b, ThreadPool& pool, std::byte* scratch,
                  StopToken stop) {
  const Layout layout = LayoutOf(matmul);
  const Product& product = matmul.product;
  const size_t m = matmul.a.m;
  if (m == 0 || product.n == 0 || matmul.batches == 0) return;
  const Rows rows = matmul.laid ? RowsAt(product, matmul.a, nullptr,
                                         static_cast<const std::byte*>(a))
                                : LayRows(product, matmul.a, a, pool, scratch);
  std::byte* jobs = scratch + layout.rows_bytes;
  const size_t panel_bytes = PanelBytes(product);
  const size_t at_once = layout.at_once;
  const std::array<size_t, 1> no_taps = {0};

  struct Job {
    size_t batch = 0, b_batch = 0, first = 0, last = 0;
  };
  const auto job_of = [&](size_t number) {
    Job job;
    job.batch = number / (layout.row_blocks * layout.groups);
    job.b_batch = matmul.b_index ? matmul.b_index[job.batch] : 0;
    job.first =
        number / layout.row_blocks % layout.groups * layout.panels_per_job;
    job.last = std::min(layout.panels, job.first + layout.panels_per_job);
    return job;
  };
  // Packed panels from `panel` on that meet rows together.
  const auto panels_from = [&](const Job& job, size_t panel) {
    const size_t end = std::min(job.last, panel + at_once);
    return std::span(b + (job.b_batch * layout.panels + panel) * panel_bytes,
                     (end - panel) * panel_bytes);
  };
  const size_t jobs_count = matmul.batches * layout.row_blocks * layout.groups;
  pool.Run(jobs_count, [&](size_t number, size_t thread) {
    const Job job = job_of(number);
    std::byte* own = jobs + thread * layout.job_bytes;
    std::byte* panels =
        own + RoundUp(TileScratchBytes(*product.kernels), kCacheLine);
    if (!matmul.packed) {
      WeightSource source;
      source.data = reinterpret_cast<const int8_t*>(b) +
                    job.b_batch * product.k * product.n;
      source.taps = no_taps;
      source.per_tap = product.k;
      source.k_stride = matmul.b_k_stride;
      source.n_stride = matmul.b_n_stride;
      source.flip = matmul.b_flip;
      PackPanels(product, source, job.first, job.last, panels);
    }
    const size_t a_batch = matmul.a_index ? matmul.a_index[job.batch] : 0;
    const size_t row_first =
        number % layout.row_blocks * layout.tiles_per_block * kTileRows;
    const size_t row_last =
        std::min(m, row_first + layout.tiles_per_block * kTileRows);
    const size_t tiles = (row_last - row_first + kTileRows - 1) / kTileRows;
    Product scaled = product;
    scaled.nibbles = product.nibbles && !layout.expands;
    if (product.block != 0) {
      scaled.block_scales += job.b_batch * BlockScaleCount(product);
    }
    for (size_t panel = job.first; panel < job.last; panel += at_once) {
      if (Stopped(stop)) return;
      const size_t end = std::min(job.last, panel + at_once);
      const std::byte* from = panels + (panel - job.first) * panel_bytes;
      std::span<const std::byte> ahead;
      if (matmul.packed) {
        from = panels_from(job, panel).data();
        // What comes next; in the end, the job that this thread gets if all
        // take as long.
        if (end < job.last) {
          ahead = panels_from(job, end);
        } else if (number + matmul.threads < jobs_count) {
          const Job next = job_of(number + matmul.threads);
          ahead = panels_from(next, next.first);
        }
      }
      if (layout.expands) {
        ExpandPanels(product, end - panel, from, panels);
        from = panels;
      }
      const size_t part = ahead.size() / tiles;
      for (size_t row = row_first; row < row_last; row += kTileRows) {
        RowTile tile = rows.Tile(product, a_batch * m + row,
                                 std::min(kTileRows, row_last - row));
        tile.first = (job.batch * m + row) * product.outputs();
        tile.ahead = ahead.first(part);
        ahead = ahead.subspan(part);
        RunTile(scaled, output, tile, panel, end, from, own);
      }
    }
  });
}

void RunWideMatmul(const IntMatmul& matmul, int32_t b_zero,
                   const Output& output, const int16_t* a, const int16_t* b,
                   ThreadPool& pool, StopToken stop) {
  const Product& product = matmul.product;
  constexpr size_t kColumns = 64;
  pool.Run(matmul.batches * matmul.a.m, [&](size_t job, size_t) {
    if (Stopped(stop)) return;
    const size_t batch = job / matmul.a.m, i = job % matmul.a.m;
    const int16_t* row =
        a +
        (matmul.a_index ? matmul.a_index[batch] : 0) * matmul.a.m * product.k +
        i * matmul.a.stride;
    const int16_t* matrix = b + (matmul.b_index ? matmul.b_index[batch] : 0) *
                                    product.k * product.n;
    for (size_t first = 0; first < product.n; first += kColumns) {
      const size_t columns = std::min(kColumns, product.n - first);
      int64_t sums[kColumns] = {};
      for (size_t p = 0; p < product.k; ++p) {
        const int64_t x = row[p * matmul.a.k_stride] - matmul.a.zero;
        const int16_t* from =
            matrix + p * matmul.b_k_stride + first * matmul.b_n_stride;
        for (size_t j = 0; j < columns; ++j) {
          sums[j] += x * (from[j * matmul.b_n_stride] - b_zero);
        }
      }
      FinishRows finish;
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
