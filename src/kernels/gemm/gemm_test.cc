// Every kernel of the table against the definition in double.

#include "src/kernels/gemm/gemm.h"

#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "src/base/half.h"
#include "src/kernels/gemm/half.h"
#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

class GemmTest : public testing::TestWithParam<GemmKernel> {
 protected:
  void SetUp() override {
    if (!CpuHas(GetParam().isa)) GTEST_SKIP() << "this CPU lacks the ISA";
  }
};

struct Problem {
  size_t m, n, k;
  std::vector<float> a, w, bias, residual;  // w is [n, k].

  Problem(size_t m_in, size_t n_in, size_t k_in)
      : m(m_in),
        n(n_in),
        k(k_in),
        a(RandomFloats(m * k, 1)),
        w(RandomFloats(n * k, 2)),
        bias(RandomFloats(n, 3)),
        residual(RandomFloats(m * n, 4)) {}

  std::vector<double> Expected(Clamp clamp, bool with_residual) const {
    std::vector<double> c(m * n);
    for (size_t i = 0; i < m; ++i) {
      for (size_t j = 0; j < n; ++j) {
        double sum = bias[j];
        for (size_t p = 0; p < k; ++p) {
          sum += static_cast<double>(a[i * k + p]) * w[j * k + p];
        }
        sum = std::min<double>(std::max<double>(sum, clamp.low), clamp.high);
        c[i * n + j] = sum + (with_residual ? residual[i * n + j] : 0.0);
      }
    }
    return c;
  }

  std::vector<float> Pack(const GemmKernel& kernel) const {
    std::vector<float> packed(PackedFloats(kernel, {n, 1, k}));
    PackPanels(kernel, {n, 1, k}, w.data(), 0, 1, k, packed.data());
    return packed;
  }

  Gemm Arguments(const std::vector<float>& packed, float* c) const {
    Gemm gemm;
    gemm.m = m;
    gemm.n = n;
    gemm.k = k;
    gemm.a = a.data();
    gemm.a_stride = k;
    gemm.packed = packed.data();
    gemm.c = c;
    gemm.c_stride = n;
    gemm.bias = bias.data();
    return gemm;
  }
};

TEST_P(GemmTest, MatchesTheDefinitionAtEveryTileEdge) {
  ThreadPool pool(2);
  for (const size_t m : {1, 2, 5, 6, 7, 12, 13, 17, 65}) {
    for (const size_t n : {1, 2, 15, 16, 17, 33, 48, 63, 64, 65, 130}) {
      for (const size_t k : {1, 3, 16, 61}) {
        SCOPED_TRACE(testing::Message() << m << " x " << n << " x " << k);
        const Problem x(m, n, k);
        const std::vector<float> packed = x.Pack(GetParam());
        Fenced c(m * n);
        Gemm gemm = x.Arguments(packed, c.data());
        gemm.residual = x.residual.data();
        gemm.residual_stride = n;
        gemm.activation = Activation::kRelu6;
        RunGemm(GetParam(), gemm, pool);
        ExpectNear(c.Values(), x.Expected(ClampOf(Activation::kRelu6), true),
                   SumBound(k));
        EXPECT_TRUE(c.FencesHold());
      }
    }
  }
}

TEST_P(GemmTest, LongSumsAreTheSameForAnyThreadsAndAnySplitOfRows) {
  const Problem x(270, 70, 5000);
  const std::vector<float> packed = x.Pack(GetParam());
  std::vector<float> first;
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    std::vector<float> c(x.m * x.n);
    RunGemm(GetParam(), x.Arguments(packed, c.data()), pool);
    if (threads == 1) {
      first = c;
      ExpectNear(c, x.Expected({}, false), SumBound(x.k));
    }
    EXPECT_EQ(c, first) << threads << " threads";
  }
  ThreadPool pool(1);
  std::vector<float> rows(x.m * x.n);
  for (size_t i = 0; i < x.m; ++i) {
    Gemm gemm = x.Arguments(packed, rows.data() + i * x.n);
    gemm.m = 1;
    gemm.a += i * x.k;
    RunGemm(GetParam(), gemm, pool);
  }
  EXPECT_EQ(rows, first) << "row by row";
}

