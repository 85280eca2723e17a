#include "src/kernels/conv/conv3d.h"

#include <algorithm>

namespace lathe::kernels {
namespace {

void FillRow(size_t pixels, size_t channels, const float* bias, float* y) {
  if (bias == nullptr) return void(std::fill_n(y, pixels * channels, 0.0f));
  for (size_t i = 0; i < pixels; ++i) {
    std::copy_n(bias, channels, y + i * channels);
  }
}

void Limit(size_t n, Activation activation, float* y) {
  if (activation == Activation::kNone) return;
  const Clamp clamp = ClampOf(activation);
  for (size_t i = 0; i < n; ++i) {
    // A NaN stays one.
    const float v = y[i] < clamp.low ? clamp.low : y[i];
    y[i] = v > clamp.high ? clamp.high : v;
  }
}

// The input that tap `tap` of output `out` of a transposed axis meets; false
// if none.
bool SourceOf(const VolumeAxis& axis, size_t out, size_t tap, size_t& in) {
  const size_t at = out + axis.pad, reach = tap * axis.dilation;
  if (at < reach || (at - reach) % axis.stride != 0) return false;
  in = (at - reach) / axis.stride;
  return in < axis.in;
}

size_t TapFloats(const Conv3dShape& shape) {
  return shape.height.kernel * shape.width.kernel * shape.in_c * shape.out_c;
}

PanelShape RowPanels(const Conv3dShape& shape) {
  return {shape.width.kernel * shape.out_c, 1, shape.in_c};
}

}  // namespace

Conv3dPlan PlanConv3d(Isa limit, const Conv3dShape& shape, size_t threads) {
  ConvShape image;
  image.in_h = shape.height.in;
  image.in_w = shape.width.in;
  image.in_c = shape.in_c;
  image.out_h = shape.height.out;
  image.out_w = shape.width.out;
  image.out_c = shape.out_c;
  image.kernel_h = shape.height.kernel;
  image.kernel_w = shape.width.kernel;
  image.stride_h = shape.height.stride;
  image.stride_w = shape.width.stride;
  image.dilation_h = shape.height.dilation;
  image.dilation_w = shape.width.dilation;
  image.pad_top = shape.height.pad;
  image.pad_left = shape.width.pad;
  Conv3dPlan plan;
  plan.shape = shape;
  plan.image = PlanConv(limit, image, false, threads);
  plan.scratch_floats = plan.image.scratch_floats;
  return plan;
}

size_t PackedConv3dFloats(const Conv3dPlan& plan) {
  return plan.shape.depth.kernel * PackedConvFloats(plan.image);
}

size_t TurnedConv3dFloats(const Conv3dPlan& plan) {
  return TapFloats(plan.shape);
}

void PackConv3d(const Conv3dPlan& plan, const float* filter, float* turned,
                float* packed) {
  const Conv3dShape& shape = plan.shape;
  const size_t rows = TapFloats(shape) / std::max<size_t>(1, shape.out_c);
  for (size_t tap = 0; tap < shape.depth.kernel; ++tap) {
    for (size_t row = 0; row < rows; ++row) {
      for (size_t o = 0; o < shape.out_c; ++o) {
        turned[o * rows + row] = filter[row * shape.out_c + o];
      }
    }
    PackConv(plan.image, turned, packed);
    filter += TapFloats(shape);
    packed += PackedConvFloats(plan.image);
  }
}

void RunConv3d(const Conv3dPlan& plan, const ConvArgs& args, ThreadPool& pool,
               float* scratch, StopToken stop) {
  const Conv3dShape& shape = plan.shape;
  const VolumeAxis& depth = shape.depth;
  const size_t in_image = shape.height.in * shape.width.in * shape.in_c;
  const size_t pixels = shape.height.out * shape.width.out;
  for (size_t job = 0; job < shape.batch * depth.out; ++job) {
    const size_t n = job / depth.out, at = job % depth.out * depth.stride;
    ConvArgs image = args;
    image.activation = Activation::kNone;
    image.y = args.y + job * pixels * shape.out_c;
    bool begun = false;
    for (size_t tap = 0; tap < depth.kernel; ++tap) {
      const size_t place = at + tap * depth.dilation;
      if (place < depth.pad || place - depth.pad >= depth.in) continue;
      image.x = args.x + (n * depth.in + place - depth.pad) * in_image;
      image.packed = args.packed + tap * PackedConvFloats(plan.image);
      image.bias = begun ? nullptr : args.bias;
      image.residual = begun ? image.y : nullptr;
      RunConv(plan.image, image, pool, scratch, stop);
      begun = true;
    }
    if (!begun) FillRow(pixels, shape.out_c, args.bias, image.y);
    Limit(pixels * shape.out_c, args.activation, image.y);
  }
}

Transpose3dPlan PlanTranspose3d(Isa limit, const Conv3dShape& shape,
                                size_t threads) {
  Transpose3dPlan plan;
  plan.shape = shape;
  plan.gemm = &ChooseGemm(limit);
  plan.scratch_floats =
      threads * shape.width.in * shape.width.kernel * shape.out_c;
  return plan;
}

size_t PackedTranspose3dFloats(const Transpose3dPlan& plan) {
  return plan.shape.depth.kernel * plan.shape.height.kernel *
         PackedFloats(*plan.gemm, RowPanels(plan.shape));
}

void PackTranspose3d(const Transpose3dPlan& plan, const float* filter,
                     float* packed) {
  const Conv3dShape& shape = plan.shape;
  const PanelShape panels = RowPanels(shape);
  const size_t taps = shape.depth.kernel * shape.height.kernel;
  for (size_t tap = 0; tap < taps; ++tap) {
    PackPanels(*plan.gemm, panels, filter + tap * panels.n * panels.k, 0, 1,
               panels.k, packed + tap * PackedFloats(*plan.gemm, panels));
  }
}

void RunTranspose3d(const Transpose3dPlan& plan, const ConvArgs& args,
                    ThreadPool& pool, float* scratch, StopToken stop) {
  const Conv3dShape& shape = plan.shape;
  const VolumeAxis &depth = shape.depth, &height = shape.height,
                   &width = shape.width;
  const PanelShape panels = RowPanels(shape);
  const size_t packed_row = PackedFloats(*plan.gemm, panels);
  const size_t in_row = width.in * shape.in_c;
  const size_t out_row = width.out * shape.out_c;
  pool.Run(
      shape.batch * depth.out * height.out, [&](size_t job, size_t thread) {
        if (Stopped(stop)) return;
        const size_t h = job % height.out, d = job / height.out % depth.out;
        const size_t n = job / height.out / depth.out;
        float* to = args.y + job * out_row;
        float* products = scratch + thread * width.in * panels.n;
        FillRow(width.out, shape.out_c, args.bias, to);
        for (size_t i = 0; i < depth.kernel; ++i) {
          size_t from_d, from_h;
          if (!SourceOf(depth, d, i, from_d)) continue;
          for (size_t j = 0; j < height.kernel; ++j) {
            if (!SourceOf(height, h, j, from_h)) continue;
            Tile tile;
            tile.rows = width.in;
            tile.a = args.x +
                     ((n * depth.in + from_d) * height.in + from_h) * in_row;
            tile.a_stride = shape.in_c;
            tile.c = products;
            tile.c_stride = panels.n;
            RunPanels(*plan.gemm, panels,
                      args.packed + (i * height.kernel + j) * packed_row, tile);
            for (size_t w = 0; w < width.in; ++w) {
              for (size_t k = 0; k < width.kernel; ++k) {
                const size_t at = w * width.stride + k * width.dilation;
                if (at < width.pad || at - width.pad >= width.out) continue;
                float* y = to + (at - width.pad) * shape.out_c;
                const float* p = products + w * panels.n + k * shape.out_c;
                for (size_t o = 0; o < shape.out_c; ++o) y[o] += p[o];
              }
            }
          }
        }
        Limit(out_row, args.activation, to);
      });
}

}  // namespace lathe::kernels
