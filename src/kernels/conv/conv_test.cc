// Each variant at each ISA level against the definition in double.

#include "src/kernels/conv/conv.h"

#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

struct Case {
  std::string name;
  ConvShape shape;
  ConvVariant variant;  // The one it is chosen to test.
};

// A height-1 shape with SAME-like padding in front.
ConvShape Flat(size_t batch, size_t in_w, size_t in_c, size_t out_c, size_t k,
               size_t stride = 1, size_t dilation = 1) {
  ConvShape s;
  s.batch = batch;
  s.in_w = in_w;
  s.in_c = in_c;
  s.out_c = out_c;
  s.kernel_w = k;
  s.stride_w = stride;
  s.dilation_w = dilation;
  s.pad_left = (k - 1) * dilation / 2;
  s.out_w = (in_w + stride - 1) / stride;
  return s;
}

ConvShape Square(size_t in, size_t in_c, size_t out_c, size_t k, size_t stride,
                 size_t dilation, size_t groups) {
  ConvShape s;
  s.batch = 2;
  s.in_h = in;
  s.in_w = in + 3;
  s.in_c = in_c;
  s.out_c = out_c;
  s.kernel_h = k;
  s.kernel_w = k + 1;
  s.stride_h = stride;
  s.stride_w = stride;
  s.dilation_h = dilation;
  s.dilation_w = 1;
  s.pad_top = 1;
  s.pad_left = 2;
  s.groups = groups;
  s.out_h = (s.in_h + stride - 1) / stride;
  s.out_w = (s.in_w + stride - 1) / stride;
  return s;
}

std::vector<Case> Cases() {
  return {
      {"pointwise", Flat(2, 37, 19, 70, 1), ConvVariant::kGemm},
      {"seven_taps", Flat(1, 401, 24, 65, 7), ConvVariant::kRows},
      {"seven_taps_dilated_9", Flat(2, 230, 33, 16, 7, 1, 9),
       ConvVariant::kRows},
      {"shorter_than_the_kernel", Flat(1, 3, 17, 9, 7, 1, 3),
       ConvVariant::kRows},
      {"strided", Flat(1, 391, 20, 40, 8, 4), ConvVariant::kRows},
      {"two_channels_in", Flat(1, 900, 2, 40, 7), ConvVariant::kRows},
      {"two_channels_in_dilated", Flat(1, 90, 2, 40, 7, 1, 3),
       ConvVariant::kRows},
      {"many_channels", Flat(1, 130, 600, 10, 7), ConvVariant::kRows},
      {"two_channels_out", Flat(2, 405, 40, 2, 7), ConvVariant::kTapsAsColumns},
      {"one_channel_out_dilated", Flat(1, 50, 5, 1, 3, 1, 4),
       ConvVariant::kTapsAsColumns},
      {"square", Square(9, 5, 18, 3, 1, 1, 1), ConvVariant::kGather},
      {"square_strided_dilated", Square(12, 4, 6, 3, 2, 2, 1),
       ConvVariant::kGather},
      {"grouped", Square(7, 6, 8, 3, 1, 1, 2), ConvVariant::kGather},
      {"pointwise_strided", Square(8, 6, 8, 1, 2, 1, 1), ConvVariant::kGather},
  };
}

struct Data {
  std::vector<float> x, filter, bias, snake_a, snake_b, residual;

  explicit Data(const ConvShape& s)
      : x(RandomFloats(s.batch * s.in_h * s.in_w * s.in_c, 1)),
        filter(RandomFloats(
            s.out_c * s.kernel_h * s.kernel_w * s.in_c / s.groups, 2)),
        bias(RandomFloats(s.out_c, 3)),
        snake_a(RandomFloats(s.in_c, 4, 0.2f, 3)),
        snake_b(RandomFloats(s.in_c, 5, 0.2f, 1)),
        residual(RandomFloats(s.batch * s.out_h * s.out_w * s.out_c, 6)) {}
};

