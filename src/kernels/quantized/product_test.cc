#include "src/kernels/quantized/product.h"

#include <functional>
#include <numeric>
#include <random>

#include "src/kernels/quantized/int_conv.h"
#include "src/kernels/quantized/int_depthwise.h"
#include "src/kernels/quantized/matmul.h"
#include "src/kernels/quantized/requantize.h"
#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

// The extremes are where sums overflow, so they are drawn often.
template <typename T>
std::vector<T> RandomIntegers(size_t n, uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<T> values(n);
  for (T& value : values) {
    const uint32_t r = rng();
    value = r % 8 == 0   ? std::numeric_limits<T>::min()
            : r % 8 == 1 ? std::numeric_limits<T>::max()
                         : static_cast<T>(r >> 8);
  }
  return values;
}

std::vector<const QuantizedKernels*> KernelsHere() {
  std::vector<const QuantizedKernels*> here;
  for (const QuantizedKernels* kernels : AllQuantized()) {
    if (CpuHas(kernels->isa)) here.push_back(kernels);
  }
  return here;
}

TEST(QuantizedKernels, DotIsTheDefinitionBitForBit) {
  for (const QuantizedKernels* kernels : KernelsHere()) {
    for (const size_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 13}) {
      for (const size_t k : {0, 2, 4, 30, 256}) {
        SCOPED_TRACE(testing::Message()
                     << kernels->name << " rows=" << rows << " k=" << k);
        const size_t width = kernels->width, stride = k + 3;
        const auto a = RandomIntegers<int16_t>(rows * stride + 1, 1);
        const auto b = RandomIntegers<int8_t>(k * width + 1, 2);
        std::vector<int32_t> sums(rows * (width + 1), -1);
        DotTile tile;
        tile.rows = rows;
        tile.k = k;
        tile.a = a.data();
        tile.a_stride = stride;
        tile.b = b.data();
        tile.sums = sums.data();
        tile.sums_stride = width + 1;
        kernels->dot(tile);
        for (size_t i = 0; i < rows; ++i) {
          for (size_t j = 0; j < width; ++j) {
            int32_t want = 0;
            for (size_t p = 0; p < k; ++p) {
              want += a[i * stride + p] * b[(p / 2 * width + j) * 2 + p % 2];
            }
            ASSERT_EQ(sums[i * (width + 1) + j], want) << i << ", " << j;
          }
          ASSERT_EQ(sums[i * (width + 1) + width], -1) << "beyond the tile";
        }
      }
    }
  }
}

TEST(QuantizedKernels, FinishAgreesWithRescale) {
  std::mt19937 rng(4);
  for (const QuantizedKernels* kernels : KernelsHere()) {
    // Odd counts get factors above 1 too.
    for (const size_t n : {1, 7, 8, 16, 33, 200, 201}) {
      SCOPED_TRACE(testing::Message() << kernels->name << " n=" << n);
      std::vector<int32_t> sums(n), bias(n), multiplier(n), shift(n);
      std::vector<int64_t> wide(n);
      for (size_t j = 0; j < n; ++j) {
        sums[j] = static_cast<int32_t>(rng()) >> (rng() % 20);
        wide[j] = int64_t{sums[j]} << (rng() % 14);
        bias[j] = static_cast<int32_t>(rng()) >> 8;
        const Multiplier m = MultiplierOf(
            std::ldexp(0.5 + rng() % 100 / 200.0,
                       (n % 2 == 0 ? 0 : 3) - static_cast<int>(rng() % 32)));
        multiplier[j] = m.value;
        shift[j] = m.shift;
      }
      std::vector<int16_t> y(n);
      FinishRows rows;
      rows.type = Integer::kInt16;
      rows.n = n;
      rows.bias = bias.data();
      rows.multiplier = multiplier.data();
      rows.shift = shift.data();
      rows.zero_point = -7;
      rows.low = -30000;
      rows.high = 30001;
      rows.y = y.data();
      rows.sums = sums.data();
      kernels->finish(rows);
      for (size_t j = 0; j < n; ++j) {
        const int32_t sum = static_cast<int32_t>(
            static_cast<uint32_t>(sums[j]) + static_cast<uint32_t>(bias[j]));
        const int64_t want =
            int64_t{Rescale(sum, {multiplier[j], shift[j]})} - 7;
        ASSERT_EQ(y[j], std::clamp<int64_t>(want, -30000, 30001)) << j;
      }
      rows.kind = FinishRows::Kind::kWide;
      rows.sums = wide.data();
      kernels->finish(rows);
      for (size_t j = 0; j < n; ++j) {
        const int64_t want =
            int64_t{Rescale64(wide[j] + bias[j], {multiplier[j], shift[j]})} -
            7;
        ASSERT_EQ(y[j], std::clamp<int64_t>(want, -30000, 30001)) << j;
      }
    }
  }
}

