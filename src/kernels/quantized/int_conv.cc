#include "src/kernels/quantized/int_conv.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

namespace lathe::kernels {
namespace {

void AddGrid(IntConv& conv, const ConvAxis& h, const ConvAxis& w) {
  if (h.count == 0 || w.count == 0) return;
  ConvGrid grid;
  grid.h = h;
  grid.w = w;
  grid.product.kernels = conv.kernels;
  grid.product.n = conv.out_c / conv.groups;
  grid.product.k = h.taps * w.taps * (conv.in_c / conv.groups);
  for (size_t i = 0; i < h.taps; ++i) {
    for (size_t j = 0; j < w.taps; ++j) {
      const size_t kh = h.first_tap + i * h.filter_step;
      const size_t kw = w.first_tap + j * w.filter_step;
      grid.taps.push_back((kh * conv.kernel_w + kw) *
                          (conv.in_c / conv.groups));
    }
  }
  conv.grids.push_back(std::move(grid));
}

void PlacePanels(IntConv& conv) {
  conv.packed_bytes = 0;
  for (ConvGrid& grid : conv.grids) {
    grid.packed_at = conv.packed_bytes;
    conv.packed_bytes += conv.groups * PackedBytes(grid.product);
  }
}

ConvAxis PlainAxis(size_t out, size_t stride, size_t dilation, size_t pad,
                   size_t kernel) {
  ConvAxis axis;
  axis.count = out;
  axis.first_in = -static_cast<ptrdiff_t>(pad);
  axis.in_step = static_cast<ptrdiff_t>(stride);
  axis.tap_step = static_cast<ptrdiff_t>(dilation);
  axis.taps = kernel;
  return axis;
}

// Outputs o with (o + pad) % stride == phase: o + pad = q stride + phase, and
// tap phase + t stride meets input q - t.
ConvAxis PhaseAxis(size_t out, size_t stride, size_t pad, size_t kernel,
                   size_t phase) {
  ConvAxis axis;
  const size_t first_q = pad > phase ? (pad - phase + stride - 1) / stride : 0;
  axis.first_out = first_q * stride + phase - pad;
  axis.out_step = stride;
  axis.count =
      axis.first_out < out ? (out - axis.first_out + stride - 1) / stride : 0;
  axis.first_in = static_cast<ptrdiff_t>(first_q);
  axis.in_step = 1;
  axis.tap_step = -1;
  axis.taps = phase < kernel ? (kernel - phase + stride - 1) / stride : 0;
  axis.first_tap = phase;
  axis.filter_step = stride;
  return axis;
}

struct Layout {
  size_t image_bytes = 0, job_bytes = 0;
  size_t longest_row = 0;
};

size_t ImageSize(const IntConv& conv) {
  return conv.in_h * conv.in_w * conv.in_c;
}

// Whether rows of the image are the rows of the product.
bool IsDirect(const IntConv& conv, const ConvGrid& grid) {
  const auto plain = [](const ConvAxis& axis, size_t in) {
    return axis.taps == 1 && axis.first_in == 0 && axis.in_step == 1 &&
           axis.count == in && axis.out_step == 1 && axis.first_out == 0;
  };
  // Of uint8, gathering makes int8.
  return conv.groups == 1 && conv.in_c % grid.product.group() == 0 &&
         !(conv.bytes && !conv.dynamic && conv.type == Integer::kUint8) &&
         plain(grid.h, conv.in_h) && plain(grid.w, conv.in_w);
}

Layout LayoutOf(const IntConv& conv) {
  Layout layout;
  const size_t n = ImageSize(conv);
  if (!conv.bytes) {
    layout.image_bytes =
        CenteredScratchBytes(conv.dynamic, conv.type, conv.batch, n);
  } else if (conv.dynamic) {
    layout.image_bytes =
        RoundUp(conv.batch * sizeof(DynamicRange), kCacheLine) +
        RoundUp(conv.batch * n, kCacheLine);
  }
  for (const ConvGrid& grid : conv.grids) {
    if (IsDirect(conv, grid)) continue;
    layout.longest_row = std::max(layout.longest_row, grid.product.padded_k());
  }
  layout.job_bytes =
      RoundUp(TileScratchBytes(*conv.kernels), kCacheLine) +
      RoundUp(kTileRows * layout.longest_row * (conv.bytes ? 1 : 2),
              kCacheLine);
  return layout;
}

// The images in the form that rows are gathered from.
struct Images {
  const int16_t* words = nullptr;
  const int8_t* bytes = nullptr;
  int8_t sign = 0;   // What to change in each byte.
  int32_t zero = 0;  // Of bytes, where they are not dynamic.
  const float* scales = nullptr;
  const DynamicRange* ranges = nullptr;  // Of bytes.

