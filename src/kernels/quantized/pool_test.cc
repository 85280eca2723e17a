#include "src/kernels/quantized/pool.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace lathe::kernels {
namespace {

template <typename T>
std::vector<T> Draw(size_t n, uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<T> values(n);
  for (T& value : values) value = static_cast<T>(rng() >> 7);
  return values;
}

template <typename T>
void CheckPool(QuantizedType type) {
  for (const size_t channels : {size_t{1}, size_t{5}, size_t{256}, size_t{257}})
    for (const size_t stride : {size_t{1}, size_t{2}, size_t{3}})
      for (const size_t pad : {size_t{0}, size_t{1}}) {
        QuantizedPoolShape s{2, 6, 7,      channels, 0,   0,
                             3, 2, stride, stride,   pad, 0};
        s.out_height = (6 + 2 * pad - 3) / stride + 1;
        s.out_width = (7 - 2) / stride + 1;
        const std::vector<T> x = Draw<T>(2 * 6 * 7 * channels, 5);
        const IntegerRange range{-60, 90};
        for (const bool largest : {false, true}) {
          std::vector<T> y(2 * s.out_height * s.out_width * channels);
          ThreadPool pool(2);
          RunQuantizedPool(largest, type, s, range, x.data(), y.data(), pool);
          for (size_t at = 0; at < y.size(); ++at) {
            const size_t c = at % channels, ox = at / channels % s.out_width;
            const size_t oy = at / channels / s.out_width % s.out_height;
            const size_t b = at / channels / s.out_width / s.out_height;
            double sum = 0;
            int count = 0;
            double most = -1e9;
            for (size_t ky = 0; ky < 3; ++ky)
              for (size_t kx = 0; kx < 2; ++kx) {
                const size_t iy = oy * stride + ky, ix = ox * stride + kx;
                if (iy < pad || iy - pad >= 6 || ix >= 7) continue;
                const T q = x[((b * 6 + iy - pad) * 7 + ix) * channels + c];
                sum += q;
                most = std::max(most, double(q));
                ++count;
              }
            const double want = std::clamp(
                largest ? most : std::round(sum / count), -60.0, 90.0);
            ASSERT_EQ(y[at], static_cast<T>(want)) << at;
          }
        }
      }
}

TEST(QuantizedPool, LooksOnlyInsideTheImage) {
  CheckPool<int8_t>(QuantizedType::kInt8);
  CheckPool<int16_t>(QuantizedType::kInt16);
}

TEST(QuantizedPool, RoundsMeansAwayFromZero) {
  const QuantizedPoolShape s{1, 1, 2, 1, 1, 1, 1, 2, 1, 1, 0, 0};
  ThreadPool pool(1);
  for (const auto& [a, b, want] : std::vector<std::array<int, 3>>{
           {1, 2, 2}, {-1, -2, -2}, {0, -1, -1}, {127, 127, 127}}) {
    const int8_t x[] = {static_cast<int8_t>(a), static_cast<int8_t>(b)};
    int8_t y = 0;
    RunQuantizedPool(false, QuantizedType::kInt8, s, {-128, 127}, x, &y, pool);
    EXPECT_EQ(y, want);
  }
}

template <typename T>
void CheckBilinear(QuantizedType type, double bound) {
  for (const auto& [align, half] :
       {std::pair{false, false}, {true, false}, {false, true}})
    for (const size_t out : {size_t{1}, size_t{3}, size_t{5}, size_t{12}}) {
      const QuantizedResizeShape s{2, 5, 4, 3, out, out + 1, align, half};
      const std::vector<T> x = Draw<T>(2 * 5 * 4 * 3, 9);
      std::vector<T> y(2 * out * (out + 1) * 3);
      ThreadPool pool(2);
      RunQuantizedBilinear(type, s, x.data(), y.data(), pool);
      const auto place = [&](size_t o, size_t in, size_t n) {
        const double scale = align && n > 1 ? double(in - 1) / double(n - 1)
                                            : double(in) / double(n);
        const double at =
            half ? (double(o) + 0.5) * scale - 0.5 : double(o) * scale;
        return std::clamp(at, 0.0, double(in - 1));
      };
      for (size_t at = 0; at < y.size(); ++at) {
        const size_t c = at % 3, ox = at / 3 % (out + 1);
        const size_t oy = at / 3 / (out + 1) % out,
                     b = at / 3 / (out + 1) / out;
        const double v = place(oy, 5, out), h = place(ox, 4, out + 1);
        const auto q = [&](double iy, double ix) {
          return double(x[((b * 5 + size_t(iy)) * 4 + size_t(ix)) * 3 + c]);
        };
        const double v0 = std::floor(v), h0 = std::floor(h);
        const double v1 = std::min(v0 + 1, 4.0), h1 = std::min(h0 + 1, 3.0);
        const double want =
            (q(v0, h0) * (1 - h + h0) + q(v0, h1) * (h - h0)) * (1 - v + v0) +
            (q(v1, h0) * (1 - h + h0) + q(v1, h1) * (h - h0)) * (v - v0);
        ASSERT_NEAR(y[at], want, bound) << at << " out " << out;
      }
    }
}

TEST(QuantizedBilinear, InterpolatesBetweenPixelCentresOrCorners) {
  // Coordinates have 10 bits: an error of 2^-10 of the largest difference.
  CheckBilinear<int8_t>(QuantizedType::kInt8, 4);
  CheckBilinear<int16_t>(QuantizedType::kInt16, 800);
  CheckBilinear<uint8_t>(QuantizedType::kUint8, 0.51);
}

}  // namespace
}  // namespace lathe::kernels
