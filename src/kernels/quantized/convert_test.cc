#include "src/kernels/quantized/convert.h"

#include "src/base/half.h"
#include "src/kernels/movement/narrow.h"
#include "src/kernels/quantized/densify.h"
#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

TEST(Narrow, UnpackingUndoesPacking) {
  for (const size_t bits : {2, 4}) {
    for (const bool is_signed : {true, false}) {
      for (const size_t n : {1, 2, 3, 4, 5, 17}) {
        std::vector<int8_t> from(n), to(n);
        const int low = is_signed ? -(1 << (bits - 1)) : 0;
        for (size_t i = 0; i < n; ++i) {
          from[i] =
              static_cast<int8_t>(low + static_cast<int>(i % (1u << bits)));
        }
        std::vector<std::byte> packed((n * bits + 7) / 8);
        Pack({bits, is_signed}, n,
             reinterpret_cast<const std::byte*>(from.data()), packed.data());
        Unpack({bits, is_signed}, n, packed.data(),
               reinterpret_cast<std::byte*>(to.data()));
        EXPECT_EQ(from, to) << bits << " bits, n=" << n;
      }
    }
  }
}

TEST(Narrow, LowBitsComeFirst) {
  const std::byte packed[] = {std::byte{0x8F}};
  int8_t plain[4];
  auto* bytes = reinterpret_cast<std::byte*>(plain);
  Unpack({4, true}, 2, packed, bytes);
  EXPECT_EQ(plain[0], -1);
  EXPECT_EQ(plain[1], -8);
  Unpack({2, true}, 4, packed, bytes);
  EXPECT_EQ(plain[0], -1);
  EXPECT_EQ(plain[2], 0);
  EXPECT_EQ(plain[3], -2);
}

// Rows 0 and 2 of [3, 4] hold one block of two values each.
TEST(Densify, PlacesBlocks) {
  const int32_t segments[] = {0, 1, 1, 2}, indices[] = {1, 0};
  const SparseLevel levels[] = {{3, 4, false, {}, {}},
                                {2, 2, true, segments, indices},
                                {2, 1, false, {}, {}}};
  const float values[] = {1, 2, 3, 4};
  std::vector<float> dense(12);
  Densify(levels, sizeof(float), reinterpret_cast<const std::byte*>(values),
          reinterpret_cast<std::byte*>(dense.data()));
  EXPECT_EQ(dense, (std::vector<float>{0, 0, 1, 2, 0, 0, 0, 0, 3, 4, 0, 0}));
}

TEST(Convert, QuantizedNumbersComeBack) {
  constexpr size_t kN = 3 * 7 * 1500;
  std::vector<float> scale = {0.5f, 0.25f, 1, 2, 0.125f, 3, 0.75f};
  std::vector<int32_t> zero = {0, 1, -1, 2, -2, 3, -3};
  const Scaling by_channel{kN, 7, 1500, scale.data(), zero.data()};
  const Scaling plain{kN, 1, 1, scale.data(), zero.data()};
  ThreadPool pool(2);
  for (const Isa isa : IsasHere()) {
    const QuantizedKernels& kernels = ChooseQuantized(isa);
    for (const Scaling& scaling : {by_channel, plain}) {
      for (const Stored type : {Stored::kInt8, Stored::kInt16, Stored::kInt4}) {
        std::vector<float> x(kN), y(kN), back(kN);
        for (size_t i = 0; i < kN; ++i) {
          const size_t channel = i / scaling.inner % scaling.channels;
          x[i] =
              scale[channel] * static_cast<float>(static_cast<int>(i % 9) - 4);
        }
        std::vector<std::byte> q(kN * 2);
        RunQuantize(kernels, type, scaling, x.data(), q.data(), pool);
        RunDequantize(kernels, type, scaling, q.data(), y.data(), pool);
        Dequantize(kernels, type, scaling, q.data(), back.data());
        EXPECT_EQ(x, y);
        EXPECT_EQ(y, back);
      }
    }
  }
}

TEST(Convert, SixteenBitFloatsKeepTheirValue) {
  const uint16_t halves[] = {FloatToHalf(1.5f), FloatToHalf(-0.25f)};
  float y[2];
  Dequantize(ChooseQuantized(Isa::kScalar), Stored::kFloat16,
             {2, 1, 1, nullptr, nullptr},
             reinterpret_cast<const std::byte*>(halves), y);
  EXPECT_EQ(y[0], 1.5f);
  EXPECT_EQ(y[1], -0.25f);
}

TEST(Convert, RequantizingKeepsReals) {
  ThreadPool pool(1);
  const int8_t x[] = {-128, -1, 0, 1, 127};
  uint8_t y[5];
  RunRequantize(Integer::kInt8, Integer::kUint8, {MultiplierOf(1.0), 0, 128}, 5,
                x, y, pool);
  EXPECT_EQ(y[0], 0);
  EXPECT_EQ(y[2], 128);
  EXPECT_EQ(y[4], 255);
  int16_t wide[5];
  RunRequantize(Integer::kInt8, Integer::kInt16, {MultiplierOf(1000.0), 0, 0},
                5, x, wide, pool);
  EXPECT_EQ(wide[0], -32768);
  EXPECT_EQ(wide[1], -1000);
}

}  // namespace
}  // namespace lathe::kernels