TEST(QuantizedKernels, FinishTakesManyRows) {
  for (const QuantizedKernels* kernels : KernelsHere()) {
    for (const size_t n : {1, 15, 16, 33}) {
      for (const bool biased : {false, true}) {
        SCOPED_TRACE(testing::Message() << kernels->name << " n=" << n);
        constexpr size_t kRows = 3;
        const size_t stride = n + 2;
        const auto sums = RandomIntegers<int32_t>(kRows * stride, 1);
        const auto scales = RandomFloats(n, 2), bias = RandomFloats(n, 3);
        const float row_scales[] = {0.5f, 1e-9f, -0.0f};
        const size_t at[] = {2 * n, 0, n};
        std::vector<float> y(kRows * n);
        FinishRows rows;
        rows.kind = FinishRows::Kind::kFloat;
        rows.rows = kRows;
        rows.n = n;
        rows.sums = sums.data();
        rows.sums_stride = stride * sizeof(int32_t);
        rows.at = at;
        rows.row_scales = row_scales;
        rows.scales = scales.data();
        rows.bias = biased ? bias.data() : nullptr;
        rows.clamp = {-1, 2};
        rows.y = y.data();
        kernels->finish(rows);
        for (size_t i = 0; i < kRows; ++i) {
          for (size_t j = 0; j < n; ++j) {
            float want = static_cast<float>(sums[i * stride + j]) *
                         (row_scales[i] * scales[j]);
            if (biased) want += bias[j];
            ASSERT_EQ(y[at[i] + j], std::clamp(want, -1.0f, 2.0f));
          }
        }
      }
    }
  }
}

TEST(QuantizedKernels, RowOperationsAgreeOnAllLevels) {
  const std::vector<float> x = RandomFloats(1001, 7, -3, 3);
  for (const QuantizedKernels* kernels : KernelsHere()) {
    SCOPED_TRACE(kernels->name);
    float low = 1, high = -1;
    kernels->range(x.data(), x.size(), &low, &high);
    EXPECT_EQ(low, *std::ranges::min_element(x));
    EXPECT_EQ(high, *std::ranges::max_element(x));
    for (const bool asymmetric : {false, true}) {
      const DynamicRange range = DynamicRangeOf(low, high, asymmetric);
      std::vector<int16_t> q(x.size());
      kernels->quantize(x.data(), x.size(), range.inverse, range.zero,
                        range.low, range.high, q.data());
      std::vector<int8_t> bytes(x.size());
      int32_t sum =
          kernels->quantize_bytes(x.data(), x.size(), range.inverse, range.zero,
                                  range.low, range.high, bytes.data());
      EXPECT_EQ(kernels->sum_bytes(bytes.data(), bytes.size()), sum);
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_EQ(bytes[i], q[i] + range.zero);
        sum -= bytes[i];
        const float steps =
            std::round(static_cast<float>(range.zero) + x[i] * range.inverse);
        ASSERT_EQ(q[i], std::clamp<int32_t>(static_cast<int32_t>(steps),
                                            range.low, range.high) -
                            range.zero);
      }
      EXPECT_EQ(sum, 0);
    }
    std::vector<int8_t> y(x.size());
    kernels->store(x.data(), x.size(), 0.0173f, 9, -128, 127, Integer::kInt8,
                   y.data());
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(y[i], QuantizeOne(x[i], 0.0173f, 9, -128, 127));
    }
  }
}

TEST(QuantizedKernels, OddFloatsQuantizeToSomething) {
  const float odd[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 0};
  for (const QuantizedKernels* kernels : KernelsHere()) {
    int16_t q[6];
    kernels->quantize(odd, 6, 1, 3, -128, 127, q);
    EXPECT_EQ(q[1], 124);
    EXPECT_EQ(q[2], -131);
    uint8_t y[6];
    kernels->store(odd, 6, 1, 3, 0, 255, Integer::kUint8, y);
    EXPECT_EQ(y[0], 3);
    EXPECT_EQ(y[1], 255);
    EXPECT_EQ(y[2], 0);
    EXPECT_EQ(y[5], 3);
  }
}