std::vector<double> Expected(const ConvShape& s, const Data& d, bool snake,
                             Clamp clamp) {
  std::vector<double> y;
  const size_t channels = s.in_c / s.groups;
  for (size_t n = 0; n < s.batch; ++n) {
    for (size_t oh = 0; oh < s.out_h; ++oh) {
      for (size_t ow = 0; ow < s.out_w; ++ow) {
        for (size_t o = 0; o < s.out_c; ++o) {
          double sum = d.bias[o];
          for (size_t kh = 0; kh < s.kernel_h; ++kh) {
            for (size_t kw = 0; kw < s.kernel_w; ++kw) {
              const size_t h = oh * s.stride_h + kh * s.dilation_h - s.pad_top;
              const size_t w = ow * s.stride_w + kw * s.dilation_w - s.pad_left;
              if (h >= s.in_h || w >= s.in_w) continue;
              for (size_t c = 0; c < channels; ++c) {
                const size_t from = c + o / (s.out_c / s.groups) * channels;
                double x = d.x[((n * s.in_h + h) * s.in_w + w) * s.in_c + from];
                if (snake) {
                  x += std::pow(std::sin(x * d.snake_a[from]), 2) *
                       d.snake_b[from];
                }
                sum += x * d.filter[((o * s.kernel_h + kh) * s.kernel_w + kw) *
                                        channels +
                                    c];
              }
            }
          }
          sum = std::min<double>(std::max<double>(sum, clamp.low), clamp.high);
          y.push_back(sum + d.residual[y.size()]);
        }
      }
    }
  }
  return y;
}

std::vector<float> Convolve(Isa isa, const ConvShape& s, const Data& d,
                            bool snake, int threads) {
  ThreadPool pool(threads);
  const ConvPlan plan = PlanConv(isa, s, snake, pool.threads());
  Fenced packed(PackedConvFloats(plan));
  PackConv(plan, d.filter.data(), packed.data());
  Fenced y(d.residual.size());
  Fenced scratch(plan.scratch_floats);
  ConvArgs args;
  args.x = d.x.data();
  args.packed = packed.data();
  args.bias = d.bias.data();
  args.snake_a = d.snake_a.data();
  args.snake_b = d.snake_b.data();
  args.residual = d.residual.data();
  args.y = y.data();
  args.activation = Activation::kReluN1To1;
  RunConv(plan, args, pool, scratch.data(), nullptr);
  EXPECT_TRUE(packed.FencesHold() && y.FencesHold() && scratch.FencesHold());
  return y.Values();
}

class ConvTest : public testing::TestWithParam<Case> {};

TEST_P(ConvTest, MatchesTheDefinitionOnEveryIsaAndThreadCount) {
  const ConvShape& s = GetParam().shape;
  const Data d(s);
  for (const bool snake : {false, true}) {
    const std::vector<double> want =
        Expected(s, d, snake, ClampOf(Activation::kReluN1To1));
    for (const Isa isa : IsasHere()) {
      SCOPED_TRACE(testing::Message() << Name(isa) << " snake " << snake);
      const ConvVariant variant = PlanConv(isa, s, snake, 1).variant;
      if (!snake) {
        EXPECT_EQ(variant, GetParam().variant) << Name(variant);
      }
      const std::vector<float> one = Convolve(isa, s, d, snake, 1);
      ExpectNear(one, want,
                 2 * SumBound(s.kernel_h * s.kernel_w * s.in_c / s.groups));
      EXPECT_EQ(Convolve(isa, s, d, snake, 2), one);
      EXPECT_EQ(Convolve(isa, s, d, snake, 3), one);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, ConvTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

TEST(ConvStop, EndsEarlyWithoutTouchingTheFences) {
  const ConvShape s = Flat(1, 5000, 16, 16, 7);
  const Data d(s);
  ThreadPool pool(2);
  const ConvPlan plan = PlanConv(BestIsa(), s, false, pool.threads());
  std::vector<float> packed(PackedConvFloats(plan));
  PackConv(plan, d.filter.data(), packed.data());
  Fenced y(d.residual.size());
  std::vector<float> scratch(plan.scratch_floats);
  ConvArgs args;
  args.x = d.x.data();
  args.packed = packed.data();
  args.y = y.data();
  const std::atomic<bool> stop = true;
  RunConv(plan, args, pool, scratch.data(), &stop);
  EXPECT_EQ(y.Values(), std::vector<float>(y.size(), Fenced::kUntouched));
}

}  // namespace
}  // namespace lathe::kernels
