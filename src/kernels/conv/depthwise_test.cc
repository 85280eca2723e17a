#include "src/kernels/conv/depthwise.h"

#include <vector>

#include "gtest/gtest.h"
#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

TEST(Depthwise, MatchesTheDefinitionForAnyMultiplierStrideAndDilation) {
  for (const size_t multiplier : {1, 3}) {
    for (const size_t stride : {1, 2}) {
      SCOPED_TRACE(testing::Message() << multiplier << ", " << stride);
      ConvShape s;
      s.batch = 2;
      s.in_h = 7;
      s.in_w = 9;
      s.in_c = s.groups = 5;
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
      const auto residual =
          RandomFloats(s.batch * s.out_h * s.out_w * s.out_c, 4);
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
            want.push_back(std::max(sum, 0.0) + residual[want.size()]);
          }
        }
      }
      for (const int threads : {1, 2, 3}) {
        ThreadPool pool(threads);
        Fenced y(want.size());
        Fenced scratch(DepthwiseScratchFloats(s, pool.threads()));
        DepthwiseArgs args;
        args.x = x.data();
        args.filter = filter.data();
        args.bias = bias.data();
        args.residual = residual.data();
        args.y = y.data();
        args.activation = Activation::kRelu;
        RunDepthwise(s, args, pool, scratch.data(), nullptr);
        ExpectNear(y.Values(), want, 1e-6);
        EXPECT_TRUE(y.FencesHold() && scratch.FencesHold());
      }
    }
  }
}

}  // namespace
}  // namespace lathe::kernels