TEST(SumBytes, IsTheSumAtEveryLength) {
  for (const QuantizedKernels* kernels : KernelsHere()) {
    for (const size_t n : {0, 1, 31, 32, 33, 63, 64, 65, 127, 129, 5000}) {
      std::vector<int8_t> x = RandomIntegers<int8_t>(n, 1);
      EXPECT_EQ(kernels->sum_bytes(x.data(), n),
                std::accumulate(x.begin(), x.end(), 0))
          << kernels->name << " n=" << n;
      std::ranges::fill(x, int8_t{-128});
      EXPECT_EQ(kernels->sum_bytes(x.data(), n), -128 * static_cast<int>(n));
    }
  }
}

TEST(QuantizeImages, IsRowByRowForAnyThreads) {
  for (const QuantizedKernels* kernels : KernelsHere()) {
    for (const size_t n : {0, 1, 100, 32767, 70001}) {
      for (const size_t images : {1, 3}) {
        for (const int threads : {1, 3}) {
          SCOPED_TRACE(testing::Message()
                       << kernels->name << " n=" << n << " images=" << images);
          const std::vector<float> x = RandomFloats(images * n, 1, -1, 2);
          ThreadPool pool(threads);
          std::vector<int8_t> bytes(images * n), want_bytes(n);
          std::vector<int16_t> words(images * n), want_words(n);
          std::vector<DynamicRange> ranges(images);
          std::vector<float> scales(images);
          QuantizeImages(*kernels, x.data(), images, n, true, bytes.data(),
                         ranges.data(), pool);
          QuantizeImages(*kernels, x.data(), images, n, true, words.data(),
                         scales.data(), pool);
          for (size_t image = 0; image < images; ++image) {
            int32_t sum = 0;
            float scale = 0;
            const DynamicRange range =
                QuantizeRowToBytes(*kernels, x.data() + image * n, n, true, 1,
                                   want_bytes.data(), n, &sum);
            QuantizeRows(*kernels, x.data() + image * n, 1, n, n, true,
                         want_words.data(), n, &scale);
            EXPECT_EQ(ranges[image].scale, range.scale);
            EXPECT_EQ(ranges[image].zero, range.zero);
            EXPECT_EQ(scales[image], scale);
            const auto at = static_cast<ptrdiff_t>(image * n);
            EXPECT_TRUE(std::equal(want_bytes.begin(), want_bytes.end(),
                                   bytes.begin() + at));
            EXPECT_TRUE(std::equal(want_words.begin(), want_words.end(),
                                   words.begin() + at));
          }
        }
      }
    }
  }
}

TEST(DynamicRange, FollowsTheFormat) {
  const DynamicRange zero = DynamicRangeOf(0, 0, true);
  EXPECT_EQ(zero.scale, 1);
  EXPECT_EQ(zero.zero, 0);
  const DynamicRange symmetric = DynamicRangeOf(-2, 1, false);
  EXPECT_EQ(symmetric.scale, 2.0f / 127);
  EXPECT_EQ(symmetric.zero, 0);
  const DynamicRange positive = DynamicRangeOf(0, 5.1f, true);
  EXPECT_EQ(positive.zero, -128);
  const DynamicRange negative = DynamicRangeOf(-5.1f, 0, true);
  EXPECT_EQ(negative.zero, 127);
}

// What the drivers need to finish to int8 with one multiplier.
struct Requantized {
  std::vector<int32_t> multiplier, shift;
  Output output;

  explicit Requantized(size_t n) {
    const Multiplier m = MultiplierOf(1e-3);
    multiplier.assign(n, m.value);
    shift.assign(n, m.shift);
    output.multiplier = multiplier.data();
    output.shift = shift.data();
    output.zero_point = 4;
    output.low = -128;
    output.high = 127;
  }
  int8_t Want(int64_t sum) const {
    return static_cast<int8_t>(std::clamp<int64_t>(
        int64_t{Rescale(static_cast<int32_t>(sum), MultiplierOf(1e-3))} + 4,
        -128, 127));
  }
};