  int32_t ZeroOf(size_t image) const {
    return ranges ? ranges[image].zero : zero;
  }
};

Images ImagesOf(const IntConv& conv, const void* x, ThreadPool& pool,
                std::byte* scratch) {
  const size_t n = ImageSize(conv);
  Images images;
  if (!conv.bytes) {
    const Centered centred =
        CenterImages(*conv.kernels, conv.dynamic, conv.asymmetric, conv.type,
                     conv.zero, x, conv.batch, n, pool, scratch);
    images.words = centred.x;
    images.scales = centred.scales;
    return images;
  }
  if (!conv.dynamic) {
    const bool flip = conv.type == Integer::kUint8;
    images.bytes = static_cast<const int8_t*>(x);
    images.sign = flip ? -128 : 0;
    images.zero = conv.zero - (flip ? 128 : 0);
    return images;
  }
  DynamicRange* ranges = reinterpret_cast<DynamicRange*>(scratch);
  int8_t* to = reinterpret_cast<int8_t*>(
      scratch + RoundUp(conv.batch * sizeof(DynamicRange), kCacheLine));
  QuantizeImages(*conv.kernels, static_cast<const float*>(x), conv.batch, n,
                 conv.asymmetric, to, ranges, pool);
  images.bytes = to;
  images.ranges = ranges;
  return images;
}

// The taps of the output at (qh, qw) of a grid, for channels of `x` from `x`
// on; `padding` beyond the image, zeros behind the row.
template <typename T>
void GatherRow(const IntConv& conv, const ConvGrid& grid, size_t qh, size_t qw,
               const T* x, T padding, T sign, T* to) {
  const size_t channels = conv.in_c / conv.groups;
  const ptrdiff_t in_h = static_cast<ptrdiff_t>(conv.in_h);
  const ptrdiff_t in_w = static_cast<ptrdiff_t>(conv.in_w);
  const T* const end = to + grid.product.padded_k();
  const ptrdiff_t h0 =
      grid.h.first_in + static_cast<ptrdiff_t>(qh) * grid.h.in_step;
  const ptrdiff_t w0 =
      grid.w.first_in + static_cast<ptrdiff_t>(qw) * grid.w.in_step;
  const auto copy = [&](ptrdiff_t h, ptrdiff_t w, size_t count) {
    const T* from = x + (h * in_w + w) * static_cast<ptrdiff_t>(conv.in_c);
    if (sign == 0) {
      std::copy_n(from, count, to);
    } else {
      for (size_t c = 0; c < count; ++c) {
        to[c] = static_cast<T>(from[c] ^ sign);
      }
    }
  };
  // Taps that are neighbours in the image.
  const size_t row = grid.w.taps * channels;
  const bool whole = conv.groups == 1 && grid.w.tap_step == 1 && w0 >= 0 &&
                     w0 + static_cast<ptrdiff_t>(grid.w.taps) <= in_w;
  for (size_t th = 0; th < grid.h.taps; ++th) {
    const ptrdiff_t h = h0 + static_cast<ptrdiff_t>(th) * grid.h.tap_step;
    const bool inside = h >= 0 && h < in_h;
    if (whole || !inside) {
      if (inside) {
        copy(h, w0, row);
      } else {
        std::fill_n(to, row, padding);
      }
      to += row;
      continue;
    }
    for (size_t tw = 0; tw < grid.w.taps; ++tw, to += channels) {
      const ptrdiff_t w = w0 + static_cast<ptrdiff_t>(tw) * grid.w.tap_step;
      if (w < 0 || w >= in_w) {
        std::fill_n(to, channels, padding);
      } else {
        copy(h, w, channels);
      }
    }
  }
  std::fill(to, const_cast<T*>(end), T{0});
}

// Where the first row of a tile lies in the images if its rows do so as they
// are, overlapping: taps of one image row that are neighbours, none outside.
// Sets the tile's stride.
std::optional<size_t> PlaceInImage(const IntConv& conv, const ConvGrid& grid,
                                   const Images& images, size_t first,
                                   RowTile& tile) {
  if (conv.groups != 1 || grid.h.taps != 1 || grid.w.tap_step != 1 ||
      images.sign != 0 || grid.product.k != grid.product.padded_k()) {
    return {};
  }
  const size_t qw = first % grid.w.count;
  const size_t qh = first / grid.w.count % grid.h.count;
  const size_t image = first / (grid.w.count * grid.h.count);
  const auto step = static_cast<ptrdiff_t>(grid.w.in_step);
  const ptrdiff_t h =
      grid.h.first_in +
      static_cast<ptrdiff_t>(qh) * static_cast<ptrdiff_t>(grid.h.in_step);
  const ptrdiff_t w = grid.w.first_in + static_cast<ptrdiff_t>(qw) * step;
  const ptrdiff_t last = w + static_cast<ptrdiff_t>(tile.rows - 1) * step +
                         static_cast<ptrdiff_t>(grid.w.taps);
  if (qw + tile.rows > grid.w.count || h < 0 ||
      h >= static_cast<ptrdiff_t>(conv.in_h) || w < 0 ||
      last > static_cast<ptrdiff_t>(conv.in_w)) {
    return {};
  }
  tile.a_stride = grid.w.in_step * conv.in_c;
  return image * ImageSize(conv) +
         (static_cast<size_t>(h) * conv.in_w + static_cast<size_t>(w)) *
             conv.in_c;
}

}  // namespace

IntConv PlanIntConv(const QuantizedKernels& kernels, const ConvShape& s,
                    size_t threads) {
  IntConv conv;
  conv.kernels = &kernels;
  conv.batch = s.batch;
  conv.in_h = s.in_h;
  conv.in_w = s.in_w;
  conv.in_c = s.in_c;
  conv.out_h = s.out_h;
  conv.out_w = s.out_w;
  conv.out_c = s.out_c;
  conv.kernel_h = s.kernel_h;
  conv.kernel_w = s.kernel_w;
  conv.groups = s.groups;
  conv.threads = threads;
  AddGrid(conv,
          PlainAxis(s.out_h, s.stride_h, s.dilation_h, s.pad_top, s.kernel_h),
          PlainAxis(s.out_w, s.stride_w, s.dilation_w, s.pad_left, s.kernel_w));
  PlacePanels(conv);
  return conv;
}

IntConv PlanIntTransposeConv(const QuantizedKernels& kernels,
                             const TransposeConvShape& s, size_t threads) {
  IntConv conv;
  conv.kernels = &kernels;
  conv.batch = s.batch;
  conv.in_h = s.in_h;
  conv.in_w = s.in_w;
  conv.in_c = s.in_c;
  conv.out_h = s.out_h;
  conv.out_w = s.out_w;
  conv.out_c = s.out_c;
  conv.kernel_h = s.kernel_h;
  conv.kernel_w = s.kernel_w;
  conv.threads = threads;
  // A stride beyond the output has phases without outputs.
  for (size_t h = 0; h < std::min(s.stride_h, s.out_h + s.pad_top); ++h) {
    const ConvAxis rows =
        PhaseAxis(s.out_h, s.stride_h, s.pad_top, s.kernel_h, h);
    for (size_t w = 0; w < std::min(s.stride_w, s.out_w + s.pad_left); ++w) {
      AddGrid(conv, rows,
              PhaseAxis(s.out_w, s.stride_w, s.pad_left, s.kernel_w, w));
    }
  }
  PlacePanels(conv);
  return conv;
}

void UseBytes(const ByteDot* bytes, IntConv& conv) {
  // A zero point is what a padded pixel holds.
  const int32_t zero = conv.zero - (conv.type == Integer::kUint8 ? 128 : 0);
  const bool fits = conv.dynamic || (conv.type != Integer::kInt16 &&
                                     zero >= INT8_MIN && zero <= INT8_MAX);
  if (!fits) return;
  for (ConvGrid& grid : conv.grids) UseBytes(bytes, grid.product);
  if (!conv.grids.empty()) conv.bytes = conv.grids[0].product.bytes;
  PlacePanels(conv);
}

void PackIntConv(const IntConv& conv, const int8_t* filter, bool flip,
                 std::byte* packed, ThreadPool* pool) {
  const size_t channels = conv.in_c / conv.groups;
  const size_t column = conv.kernel_h * conv.kernel_w * channels;
  for (const ConvGrid& grid : conv.grids) {
    for (size_t group = 0; group < conv.groups; ++group) {
      WeightSource source;
      source.data = filter + group * grid.product.n * column;
      source.taps = grid.taps;
      source.per_tap = channels;
      source.n_stride = column;
      source.flip = flip;
      PackPanels(grid.product, source, 0, PanelCount(grid.product),
                 packed + grid.packed_at + group * PackedBytes(grid.product),
                 pool);
    }
  }
}

size_t CenteredScratchBytes(bool dynamic, Integer type, size_t images,
                            size_t n) {
  if (!dynamic && type == Integer::kInt16) return 0;
  return RoundUp(images * n * sizeof(int16_t), kCacheLine) +
         (dynamic ? RoundUp(images * sizeof(float), kCacheLine) : 0);
}

Centered CenterImages(const QuantizedKernels& kernels, bool dynamic,
                      bool asymmetric, Integer type, int32_t zero,
                      const void* x, size_t images, size_t n, ThreadPool& pool,
                      std::byte* scratch) {
  // 16-bit numbers have zero point 0.
  if (!dynamic && type == Integer::kInt16) {
    return {static_cast<const int16_t*>(x), nullptr};
  }
  int16_t* to = reinterpret_cast<int16_t*>(scratch);
  if (dynamic) {
    float* scales = reinterpret_cast<float*>(
        scratch + RoundUp(images * n * sizeof(int16_t), kCacheLine));
    QuantizeImages(kernels, static_cast<const float*>(x), images, n, asymmetric,
                   to, scales, pool);
    return {to, scales};
  }
  constexpr size_t kPerJob = 1 << 15;
  const size_t all = images * n;
  pool.Run((all + kPerJob - 1) / kPerJob, [&](size_t job, size_t) {
    const size_t first = job * kPerJob;
    kernels.center(type,
                   static_cast<const std::byte*>(x) + first * BytesOf(type),
                   std::min(kPerJob, all - first), zero, to + first);
  });
  return {to, nullptr};
}

size_t IntConvScratchBytes(const IntConv& conv) {
  const Layout layout = LayoutOf(conv);
  return layout.image_bytes + conv.threads * layout.job_bytes;
}

void RunIntConv(const IntConv& conv, const Output& output, const void* x,
                const std::byte* packed, ThreadPool& pool, std::byte* scratch,
                StopToken stop) {
  const Layout layout = LayoutOf(conv);
  const Images images = ImagesOf(conv, x, pool, scratch);
  std::byte* jobs = scratch + layout.image_bytes;
  const size_t channels = conv.in_c / conv.groups;
  const size_t image_size = ImageSize(conv);
  const QuantizedKernels& kernels = *conv.kernels;

  for (const ConvGrid& grid : conv.grids) {
    const Product& product = grid.product;
    const bool direct = IsDirect(conv, grid);
    const size_t rows = conv.batch * grid.h.count * grid.w.count;
    const size_t tiles = (rows + kTileRows - 1) / kTileRows;
    const size_t k = product.padded_k();
    pool.Run(tiles * conv.groups, [&](size_t job, size_t thread) {
      if (Stopped(stop)) return;
      std::byte* own = jobs + thread * layout.job_bytes;
      std::byte* gathered =
          own + RoundUp(TileScratchBytes(kernels), kCacheLine);
      const size_t group = job / tiles;
      const size_t first = job % tiles * kTileRows;
      std::array<size_t, kTileRows> at;
      std::array<float, kTileRows> scales;
      std::array<int32_t, kTileRows> zeros, starts;
      RowTile tile;
      tile.rows = std::min(kTileRows, rows - first);
      tile.a_stride = k;
      const std::optional<size_t> inside =
          direct ? first * k : PlaceInImage(conv, grid, images, first, tile);
      if (images.words) {
        tile.a = inside ? images.words + *inside
                        : reinterpret_cast<int16_t*>(gathered);
      } else {
        tile.bytes = inside ? images.bytes + *inside
                            : reinterpret_cast<int8_t*>(gathered);
      }
      bool zero = false;
      for (size_t i = 0; i < tile.rows; ++i) {
        const size_t row = first + i;
        const size_t qw = row % grid.w.count;
        const size_t qh = row / grid.w.count % grid.h.count;
        const size_t image = row / (grid.w.count * grid.h.count);
        const size_t oh = grid.h.first_out + qh * grid.h.out_step;
        const size_t ow = grid.w.first_out + qw * grid.w.out_step;
        at[i] = ((image * conv.out_h + oh) * conv.out_w + ow) * conv.out_c +
                group * product.n;
        if (images.scales) scales[i] = images.scales[image];
        if (images.ranges) scales[i] = images.ranges[image].scale;
        zeros[i] = images.ZeroOf(image);
        zero = zero || zeros[i] != 0;
        const size_t from = image * image_size + group * channels;
        if (!inside && images.words) {
          GatherRow(conv, grid, qh, qw, images.words + from, int16_t{0},
                    int16_t{0}, reinterpret_cast<int16_t*>(gathered) + i * k);
        } else if (!inside) {
          GatherRow(conv, grid, qh, qw, images.bytes + from,
                    static_cast<int8_t>(zeros[i]), images.sign,
                    reinterpret_cast<int8_t*>(gathered) + i * k);
        }
        if (tile.bytes) {
          starts[i] = StartOf(
              product, kernels.sum_bytes(tile.bytes + i * tile.a_stride, k));
        }
      }
      tile.starts = starts.data();
      if (zero) tile.zeros = zeros.data();
      tile.at = at.data();
      if (conv.dynamic) tile.row_scales = scales.data();
      // Columns of Output are the whole layer's; this group's come first here.
      Output part = output;
      const size_t column = group * product.n;
      if (part.multiplier) {
        part.multiplier += column;
        part.shift += column;
      }
      if (part.scales) part.scales += column;
      if (part.bias) {
        part.bias = static_cast<const std::byte*>(part.bias) +
                    column * (part.wide_bias ? 8 : 4);
      }
      RunTile(product, part, tile, 0, PanelCount(product),
              packed + grid.packed_at + group * PackedBytes(product), own);
    });
  }
}

}  // namespace lathe::kernels
