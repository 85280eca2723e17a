// What holds for every algorithm.

#include "src/quant/weights.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "src/quant/test_support.h"

namespace lathe::quant {
namespace {

using enum Grouping::Kind;
using testing::HasSubstr;

constexpr Algorithm kIntegers[] = {Algorithm::kMinMax, Algorithm::kRecovery,
                                   Algorithm::kOctav,  Algorithm::kHadamard,
                                   Algorithm::kMse,    Algorithm::kGptq,
                                   Algorithm::kOscar};

const Grouping kGroupings[] = {
    {}, {.kind = kAxis, .axis = 0}, {.kind = kBlock, .block = 32}};

constexpr size_t kWidth = 96;

std::vector<float> Identity() {
  std::vector<float> h(kWidth * kWidth);
  for (size_t i = 0; i < kWidth; ++i) h[i * kWidth + i] = 2;
  return h;
}

WeightConfig Config(Algorithm algorithm, int bits, const Grouping& grouping) {
  return {.algorithm = algorithm,
          .bits = bits,
          .grouping = grouping,
          .skip_checks = true};
}

TEST(Weights, DoNotDependOnTheNumberOfThreads) {
  const std::vector<float> values = Normal(999 * kWidth, 0.02f, 1);
  const std::vector<float> hessian = Identity();
  const std::vector<double> mu2(kWidth, 2.0);
  const InputStatistics statistics = {.hessian = hessian, .mu2 = mu2};
  ThreadPool pool(3);
  for (const Algorithm algorithm : kIntegers) {
    for (const Grouping& grouping : kGroupings) {
      for (const int bits : {2, 4, 8}) {
        const WeightConfig config = Config(algorithm, bits, grouping);
        const Quantized one =
            QuantizeAll(config, values, {999, kWidth}, statistics);
        const Quantized three =
            QuantizeAll(config, values, {999, kWidth}, statistics, &pool);
        ASSERT_EQ(one.error, "") << static_cast<int>(algorithm);
        EXPECT_EQ(one.params.scale, three.params.scale);
        EXPECT_EQ(one.bytes, three.bytes);
      }
    }
  }
}

TEST(Weights, ZerosGetScalesThatEveryKernelTakes) {
  const std::vector<float> values(4 * kWidth);
  const std::vector<float> hessian = Identity();
  for (const Algorithm algorithm : kIntegers) {
    for (const Grouping& grouping : kGroupings) {
      const Quantized got = QuantizeAll(Config(algorithm, 4, grouping), values,
                                        {4, kWidth}, {.hessian = hessian});
      ASSERT_EQ(got.error, "") << static_cast<int>(algorithm);
      for (const double scale : got.params.scale) {
        EXPECT_TRUE(std::isnormal(static_cast<float>(scale)));
        EXPECT_GT(scale, 0);
        EXPECT_GE(scale, grouping.kind == kBlock ? 0x1p-14 : 0.0);
      }
      EXPECT_THAT(got.q, testing::Each(0));
    }
  }
}

TEST(Weights, FourBitsReachMinusEightOnlyForRecoveredWeights) {
  std::vector<float> values = Normal(64 * kWidth, 0.02f, 1);
  for (size_t i = 0; i < values.size(); i += 50) values[i] = -0.2f;
  const std::vector<float> hessian = Identity();
  for (const Algorithm algorithm : kIntegers) {
    if (algorithm == Algorithm::kRecovery) continue;
    for (const Grouping& grouping : kGroupings) {
      const Quantized got = QuantizeAll(Config(algorithm, 4, grouping), values,
                                        {64, kWidth}, {.hessian = hessian});
      EXPECT_EQ(*std::ranges::min_element(got.q), -7);
    }
  }
}

TEST(Weights, NaNIsRefusedByEveryAlgorithmAndNamed) {
  std::vector<float> values(4 * kWidth, 1.0f);
  values[kWidth + 7] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> hessian = Identity();
  for (const Algorithm algorithm : kIntegers) {
    for (const Grouping& grouping : kGroupings) {
      EXPECT_THAT(QuantizeAll(Config(algorithm, 4, grouping), values,
                              {4, kWidth}, {.hessian = hessian})
                      .error,
                  HasSubstr("value at [1, 7] is nan"))
          << static_cast<int>(algorithm);
    }
  }
}

TEST(Weights, GroupsAcrossAreTheSameAsTransposedRows) {
  constexpr int32_t kRows = 50, kColumns = 37;
  const std::vector<float> values = Normal(kRows * kColumns, 1, 8);
  std::vector<float> transposed(values.size());
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t c = 0; c < kColumns; ++c) {
      transposed[c * kRows + r] = values[r * kColumns + c];
    }
  }
  for (const Algorithm algorithm : {Algorithm::kMinMax, Algorithm::kOctav,
                                    Algorithm::kMse, Algorithm::kRecovery}) {
    for (const bool symmetric : {true, false}) {
      if (!symmetric && algorithm != Algorithm::kMinMax) continue;
      WeightConfig config = Config(algorithm, 8, {.kind = kAxis, .axis = 1});
      config.symmetric = symmetric;
      const Quantized across = QuantizeAll(config, values, {kRows, kColumns});
      config.grouping.axis = 0;
      const Quantized rows = QuantizeAll(config, transposed, {kColumns, kRows});
      EXPECT_EQ(across.params.scale, rows.params.scale);
      EXPECT_EQ(across.params.zero_point, rows.params.zero_point);
      for (size_t r = 0; r < kRows; ++r) {
        for (size_t c = 0; c < kColumns; ++c) {
          ASSERT_EQ(across.q[r * kColumns + c], rows.q[c * kRows + r]);
        }
      }
    }
  }
}

TEST(Weights, OddRowsArePackedWithoutPadding) {
  WeightConfig config = Config(Algorithm::kMinMax, 4, {.kind = kAxis});
  EXPECT_EQ(EncodedBytes(config, std::vector<int32_t>{3, 5}), 8u);
  std::vector<float> values(15, 7.0f);
  values[5] = -7;
  const Quantized got = QuantizeAll(config, values, {3, 5});
  EXPECT_EQ(got.bytes[2], std::byte{0x97});  // 7 below, -7 above.
  EXPECT_EQ(got.bytes[7], std::byte{0x07});
  EXPECT_EQ(got.back, values);
}

TEST(Weights, SaysWhatDoesNotFit) {
  const std::vector<float> values(6, 1.0f);
  EXPECT_THAT(
      QuantizeAll(Config(Algorithm::kMinMax, 4, {.kind = kBlock, .block = 2}),
                  values, {2, 3})
          .error,
      HasSubstr("blocks of 2 do not divide the last dimension, 3"));
  EXPECT_THAT(QuantizeAll(Config(Algorithm::kMinMax, 7, {}), values, {6}).error,
              HasSubstr("7 bits"));
  EXPECT_THAT(
      QuantizeAll(Config(Algorithm::kMinMax, 8, {.kind = kAxis, .axis = 2}),
                  values, {2, 3})
          .error,
      HasSubstr("axis 2 of a tensor of rank 2"));
  EXPECT_NE(
      QuantizeAll(Config(Algorithm::kNoQuantize, 8, {}), values, {6}).error,
      "");
}

TEST(Weights, NothingIsQuantizedToNothing) {
  for (const Grouping& grouping : kGroupings) {
    const Quantized got =
        QuantizeAll(Config(Algorithm::kMinMax, 4, grouping), {}, {0, 32});
    EXPECT_EQ(got.error, "");
    EXPECT_TRUE(got.bytes.empty());
  }
}

}  // namespace
}  // namespace lathe::quant