// Long sums need several pieces, for few rows and for many.
TEST_P(GemmTest, HalfWeightsGiveTheBitsOfTheSameFloats) {
  for (const size_t m : {1, 16, 17}) {
    for (const size_t n : {1, 16, 63, 65, 130}) {
      for (const size_t k : {0, 1, 64, 65, 3000}) {
        SCOPED_TRACE(testing::Message() << m << " x " << n << " x " << k);
        Problem x(m, n, k);
        for (float& w : x.w) w = HalfToFloat(FloatToHalf(w * 1e-3f));
        const std::vector<float> packed = x.Pack(GetParam());
        std::vector<uint16_t> halves(packed.size());
        PackHalfPanels(GetParam(), {n, 1, k}, x.w.data(), 1, k, halves.data());
        std::vector<float> want(m * n);
        ThreadPool pool(2);
        Gemm gemm = x.Arguments(packed, want.data());
        gemm.residual = x.residual.data();
        gemm.residual_stride = n;
        gemm.activation = Activation::kRelu;
        RunGemm(GetParam(), gemm, pool);
        Fenced c(m * n);
        std::vector<float> scratch(2 * kHalfScratchFloats);
        gemm.packed = nullptr;
        gemm.halves = halves.data();
        gemm.c = c.data();
        RunGemm(GetParam(), gemm, pool, scratch.data());
        for (size_t i = 0; i < m * n; ++i) ASSERT_EQ(c.data()[i], want[i]) << i;
        EXPECT_TRUE(c.FencesHold());
      }
    }
  }
}

TEST_P(GemmTest, WidensEveryHalfExactly) {
  std::vector<uint16_t> halves(1 << 16);
  for (size_t i = 0; i < halves.size(); ++i) {
    halves[i] = static_cast<uint16_t>(i);
  }
  std::vector<float> floats(halves.size());
  GetParam().widen(halves.data(), halves.size(), floats.data());
  for (size_t i = 0; i < halves.size(); ++i) {
    const float want = HalfToFloat(halves[i]);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(floats[i])) << i;
    } else {
      ASSERT_EQ(std::bit_cast<uint32_t>(floats[i]),
                std::bit_cast<uint32_t>(want))
          << i;
    }
  }
}

TEST_P(GemmTest, ResultMayBeTheResidualItself) {
  const Problem x(20, 40, 9);
  const std::vector<float> packed = x.Pack(GetParam());
  std::vector<float> c = x.residual;
  Gemm gemm = x.Arguments(packed, c.data());
  gemm.residual = c.data();
  gemm.residual_stride = x.n;
  ThreadPool pool(1);
  RunGemm(GetParam(), gemm, pool);
  ExpectNear(c, x.Expected({}, true), SumBound(x.k));
}

TEST_P(GemmTest, ASumOfNothingIsTheBias) {
  const Problem x(3, 20, 0);
  const std::vector<float> packed = x.Pack(GetParam());
  std::vector<float> c(x.m * x.n);
  ThreadPool pool(1);
  RunGemm(GetParam(), x.Arguments(packed, c.data()), pool);
  ExpectNear(c, x.Expected({}, false), 0);
}

TEST_P(GemmTest, KeepsNotANumber) {
  Problem x(2, 3, 4);
  x.a[1] = NAN;
  const std::vector<float> packed = x.Pack(GetParam());
  std::vector<float> c(x.m * x.n);
  Gemm gemm = x.Arguments(packed, c.data());
  gemm.activation = Activation::kRelu;
  ThreadPool pool(1);
  RunGemm(GetParam(), gemm, pool);
  for (size_t j = 0; j < x.n; ++j) {
    EXPECT_TRUE(std::isnan(c[j]));
    EXPECT_FALSE(std::isnan(c[x.n + j]));
  }
}

