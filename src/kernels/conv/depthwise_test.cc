#include "src/kernels/conv/depthwise.h"

#include <vector>

#include "gtest/gtest.h"
#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

struct Sizes {
  size_t channels, multiplier, stride;
};

class Depthwise : public testing::TestWithParam<Isa> {};

TEST_P(Depthwise, MatchesTheDefinitionForAnyMultiplierStrideAndDilation) {
  if (!CpuHas(GetParam())) GTEST_SKIP() << "this CPU has no such level";
  const DepthwiseKernels& kernels = ChooseDepthwise(GetParam());
  for (const Sizes& sizes : std::vector<Sizes>{{5, 1, 1},
                                               {5, 3, 2},
                                               {1, 8, 2},
                                               {2, 17, 1},
                                               {3, 1, 2},
                                               {4, 1, 1},
                                               {8, 1, 1},
                                               {15, 1, 1},
                                               {16, 1, 2},
                                               {17, 1, 1},
                                               {63, 1, 1},
                                               {64, 1, 1},
                                               {81, 1, 1}}) {
    SCOPED_TRACE(testing::Message()
                 << sizes.channels << " channels, " << sizes.multiplier << ", "
                 << sizes.stride);
    const size_t multiplier = sizes.multiplier, stride = sizes.stride;
    ConvShape s;
    s.batch = 2;
    s.in_h = 7;
    s.in_w = 9;
    s.in_c = s.groups = sizes.channels;
    s.out_c = s.in_c * multiplier;
    s.kernel_h = 3;
    s.kernel_w = 2;
    s.stride_h = s.stride_w = stride;
    s.dilation_h = 2;
    s.pad_top = 2;
    s.pad_left = 1;
    s.out_h = (s.in_h + stride - 1) / stride;
    s.out_w = (s.in_w + stride - 1) / stride;
    const auto x = RandomFloats(s.batch * s.in_h * s.in_w * s.in_c, 1);
    const auto filter = RandomFloats(s.kernel_h * s.kernel_w * s.out_c, 2);
    const auto bias = RandomFloats(s.out_c, 3);
    std::vector<double> want;
    for (size_t row = 0; row < s.batch * s.out_h; ++row) {
      for (size_t ow = 0; ow < s.out_w; ++ow) {
        for (size_t o = 0; o < s.out_c; ++o) {
          double sum = bias[o];
          for (size_t kh = 0; kh < s.kernel_h; ++kh) {
            for (size_t kw = 0; kw < s.kernel_w; ++kw) {
              const size_t h = row % s.out_h * stride + kh * 2 - s.pad_top;
              const size_t w = ow * stride + kw - s.pad_left;
              if (h >= s.in_h || w >= s.in_w) continue;
              const size_t at = (row / s.out_h * s.in_h + h) * s.in_w + w;
              sum += x[at * s.in_c + o / multiplier] *
                     filter[(kh * s.kernel_w + kw) * s.out_c + o];
            }
          }
          want.push_back(std::max(sum, 0.0));
        }
      }
    }
    for (const int threads : {1, 2, 3}) {
      ThreadPool pool(threads);
      Fenced y(want.size());
      Fenced scratch(DepthwiseScratchBytes(s, pool.threads()) / sizeof(float));
      DepthwiseArgs args;
      args.x = x.data();
      args.filter = filter.data();
      args.bias = bias.data();
      args.y = y.data();
      args.activation = Activation::kRelu;
      RunDepthwise(kernels, s, args, pool,
                   reinterpret_cast<std::byte*>(scratch.data()), nullptr);
      ExpectNear(y.Values(), want, 1e-6);
      EXPECT_TRUE(y.FencesHold() && scratch.FencesHold());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Depthwise,
                         testing::Values(Isa::kScalar, Isa::kNeon, Isa::kAvx2,
                                         Isa::kAvx512));

// A dilation that jumps over the image, and padding wider than it.
TEST(TapLists, LeaveOutWhatLiesOutside) {
  ConvShape s;
  s.in_h = s.in_w = 2;
  s.in_c = s.out_c = 1;
  s.kernel_h = s.kernel_w = 3;
  s.dilation_h = s.dilation_w = 5;
  s.pad_top = s.pad_left = 6;
  std::vector<size_t> words(TapLists::Words(s));
  TapLists lists(s, words.data());
  ptrdiff_t origin = 0;
  EXPECT_EQ(lists.At(0, 0, &origin).count, 0u);  // Taps at -6, -1, 4.
  EXPECT_EQ(lists.At(1, 1, &origin).count, 1u);  // At -5, 0, 5.
  const Taps one = lists.At(1, 1, &origin);
  EXPECT_EQ(origin + static_cast<ptrdiff_t>(one.in[0]), 0);
  EXPECT_EQ(one.filter[0], 4u);
}

}  // namespace
}  // namespace lathe::kernels