TEST(IntMatmul, IsTheDefinitionForEveryThreadCount) {
  for (const QuantizedKernels* kernels : KernelsHere()) {
    for (const size_t m : {1, 47, 48, 49}) {
      for (const size_t n : {1, 15, 16, 33}) {
        for (const size_t k : {1, 2, 37}) {
          for (const bool packed : {false, true}) {
            for (const size_t threads : {1, 3}) {
              SCOPED_TRACE(testing::Message()
                           << kernels->name << " m=" << m << " n=" << n
                           << " k=" << k << " packed=" << packed);
              const auto a = RandomIntegers<uint8_t>(2 * m * k, 1);
              const auto b = RandomIntegers<uint8_t>(n * k, 2);
              IntMatmul matmul;
              matmul.batches = matmul.a.matrices = 2;
              matmul.a.m = m;
              matmul.product.kernels = kernels;
              matmul.product.n = n;
              matmul.product.k = k;
              matmul.product.weight_zero = 11 - 128;
              matmul.a.type = Integer::kUint8;
              matmul.a.zero = 200;
              matmul.a.stride = k;
              matmul.packed = packed;
              matmul.b_flip = true;
              matmul.b_k_stride = 1;
              matmul.b_n_stride = k;
              matmul.threads = threads;
              const uint32_t a_index[] = {0, 1}, b_index[] = {0, 0};
              matmul.a_index = a_index;
              matmul.b_index = b_index;
              std::vector<std::byte> panels(PackedBytes(matmul.product));
              const size_t taps[] = {0};
              WeightSource source;
              source.data = reinterpret_cast<const int8_t*>(b.data());
              source.taps = taps;
              source.per_tap = k;
              source.n_stride = k;
              source.flip = true;
              PackPanels(matmul.product, source, 0, PanelCount(matmul.product),
                         panels.data());
              Requantized finish(n);
              std::vector<int8_t> y(2 * m * n);
              finish.output.y = reinterpret_cast<std::byte*>(y.data());
              auto scratch =
                  AlignedBuffer::Create(IntMatmulScratchBytes(matmul));
              ThreadPool pool(static_cast<int>(threads));
              RunIntMatmul(matmul, finish.output, a.data(),
                           packed
                               ? panels.data()
                               : reinterpret_cast<const std::byte*>(b.data()),
                           pool, scratch->data(), nullptr);
              for (size_t i = 0; i < 2 * m; ++i) {
                for (size_t j = 0; j < n; ++j) {
                  int64_t sum = 0;
                  for (size_t p = 0; p < k; ++p) {
                    sum += (a[i * k + p] - 200) * (b[j * k + p] - 11);
                  }
                  ASSERT_EQ(y[i * n + j], finish.Want(sum)) << i << ", " << j;
                }
              }
            }
          }
        }
      }
    }
  }
}

TEST(ByteDot, IsTheDefinitionBitForBit) {
  for (const ByteDot* bytes : AllByteDots()) {
    if (!bytes->usable()) continue;
    for (const size_t rows :
         {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 30, 48}) {
      for (const size_t k : {0, 4, 12, 16, 36, 256}) {
        SCOPED_TRACE(testing::Message()
                     << bytes->name << " rows=" << rows << " k=" << k);
        const size_t width = bytes->width, stride = k + 5;
        const auto a = RandomIntegers<int8_t>(rows * stride, 1);
        const auto b = RandomIntegers<uint8_t>(k * width + 1, 2);
        const auto start = RandomIntegers<int32_t>(rows, 3);
        const auto zeros = RandomIntegers<int8_t>(rows, 4);
        const std::vector<int32_t> wide_zeros(zeros.begin(), zeros.end());
        const auto columns = RandomIntegers<int32_t>(width, 5);
        std::vector<int32_t> sums(rows * (width + 1), -1);
        ByteTile tile;
        tile.rows = rows;
        tile.k = k;
        tile.a = a.data();
        tile.a_stride = stride;
        tile.b = b.data();
        tile.start = start.data();
        tile.ahead = std::as_bytes(std::span(a));
        tile.sums = sums.data();
        tile.sums_stride = width + 1;
        if (rows % 2 == 0) {
          tile.zeros = wide_zeros.data();
          tile.column_sums = columns.data();
        }
        bytes->dot(tile);
        for (size_t i = 0; i < rows; ++i) {
          for (size_t j = 0; j < width; ++j) {
            uint32_t want = static_cast<uint32_t>(start[i]);
            if (rows % 2 == 0) {
              want -= static_cast<uint32_t>(zeros[i]) *
                      static_cast<uint32_t>(columns[j]);
            }
            for (size_t p = 0; p < k; ++p) {
              want += static_cast<uint32_t>(a[i * stride + p] *
                                            b[(p / 4 * width + j) * 4 + p % 4]);
            }
            ASSERT_EQ(sums[i * (width + 1) + j], static_cast<int32_t>(want))
                << i << ", " << j;
          }
          ASSERT_EQ(sums[i * (width + 1) + width], -1) << "beyond the tile";
        }
      }
    }
  }
}

