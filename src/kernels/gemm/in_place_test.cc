// A residual that lies where the result goes, with sums long enough to be
// parked there between passes.

#include <cstring>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "src/kernels/conv/conv.h"
#include "src/kernels/gemm/gemm.h"
#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

class InPlace : public testing::TestWithParam<GemmKernel> {
 protected:
  void SetUp() override {
    if (!CpuHas(GetParam().isa)) GTEST_SKIP() << "this CPU lacks the ISA";
  }
};

TEST_P(InPlace, AResidualGivesTheBitsOfOneThatLiesElsewhere) {
  const GemmKernel& kernel = GetParam();
  for (const size_t k : {5, 1000, 1025, 4096, 9001}) {
    const PanelShape shape{kernel.width + 3u, 1, k};
    Gemm gemm;
    gemm.m = 15;
    gemm.n = shape.n;
    gemm.k = k;
    gemm.a_stride = k;
    gemm.c_stride = gemm.residual_stride = shape.n;
    const auto a = RandomFloats(gemm.m * k, 1);
    const auto b = RandomFloats(k * gemm.n, 2);
    const auto residual = RandomFloats(gemm.m * gemm.n, 3);
    std::vector<float> packed(PackedFloats(kernel, shape));
    PackPanels(kernel, shape, b.data(), 0, gemm.n, 1, packed.data());
    gemm.a = a.data();
    gemm.packed = packed.data();

    std::vector<float> apart(gemm.m * gemm.n), in_place = residual;
    ThreadPool pool(2);
    gemm.residual = residual.data();
    gemm.c = apart.data();
    RunGemm(kernel, gemm, pool);
    gemm.residual = in_place.data();
    gemm.c = in_place.data();
    RunGemm(kernel, gemm, pool);
    EXPECT_EQ(in_place, apart) << "k=" << k;
  }
}

TEST_P(InPlace, SplitsSumSaysWhenASumIsParked) {
  const GemmKernel& kernel = GetParam();
  EXPECT_FALSE(SplitsSum(kernel, {kernel.width, 1, 16}));
  EXPECT_TRUE(SplitsSum(kernel, {kernel.width, 1, 1 << 20}));
  EXPECT_TRUE(SplitsSum(kernel, {kernel.width, 1 << 10, 1 << 10}));
}

TEST_P(InPlace, AResidualOfAConvolutionGivesTheSameBits) {
  for (const size_t kernel_h : {1, 3}) {
    ConvShape s;
    s.in_h = s.out_h = 3;
    if (kernel_h == 1) s.in_h = s.out_h = 1;
    s.in_w = s.out_w = 9;
    s.in_c = 700;
    s.out_c = 70;
    s.kernel_h = kernel_h;
    s.kernel_w = 3;
    s.pad_top = kernel_h / 2;
    s.pad_left = 1;
    const ConvPlan plan = PlanConv(GetParam().isa, s, false, 2);
    const auto x = RandomFloats(s.in_h * s.in_w * s.in_c, 1);
    const auto filter =
        RandomFloats(s.out_c * s.kernel_h * s.kernel_w * s.in_c, 2);
    const auto residual = RandomFloats(s.out_h * s.out_w * s.out_c, 3);
    std::vector<float> packed(PackedConvFloats(plan));
    PackConv(plan, filter.data(), packed.data());
    std::vector<float> scratch(plan.scratch_floats);
    std::vector<float> apart(residual.size()), in_place = residual;
    ThreadPool pool(2);
    ConvArgs args;
    args.x = x.data();
    args.packed = packed.data();
    args.residual = residual.data();
    args.y = apart.data();
    RunConv(plan, args, pool, scratch.data(), nullptr);
    args.residual = args.y = in_place.data();
    RunConv(plan, args, pool, scratch.data(), nullptr);
    EXPECT_EQ(in_place, apart) << "height " << kernel_h;
  }
}

INSTANTIATE_TEST_SUITE_P(AllKernels, InPlace,
                         testing::ValuesIn(GemmKernels().begin(),
                                           GemmKernels().end()),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace lathe::kernels
