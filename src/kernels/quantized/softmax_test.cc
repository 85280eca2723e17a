#include "src/kernels/quantized/softmax.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "src/kernels/quantized/lookup.h"

namespace lathe::kernels {
namespace {

template <typename T>
std::vector<T> Draw(size_t n, uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<T> values(n);
  for (T& value : values) value = static_cast<T>(rng() >> 7);
  return values;
}

std::vector<double> Softmax(const std::vector<double>& x) {
  double sum = 0;
  for (const double v : x) sum += std::exp(v);
  std::vector<double> y;
  for (const double v : x) y.push_back(std::exp(v) / sum);
  return y;
}

constexpr size_t kRows = 30;

TEST(QuantizedSoftmax, BytesAreProbabilitiesForAnyThreads) {
  for (const size_t n : {size_t{1}, size_t{2}, size_t{17}, size_t{1000}}) {
    const std::vector<uint8_t> x = Draw<uint8_t>(kRows * n, 1);
    const ExpTable table = ExpTableOf(0.05F);
    for (const bool is_signed : {true, false}) {
      std::vector<uint8_t> y(x.size()), again(x.size());
      std::vector<int16_t> wide(x.size());
      ThreadPool one(1), three(3);
      const int zero = is_signed ? -128 : 0;
      RunByteSoftmax(is_signed, table, 1.0F / 256, zero, kRows, n, x.data(),
                     y.data(), one);
      RunByteSoftmax(is_signed, table, 1.0F / 256, zero, kRows, n, x.data(),
                     again.data(), three);
      RunByteToWordSoftmax(is_signed, table, 1.0F / 32768, kRows, n, x.data(),
                           wide.data(), one);
      ASSERT_EQ(y, again);
      for (size_t row = 0; row < kRows; ++row) {
        std::vector<double> real;
        for (size_t i = 0; i < n; ++i) {
          const uint8_t q = x[row * n + i];
          real.push_back(0.05 * (is_signed ? static_cast<int8_t>(q) : q));
        }
        const std::vector<double> want = Softmax(real);
        for (size_t i = 0; i < n; ++i) {
          const uint8_t q = y[row * n + i];
          const int got = (is_signed ? static_cast<int8_t>(q) : q) - zero;
          ASSERT_NEAR(got, std::min(want[i] * 256, 255.0), 0.51);
          ASSERT_NEAR(wide[row * n + i], std::min(want[i] * 32768, 32767.0),
                      0.6);
        }
      }
    }
  }
}

// A beta that is no number makes no probability; found by fuzzing.
TEST(QuantizedSoftmax, NotANumberIsZero) {
  const std::vector<uint8_t> x = {1, 2, 3};
  std::vector<uint8_t> y(3);
  ThreadPool pool(1);
  RunByteSoftmax(true, ExpTableOf(std::nanf("")), 1.0F / 256, -128, 1, 3,
                 x.data(), y.data(), pool);
  EXPECT_EQ(static_cast<int8_t>(y[1]), -128);
}

TEST(QuantizedSoftmax, SixteenBitsAreProbabilities) {
  for (const size_t n : {size_t{1}, size_t{3}, size_t{200}}) {
    const std::vector<int16_t> x = Draw<int16_t>(kRows * n, 2);
    std::vector<int16_t> y(x.size());
    ThreadPool pool(2);
    const WordSoftmax softmax(2e-4F, 1);
    softmax.Run(kRows, n, x.data(), y.data(), pool);
    for (size_t row = 0; row < kRows; ++row) {
      std::vector<double> real;
      for (size_t i = 0; i < n; ++i) real.push_back(2e-4 * x[row * n + i]);
      const std::vector<double> want = Softmax(real);
      for (size_t i = 0; i < n; ++i) {
        ASSERT_NEAR(y[row * n + i] / 32768.0, want[i], 2e-3);
      }
    }
  }
}

TEST(QuantizedSoftmax, LogarithmsAndLengthsAreThoseOfTheReals) {
  const size_t n = 9;
  const std::vector<uint8_t> x = Draw<uint8_t>(kRows * n, 3);
  ThreadPool pool(2);
  for (const bool is_signed : {true, false}) {
    std::vector<uint8_t> log(x.size()), unit(x.size());
    const int in_zero = is_signed ? -11 : 117, log_zero = is_signed ? 127 : 255;
    RunByteLogSoftmax(is_signed, ExpTableOf(0.03F),
                      {0.03F, in_zero, 16.0F / 256, log_zero}, kRows, n,
                      x.data(), log.data(), pool);
    RunByteL2Norm(is_signed, in_zero, kRows, n, x.data(), unit.data(), pool);
    for (size_t row = 0; row < kRows; ++row) {
      std::vector<double> real;
      double squares = 0;
      for (size_t i = 0; i < n; ++i) {
        const uint8_t q = x[row * n + i];
        real.push_back((is_signed ? static_cast<int8_t>(q) : q) - in_zero);
        squares += real.back() * real.back();
      }
      std::vector<double> scaled = real;
      for (double& v : scaled) v *= 0.03;
      const std::vector<double> p = Softmax(scaled);
      for (size_t i = 0; i < n; ++i) {
        const auto value = [&](const std::vector<uint8_t>& of) {
          const uint8_t q = of[row * n + i];
          return is_signed ? static_cast<int8_t>(q) : int{q};
        };
        ASSERT_NEAR(
            value(log),
            std::max(std::log(p[i]) * 16 + log_zero, double(log_zero - 255)),
            0.51);
        const double want = 128 * real[i] / std::sqrt(squares);
        ASSERT_NEAR(value(unit), std::min(want, 127.0) + (is_signed ? 0 : 128),
                    1.01);
      }
    }
  }
}

TEST(DequantizeNarrow, ReadsSmallNumbersFromAnyPosition) {
  const std::byte q[] = {std::byte{0x8F}, std::byte{0x70}};
  float y[4];
  DequantizeNarrow(q, 4, 0, 4, 2, 0, y);
  EXPECT_EQ(y[0], -2);   // 0xF
  EXPECT_EQ(y[1], -16);  // 0x8
  EXPECT_EQ(y[2], 0);
  EXPECT_EQ(y[3], 14);
  DequantizeNarrow(q, 4, 1, 1, 1, 0, y);
  EXPECT_EQ(y[0], -8);
  DequantizeNarrow(q, 2, 0, 4, 1, 0, y);
  EXPECT_EQ(y[0], -1);
  EXPECT_EQ(y[1], -1);
  EXPECT_EQ(y[2], 0);
  EXPECT_EQ(y[3], -2);
  DequantizeNarrow(q, 8, 1, 1, 0.5F, 0, y);
  EXPECT_EQ(y[0], 56);
}

}  // namespace
}  // namespace lathe::kernels