struct ConvCase {
  size_t h, w, c, o, kh, kw, stride, dilation, pad, groups;
};

TEST(IntConv, IsTheDefinition) {
  for (const QuantizedKernels* kernels : KernelsHere()) {
    for (const ConvCase& s : {ConvCase{5, 6, 4, 9, 1, 1, 1, 1, 0, 1},
                              ConvCase{7, 9, 3, 5, 3, 2, 2, 1, 1, 1},
                              ConvCase{8, 8, 4, 6, 3, 3, 1, 2, 2, 2},
                              ConvCase{3, 3, 1, 33, 2, 2, 1, 1, 1, 1}}) {
      SCOPED_TRACE(testing::Message() << kernels->name << " k=" << s.kh);
      ConvShape shape;
      shape.batch = 2;
      shape.in_h = s.h;
      shape.in_w = s.w;
      shape.in_c = s.c;
      shape.kernel_h = s.kh;
      shape.kernel_w = s.kw;
      shape.stride_h = shape.stride_w = s.stride;
      shape.dilation_h = shape.dilation_w = s.dilation;
      shape.pad_top = shape.pad_left = s.pad;
      shape.groups = s.groups;
      shape.out_c = s.o;
      shape.out_h =
          (s.h + 2 * s.pad - (s.kh - 1) * s.dilation - 1) / s.stride + 1;
      shape.out_w =
          (s.w + 2 * s.pad - (s.kw - 1) * s.dilation - 1) / s.stride + 1;
      const size_t cg = s.c / s.groups, og = s.o / s.groups;
      const auto x = RandomIntegers<int8_t>(2 * s.h * s.w * s.c, 3);
      const auto f = RandomIntegers<int8_t>(s.o * s.kh * s.kw * cg, 4);
      IntConv conv = PlanIntConv(*kernels, shape, 2);
      conv.zero = -128;
      std::vector<std::byte> packed(conv.packed_bytes);
      PackIntConv(conv, f.data(), false, packed.data());
      Requantized finish(s.o);
      std::vector<int8_t> y(2 * shape.out_h * shape.out_w * s.o);
      finish.output.y = reinterpret_cast<std::byte*>(y.data());
      auto scratch = AlignedBuffer::Create(IntConvScratchBytes(conv));
      ThreadPool pool(2);
      RunIntConv(conv, finish.output, x.data(), packed.data(), pool,
                 scratch->data(), nullptr);
      size_t at = 0;
      for (size_t n = 0; n < 2; ++n)
        for (size_t oh = 0; oh < shape.out_h; ++oh)
          for (size_t ow = 0; ow < shape.out_w; ++ow)
            for (size_t o = 0; o < s.o; ++o, ++at) {
              int64_t sum = 0;
              for (size_t kh = 0; kh < s.kh; ++kh)
                for (size_t kw = 0; kw < s.kw; ++kw)
                  for (size_t c = 0; c < cg; ++c) {
                    const size_t h = oh * s.stride + kh * s.dilation - s.pad;
                    const size_t w = ow * s.stride + kw * s.dilation - s.pad;
                    if (h >= s.h || w >= s.w) continue;
                    sum +=
                        (x[((n * s.h + h) * s.w + w) * s.c + o / og * cg + c] +
                         128) *
                        f[((o * s.kh + kh) * s.kw + kw) * cg + c];
                  }
              ASSERT_EQ(y[at], finish.Want(sum)) << at;
            }
    }
  }
}