TEST_P(GemmTest, PacksFromAnyStrides) {
  const size_t n = 70, k = 11, taps = 3;
  const std::vector<float> w = RandomFloats(n * k * taps, 5);
  const PanelShape shape{n, taps, k};
  std::vector<std::vector<float>> packings;
  // [tap, k, n], [n, tap, k] and [k, n, tap] of the same values.
  for (const auto& [tap_stride, k_stride, n_stride] :
       {std::array<size_t, 3>{k * n, n, 1},
        {k, 1, taps * k},
        {1, n * taps, taps}}) {
    std::vector<float> source(w.size());
    for (size_t t = 0; t < taps; ++t) {
      for (size_t p = 0; p < k; ++p) {
        for (size_t j = 0; j < n; ++j) {
          source[t * tap_stride + p * k_stride + j * n_stride] =
              w[(t * k + p) * n + j];
        }
      }
    }
    Fenced packed(PackedFloats(GetParam(), shape));
    PackPanels(GetParam(), shape, source.data(), tap_stride, k_stride, n_stride,
               packed.data());
    EXPECT_TRUE(packed.FencesHold());
    packings.push_back(packed.Values());
  }
  EXPECT_EQ(packings[0], packings[1]);
  EXPECT_EQ(packings[0], packings[2]);
  const Panel panel = PanelAt(GetParam(), shape, 1);
  EXPECT_EQ(packings[0][panel.offset + (2 * k + 4) * panel.width],
            w[(2 * k + 4) * n + panel.first]);
}

TEST_P(GemmTest, BatchesMultiplyMatricesOfAnyOrientation) {
  const size_t m = 29, n = 21, k = 18;
  for (const size_t batches : {1, 3, 9}) {
    for (const bool adj_a : {false, true}) {
      for (const bool adj_b : {false, true}) {
        SCOPED_TRACE(testing::Message()
                     << batches << " batches, adj " << adj_a << adj_b);
        const std::vector<float> a = RandomFloats(batches * m * k, 6);
        const std::vector<float> b = RandomFloats(k * n, 7);  // Broadcast.
        std::vector<size_t> a_at, b_at, c_at;
        for (size_t i = 0; i < batches; ++i) {
          a_at.push_back(i * m * k);
          b_at.push_back(0);
          c_at.push_back(i * m * n);
        }
        std::vector<double> want(batches * m * n);
        for (size_t x = 0; x < batches; ++x) {
          for (size_t i = 0; i < m; ++i) {
            for (size_t j = 0; j < n; ++j) {
              double sum = 0;
              for (size_t p = 0; p < k; ++p) {
                sum += static_cast<double>(
                           a[a_at[x] + (adj_a ? p * m + i : i * k + p)]) *
                       b[adj_b ? j * k + p : p * n + j];
              }
              want[c_at[x] + i * n + j] = sum;
            }
          }
        }
        std::vector<float> first;
        for (const int threads : {1, 2, 3}) {
          ThreadPool pool(threads);
          Fenced c(want.size());
          BatchGemm gemm;
          gemm.batches = batches;
          gemm.m = m;
          gemm.n = n;
          gemm.k = k;
          gemm.a = a.data();
          gemm.a_stride = adj_a ? 1 : k;
          gemm.a_k_stride = adj_a ? m : 1;
          gemm.b = b.data();
          gemm.b_k_stride = adj_b ? 1 : n;
          gemm.b_n_stride = adj_b ? k : 1;
          gemm.c = c.data();
          gemm.c_stride = n;
          gemm.a_offsets = a_at.data();
          gemm.b_offsets = b_at.data();
          gemm.c_offsets = c_at.data();
          Fenced scratch(
              BatchGemmScratchFloats(GetParam(), gemm, pool.threads()));
          RunBatchGemm(GetParam(), gemm, pool, scratch.data());
          ExpectNear(c.Values(), want, SumBound(k));
          EXPECT_TRUE(c.FencesHold() && scratch.FencesHold());
          if (threads == 1) first = c.Values();
          EXPECT_EQ(c.Values(), first) << threads << " threads";
        }
      }
    }
  }
}

TEST(GemmChoice, NeverExceedsTheLimit) {
  for (const Isa isa : IsasHere()) EXPECT_LE(ChooseGemm(isa).isa, isa);
}

INSTANTIATE_TEST_SUITE_P(AllKernels, GemmTest,
                         testing::ValuesIn(GemmKernels().begin(),
                                           GemmKernels().end()),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace lathe::kernels
