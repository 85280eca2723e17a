// The polyphase form against scattering in double.

#include "src/kernels/conv/transpose_conv.h"

#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

struct Case {
  std::string name;
  TransposeConvShape shape;
};

TransposeConvShape Flat(size_t batch, size_t in_w, size_t in_c, size_t out_c,
                        size_t k, size_t stride, size_t pad, size_t out_w) {
  TransposeConvShape s;
  s.batch = batch;
  s.in_w = in_w;
  s.in_c = in_c;
  s.out_w = out_w;
  s.out_c = out_c;
  s.kernel_w = k;
  s.stride_w = stride;
  s.pad_left = pad;
  return s;
}

TransposeConvShape Square(size_t k, size_t stride, size_t pad, size_t out_h) {
  TransposeConvShape s = Flat(2, 6, 5, 7, k + 1, stride, pad, 6 * stride);
  s.in_h = 4;
  s.out_h = out_h;
  s.kernel_h = k;
  s.stride_h = stride;
  s.pad_top = pad;
  return s;
}

std::vector<Case> Cases() {
  return {
      {"kernel_twice_the_stride", Flat(1, 60, 24, 20, 8, 4, 2, 240)},
      {"batch_and_odd_stride", Flat(2, 31, 20, 6, 10, 5, 2, 155)},
      {"stride_1", Flat(1, 50, 9, 4, 3, 1, 1, 50)},
      {"kernel_no_multiple_of_the_stride", Flat(1, 20, 6, 5, 7, 3, 2, 60)},
      {"kernel_below_the_stride", Flat(1, 20, 6, 5, 2, 4, 0, 80)},
      {"no_padding", Flat(1, 11, 18, 3, 4, 2, 0, 24)},
      {"padding_above_the_stride", Flat(1, 12, 4, 3, 9, 2, 4, 23)},
      {"one_output", Flat(1, 1, 4, 3, 5, 2, 2, 1)},
      {"output_beyond_the_reach", Flat(1, 3, 4, 3, 2, 2, 0, 15)},
      {"many_columns", Flat(1, 40, 48, 96, 16, 8, 4, 320)},
      {"square", Square(3, 2, 1, 8)},
      {"square_stride_above_the_kernel", Square(2, 3, 0, 12)},
      {"square_stride_1", Square(4, 1, 1, 5)},
  };
}

class TransposeConvTest : public testing::TestWithParam<Case> {};

TEST_P(TransposeConvTest, MatchesTheDefinitionOnEveryIsaAndThreadCount) {
  const TransposeConvShape& s = GetParam().shape;
  const auto x = RandomFloats(s.batch * s.in_h * s.in_w * s.in_c, 1);
  const auto filter =
      RandomFloats(s.out_c * s.kernel_h * s.kernel_w * s.in_c, 2);
  const auto bias = RandomFloats(s.out_c, 3);
  const auto snake_a = RandomFloats(s.in_c, 4, 0.2f, 3);
  const auto snake_b = RandomFloats(s.in_c, 5, 0.2f, 1);

  for (const bool snake : {false, true}) {
    std::vector<double> want(s.batch * s.out_h * s.out_w * s.out_c);
    for (size_t i = 0; i < want.size(); ++i) want[i] = bias[i % s.out_c];
    for (size_t row = 0; row < s.batch * s.in_h; ++row) {
      for (size_t iw = 0; iw < s.in_w; ++iw) {
        for (size_t c = 0; c < s.in_c; ++c) {
          double value = x[(row * s.in_w + iw) * s.in_c + c];
          if (snake) {
            value += std::pow(std::sin(value * snake_a[c]), 2) * snake_b[c];
          }
          for (size_t kh = 0; kh < s.kernel_h; ++kh) {
            for (size_t kw = 0; kw < s.kernel_w; ++kw) {
              const size_t oh = row % s.in_h * s.stride_h + kh - s.pad_top;
              const size_t ow = iw * s.stride_w + kw - s.pad_left;
              if (oh >= s.out_h || ow >= s.out_w) continue;
              const size_t out = (row / s.in_h * s.out_h + oh) * s.out_w + ow;
              for (size_t o = 0; o < s.out_c; ++o) {
                want[out * s.out_c + o] +=
                    value *
                    filter[((o * s.kernel_h + kh) * s.kernel_w + kw) * s.in_c +
                           c];
              }
            }
          }
        }
      }
    }
    const Clamp clamp = ClampOf(Activation::kReluN1To1);
    for (double& v : want) {
      v = std::min<double>(std::max<double>(v, clamp.low), clamp.high);
    }

    for (const Isa isa : IsasHere()) {
      std::vector<float> first;
      for (const int threads : {1, 2, 3}) {
        SCOPED_TRACE(testing::Message() << Name(isa) << ", snake " << snake
                                        << ", threads " << threads);
        ThreadPool pool(threads);
        const TransposeConvPlan plan =
            PlanTransposeConv(isa, s, snake, pool.threads());
        Fenced packed(PackedTransposeConvFloats(plan));
        PackTransposeConv(plan, filter.data(), packed.data());
        Fenced y(want.size());
        Fenced scratch(plan.scratch_floats);
        ConvArgs args;
        args.x = x.data();
        args.packed = packed.data();
        args.bias = bias.data();
        args.snake_a = snake_a.data();
        args.snake_b = snake_b.data();
        args.y = y.data();
        args.activation = Activation::kReluN1To1;
        RunTransposeConv(plan, args, pool, scratch.data(), nullptr);
        EXPECT_TRUE(packed.FencesHold() && y.FencesHold() &&
                    scratch.FencesHold());
        ExpectNear(y.Values(), want,
                   2 * SumBound(s.kernel_h * s.kernel_w * s.in_c));
        if (threads == 1) first = y.Values();
        EXPECT_EQ(y.Values(), first);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, TransposeConvTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace lathe::kernels