TEST(IntTransposeConv, IsTheDefinition) {
  for (const QuantizedKernels* kernels : KernelsHere()) {
    for (const size_t kernel : {1, 2, 3, 5}) {
      for (const size_t stride : {1, 2, 3}) {
        for (const size_t pad : {0, 1}) {
          if (pad >= kernel) continue;
          SCOPED_TRACE(testing::Message() << kernels->name << " k=" << kernel
                                          << " s=" << stride << " p=" << pad);
          TransposeConvShape s;
          s.in_h = 3;
          s.in_w = 4;
          s.in_c = 3;
          s.out_c = 5;
          s.kernel_h = s.kernel_w = kernel;
          s.stride_h = s.stride_w = stride;
          s.pad_top = s.pad_left = pad;
          s.out_h = 2 * stride + kernel - pad;
          s.out_w = 3 * stride + kernel - pad;
          const auto x = RandomIntegers<int8_t>(3 * 4 * 3, 5);
          const auto f = RandomIntegers<int8_t>(5 * kernel * kernel * 3, 6);
          IntConv conv = PlanIntTransposeConv(*kernels, s, 1);
          conv.zero = 7;
          std::vector<std::byte> packed(conv.packed_bytes);
          PackIntConv(conv, f.data(), false, packed.data());
          Requantized finish(5);
          std::vector<int8_t> y(s.out_h * s.out_w * 5, 99);
          finish.output.y = reinterpret_cast<std::byte*>(y.data());
          auto scratch = AlignedBuffer::Create(IntConvScratchBytes(conv));
          ThreadPool pool(1);
          RunIntConv(conv, finish.output, x.data(), packed.data(), pool,
                     scratch->data(), nullptr);
          std::vector<int64_t> sums(y.size());
          for (size_t ih = 0; ih < 3; ++ih)
            for (size_t iw = 0; iw < 4; ++iw)
              for (size_t kh = 0; kh < kernel; ++kh)
                for (size_t kw = 0; kw < kernel; ++kw) {
                  const size_t h = ih * stride + kh - pad;
                  const size_t w = iw * stride + kw - pad;
                  if (h >= s.out_h || w >= s.out_w) continue;
                  for (size_t o = 0; o < 5; ++o)
                    for (size_t c = 0; c < 3; ++c)
                      sums[(h * s.out_w + w) * 5 + o] +=
                          (x[(ih * 4 + iw) * 3 + c] - 7) *
                          f[((o * kernel + kh) * kernel + kw) * 3 + c];
                }
          for (size_t i = 0; i < y.size(); ++i) {
            ASSERT_EQ(y[i], finish.Want(sums[i])) << i;
          }
        }
      }
    }
  }
}

// One layer of floats with quantized weights, at every level, by words and by
// bytes.
class FloatLayer {
 public:
  FloatLayer(const QuantizedKernels& kernels, size_t m, size_t n, size_t k,
             size_t block)
      : x_(RandomFloats(m * k, 1)),
        weights_(RandomIntegers<int8_t>(n * k, 2)),
        scales_(RandomFloats(n, 3)),
        bias_(RandomFloats(n, 4)) {
    matmul.a.m = m;
    matmul.a.stride = k;
    matmul.a.dynamic = true;
    matmul.threads = 2;
    matmul.product.kernels = &kernels;
    matmul.product.n = n;
    matmul.product.k = k;
    matmul.product.block = block;
    output.kind =
        block ? FinishRows::Kind::kFloatSum : FinishRows::Kind::kFloat;
    if (block == 0) output.scales = scales_.data();
    output.bias = bias_.data();
  }

  std::vector<float> Run(std::vector<float> y = {}) {
    const Product& product = matmul.product;
    y.resize(matmul.a.m * product.outputs());
    std::vector<float> block_scales(BlockScaleCount(product));
    for (size_t panel = 0; panel < PanelCount(product); ++panel) {
      const auto [first, count] = ColumnsOf(product, panel);
      for (size_t b = 0; b < product.blocks(); ++b)
        for (size_t j = 0; j < count; ++j)
          block_scales[(panel * product.blocks() + b) * product.kernels->width +
                       j] = scales_[(first + j + b) % scales_.size()];
    }
    matmul.product.block_scales = block_scales.data();
    const size_t taps[] = {0};
    WeightSource source;
    source.data = weights_.data();
    source.taps = taps;
    source.per_tap = source.n_stride = product.k;
    std::vector<std::byte> packed(PackedBytes(product));
    PackPanels(product, source, 0, PanelCount(product), packed.data());
    auto scratch = AlignedBuffer::Create(IntMatmulScratchBytes(matmul));
    output.y = reinterpret_cast<std::byte*>(y.data());
    if (output.residual) output.residual = y.data();
    ThreadPool pool(2);
    RunIntMatmul(matmul, output, x_.data(), packed.data(), pool,
                 scratch->data(), nullptr);
    return y;
  }

  IntMatmul matmul;
  Output output;

