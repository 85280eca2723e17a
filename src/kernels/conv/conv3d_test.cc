// Volumes against the definition, dilated, strided and padded.

#include "src/kernels/conv/conv3d.h"

#include <vector>

#include "gtest/gtest.h"
#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

struct Indexed {
  size_t d, h, w;
  size_t At(size_t n, size_t i, size_t j, size_t k, size_t c,
            size_t channels) const {
    return (((n * d + i) * h + j) * w + k) * channels + c;
  }
};

// Calls use(n, out index, in index, tap index) wherever a forward convolution
// from `in` to `out` multiplies.
template <typename F>
void ForEachTap(const Conv3dShape& s, const VolumeAxis (&axes)[3],
                const F& use) {
  size_t size = 1;
  for (const VolumeAxis& a : axes) size *= a.out * a.kernel;
  for (size_t n = 0; n < s.batch; ++n) {
    for (size_t at = 0; at < size; ++at) {
      size_t rest = at, out[3], tap[3], in[3];
      bool inside = true;
      for (size_t i = 3; i-- > 0;) {
        const VolumeAxis& a = axes[i];
        out[i] = rest % a.out;
        rest /= a.out;
        tap[i] = rest % a.kernel;
        rest /= a.kernel;
        const size_t place = out[i] * a.stride + tap[i] * a.dilation;
        inside = inside && place >= a.pad && place - a.pad < a.in;
        in[i] = place - a.pad;
      }
      if (inside) use(n, out, in, tap);
    }
  }
}

Conv3dShape Shape(size_t in_c, size_t out_c) {
  Conv3dShape s;
  s.batch = 2;
  s.in_c = in_c;
  s.out_c = out_c;
  s.depth = {.in = 4, .out = 2, .kernel = 3, .stride = 2, .pad = 0};
  s.height = {.in = 5, .out = 5, .kernel = 3, .dilation = 2, .pad = 2};
  s.width = {.in = 6, .out = 3, .kernel = 2, .stride = 2, .pad = 0};
  s.depth.pad = 1;
  return s;
}

TEST(Conv3d, MatchesTheDefinition) {
  for (const auto [in_c, out_c] : {std::pair<size_t, size_t>{1, 1}, {3, 20}}) {
    const Conv3dShape s = Shape(in_c, out_c);
    const VolumeAxis axes[] = {s.depth, s.height, s.width};
    const Indexed in{4, 5, 6}, out{2, 5, 3}, taps{3, 3, 2};
    const auto x = RandomFloats(2 * 4 * 5 * 6 * in_c, 1);
    const auto w = RandomFloats(18 * in_c * out_c, 2);
    const auto bias = RandomFloats(out_c, 3);
    std::vector<double> want;
    for (size_t i = 0; i < 2 * 30; ++i) {
      want.insert(want.end(), bias.begin(), bias.end());
    }
    ForEachTap(s, axes, [&](size_t n, size_t* o, size_t* i, size_t* t) {
      for (size_t a = 0; a < out_c; ++a) {
        for (size_t c = 0; c < in_c; ++c) {
          want[out.At(n, o[0], o[1], o[2], a, out_c)] +=
              double{x[in.At(n, i[0], i[1], i[2], c, in_c)]} *
              w[taps.At(0, t[0], t[1], t[2], c * out_c + a, in_c * out_c)];
        }
      }
    });
    for (double& v : want) v = std::max(v, 0.0);
    for (const Isa isa : IsasHere()) {
      for (const size_t threads : {1, 2}) {
        SCOPED_TRACE(testing::Message() << Name(isa) << " " << in_c);
        ThreadPool pool(static_cast<int>(threads));
        const Conv3dPlan plan = PlanConv3d(isa, s, threads);
        std::vector<float> packed(PackedConv3dFloats(plan));
        std::vector<float> turned(TurnedConv3dFloats(plan));
        std::vector<float> scratch(plan.scratch_floats);
        PackConv3d(plan, w.data(), turned.data(), packed.data());
        Fenced y(want.size());
        ConvArgs args;
        args.x = x.data();
        args.packed = packed.data();
        args.bias = bias.data();
        args.y = y.data();
        args.activation = Activation::kRelu;
        RunConv3d(plan, args, pool, scratch.data(), nullptr);
        EXPECT_TRUE(y.FencesHold());
        ExpectNear(y.Values(), want, SumBound(18 * in_c));
      }
    }
  }
}

TEST(Transpose3d, MatchesTheDefinition) {
  for (const auto [in_c, out_c] : {std::pair<size_t, size_t>{1, 1}, {5, 7}}) {
    // The forward convolution of which it is the way back.
    const Conv3dShape forward = Shape(out_c, in_c);
    const VolumeAxis axes[] = {forward.depth, forward.height, forward.width};
    Conv3dShape s = forward;
    std::swap(s.in_c, s.out_c);
    for (VolumeAxis* axis : {&s.depth, &s.height, &s.width}) {
      std::swap(axis->in, axis->out);
    }
    const Indexed in{2, 5, 3}, out{4, 5, 6}, taps{3, 3, 2};
    const auto x = RandomFloats(2 * 30 * in_c, 4);
    const auto w = RandomFloats(18 * in_c * out_c, 5);
    std::vector<double> want(2 * 120 * out_c, 0);
    ForEachTap(forward, axes, [&](size_t n, size_t* i, size_t* o, size_t* t) {
      for (size_t a = 0; a < out_c; ++a) {
        for (size_t c = 0; c < in_c; ++c) {
          want[out.At(n, o[0], o[1], o[2], a, out_c)] +=
              double{x[in.At(n, i[0], i[1], i[2], c, in_c)]} *
              w[taps.At(0, t[0], t[1], t[2], a * in_c + c, in_c * out_c)];
        }
      }
    });
    for (const Isa isa : IsasHere()) {
      for (const size_t threads : {1, 3}) {
        SCOPED_TRACE(testing::Message() << Name(isa) << " " << in_c);
        ThreadPool pool(static_cast<int>(threads));
        const Transpose3dPlan plan = PlanTranspose3d(isa, s, threads);
        std::vector<float> packed(PackedTranspose3dFloats(plan));
        std::vector<float> scratch(plan.scratch_floats);
        PackTranspose3d(plan, w.data(), packed.data());
        Fenced y(want.size());
        ConvArgs args;
        args.x = x.data();
        args.packed = packed.data();
        args.y = y.data();
        RunTranspose3d(plan, args, pool, scratch.data(), nullptr);
        EXPECT_TRUE(y.FencesHold());
        ExpectNear(y.Values(), want, SumBound(18 * in_c));
      }
    }
  }
}

}  // namespace
}  // namespace lathe::kernels