 private:
  std::vector<float> x_;
  std::vector<int8_t> weights_;
  std::vector<float> scales_, bias_;
};

// check(layer) for kernels of words and of bytes, sizes around tiles and
// panels, one scale for a column or for a block.
void ForFloatLayers(const std::function<void(FloatLayer&)>& check) {
  for (const QuantizedKernels* kernels : KernelsHere()) {
    for (const ByteDot* bytes :
         {static_cast<const ByteDot*>(nullptr),
          ChooseByteDot(kernels->isa, kernels->width),
          ChooseByteDot(Isa::kAvx512Vnni, kernels->width)}) {
      for (const size_t m : {1, 12, 49}) {
        for (const size_t n : {2, 32, 66, 600}) {
          for (const size_t block : {0, 32}) {
            SCOPED_TRACE(testing::Message()
                         << kernels->name << " " << (bytes ? bytes->name : "")
                         << " m=" << m << " n=" << n << " block=" << block);
            FloatLayer layer(*kernels, m, n, 64, block);
            UseBytes(bytes, layer.matmul.product);
            check(layer);
            if (testing::Test::HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

TEST(FloatMatmul, AddsAResidualThatLiesWhereItWrites) {
  ForFloatLayers([](FloatLayer& layer) {
    const std::vector<float> sums = layer.Run();
    const std::vector<float> residual = RandomFloats(sums.size(), 5);
    layer.output.residual = residual.data();
    const std::vector<float> got = layer.Run(residual);
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(got[i], sums[i] + residual[i]) << i;
    }
  });
}

TEST(FloatMatmul, WithGatesIsTheProductAndTheGatedUnit) {
  ForFloatLayers([](FloatLayer& layer) {
    const size_t n = layer.matmul.product.n / 2;
    const std::vector<float> sums = layer.Run();
    const ElementwiseKernels& gates = ChooseElementwise(Isa::kScalar);
    layer.matmul.product.gates = &gates;
    const std::vector<float> got = layer.Run();
    ASSERT_EQ(got.size(), sums.size() / 2);
    for (size_t i = 0; i < got.size(); ++i) {
      const float* row = sums.data() + i / n * 2 * n;
      float want = 0;
      gates.gated_silu(1, row + i % n, row + n + i % n, &want);
      ASSERT_EQ(got[i], want) << i;
    }
  });
}

TEST(IntDepthwise, IsTheDefinition) {
  for (const QuantizedKernels* kernels : KernelsHere()) {
    for (const size_t multiplier : {1, 2, 3}) {
      SCOPED_TRACE(testing::Message() << kernels->name << " " << multiplier);
      IntDepthwise d;
      d.kernels = kernels;
      d.threads = 2;
      d.zero = 3;
      ConvShape& s = d.shape;
      s.in_h = s.in_w = 5;
      s.in_c = 19;
      s.out_c = 19 * multiplier;
      s.kernel_h = s.kernel_w = 3;
      s.pad_top = s.pad_left = 1;
      s.out_h = s.out_w = 5;
      const auto x = RandomIntegers<int8_t>(25 * 19, 7);
      auto f = RandomIntegers<int16_t>(9 * s.out_c, 8);
      for (int16_t& value : f) value /= 128;
      Requantized finish(s.out_c);
      std::vector<int8_t> y(25 * s.out_c);
      finish.output.y = reinterpret_cast<std::byte*>(y.data());
      auto scratch = AlignedBuffer::Create(IntDepthwiseScratchBytes(d));
      ThreadPool pool(2);
      RunIntDepthwise(d, finish.output, x.data(), f.data(), pool,
                      scratch->data(), nullptr);
      size_t at = 0;
      for (size_t oh = 0; oh < 5; ++oh)
        for (size_t ow = 0; ow < 5; ++ow)
          for (size_t o = 0; o < s.out_c; ++o, ++at) {
            int64_t sum = 0;
            for (size_t kh = 0; kh < 3; ++kh)
              for (size_t kw = 0; kw < 3; ++kw) {
                const size_t h = oh + kh - 1, w = ow + kw - 1;
                if (h >= 5 || w >= 5) continue;
                sum += (x[(h * 5 + w) * 19 + o / multiplier] - 3) *
                       f[(kh * 3 + kw) * s.out_c + o];
              }
            ASSERT_EQ(y[at], finish.Want(sum)) << at;
          }
    }
  }
}

}  // namespace
}  // namespace lathe::kernels
