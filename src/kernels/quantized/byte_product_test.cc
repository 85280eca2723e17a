// Products of bytes are those of int16, to the last bit, whatever the rows are
// and where they come from.

#include <array>
#include <cstring>
#include <random>

#include "src/kernels/quantized/int_conv.h"
#include "src/kernels/quantized/matmul.h"
#include "src/kernels/quantized/requantize.h"
#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

std::vector<int8_t> RandomBytes(size_t n, uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<int8_t> values(n);
  for (int8_t& value : values) {
    const uint32_t r = rng();
    value = r % 8 == 0   ? int8_t{-128}
            : r % 8 == 1 ? int8_t{127}
                         : static_cast<int8_t>(r >> 8);
  }
  return values;
}

// Every pair of levels that can multiply bytes here.
struct Level {
  const QuantizedKernels* kernels;
  const ByteDot* bytes;
};
std::vector<Level> LevelsHere() {
  std::vector<Level> here;
  for (const ByteDot* bytes : AllByteDots()) {
    for (const QuantizedKernels* kernels : AllQuantized()) {
      if (bytes->usable() && CpuHas(kernels->isa) &&
          kernels->width == bytes->width) {
        here.push_back({kernels, bytes});
      }
    }
  }
  return here;
}

enum class Kind { kSymmetric, kAsymmetric, kBlocks, kInt8, kUint8 };
constexpr Kind kKinds[] = {Kind::kSymmetric, Kind::kAsymmetric, Kind::kBlocks,
                           Kind::kInt8, Kind::kUint8};

// Scales and multipliers that no column shares with another.
struct Tables {
  std::vector<float> scales;
  std::vector<int32_t> multiplier, shift;
  Output output;

  Tables(Kind kind, size_t n) : scales(RandomFloats(n, 3)) {
    for (size_t j = 0; j < n; ++j) {
      const Multiplier m = MultiplierOf(1e-3 + 1e-5 * static_cast<double>(j));
      multiplier.push_back(m.value);
      shift.push_back(m.shift);
    }
    if (kind == Kind::kInt8 || kind == Kind::kUint8) {
      output.type = kind == Kind::kInt8 ? Integer::kInt8 : Integer::kUint8;
      output.low = kind == Kind::kInt8 ? -128 : 0;
      output.high = output.low + 255;
      output.zero_point = output.low + 100;
      output.multiplier = multiplier.data();
      output.shift = shift.data();
      return;
    }
    output.kind = kind == Kind::kBlocks ? FinishRows::Kind::kFloatSum
                                        : FinishRows::Kind::kFloat;
    if (kind != Kind::kBlocks) output.scales = scales.data();
  }
};

std::vector<std::byte> RunOnce(const IntMatmul& matmul, Output output,
                               const void* a, const WeightSource& source) {
  std::vector<std::byte> packed(PackedBytes(matmul.product));
  PackPanels(matmul.product, source, 0, PanelCount(matmul.product),
             packed.data());
  auto scratch = AlignedBuffer::Create(IntMatmulScratchBytes(matmul));
  std::vector<std::byte> y(matmul.a.m * matmul.product.n *
                           output.element_bytes());
  output.y = y.data();
  ThreadPool pool(2);
  RunIntMatmul(matmul, output, a, packed.data(), pool, scratch->data(),
               nullptr);
  return y;
}

// One layer of each kind, by words and then as `use` makes it.
template <typename Use>
void ExpectTheSameAsWords(const Level& level, Kind kind, size_t m, size_t n,
                          size_t k, int weight_shift, const Use& use) {
  const std::vector<float> floats = RandomFloats(m * k, 1, -1, 2);
  const std::vector<int8_t> integers = RandomBytes(m * k, 1);
  std::vector<int8_t> b = RandomBytes(n * k, 2);
  for (int8_t& weight : b) weight = static_cast<int8_t>(weight >> weight_shift);
  const size_t taps[] = {0};
  WeightSource source;
  source.data = b.data();
  source.taps = taps;
  source.per_tap = source.n_stride = k;
  source.flip = kind == Kind::kUint8;
  IntMatmul matmul;
  matmul.a.m = m;
  matmul.a.stride = k;
  matmul.a.dynamic = kind < Kind::kInt8;
  matmul.a.asymmetric = kind == Kind::kAsymmetric || kind == Kind::kBlocks;
  matmul.a.type = kind == Kind::kUint8 ? Integer::kUint8 : Integer::kInt8;
  matmul.a.zero = kind == Kind::kUint8 ? 77 : n % 2 ? -13 : 0;
  matmul.threads = 2;
  Product& product = matmul.product;
  product.kernels = level.kernels;
  product.n = n;
  product.k = k;
  product.weight_zero = kind == Kind::kBlocks ? 0 : 3;
  product.block = kind == Kind::kBlocks ? 8 : 0;
  const std::vector<float> block_scales =
      RandomFloats(BlockScaleCount(product), 4);
  product.block_scales = block_scales.data();
  const Tables tables(kind, n);
  const void* a = matmul.a.dynamic ? static_cast<const void*>(floats.data())
                                   : integers.data();
  const auto words = RunOnce(matmul, tables.output, a, source);
  use(product);
  ASSERT_EQ(RunOnce(matmul, tables.output, a, source), words);
}

TEST(ByteMatmul, IsThatOfWords) {
  for (const Level& level : LevelsHere()) {
    for (const Kind kind : kKinds) {
      for (const size_t m : {1, 2, 3, 4, 5, 12, 47, 49, 100}) {
        for (const size_t n : {1, 8, 31, 32, 70}) {
          for (const size_t k : {1, 3, 4, 37, 64, 600}) {
            if (kind == Kind::kBlocks && k % 8 != 0) continue;
            SCOPED_TRACE(testing::Message()
                         << level.bytes->name << " kind=" << int(kind)
                         << " m=" << m << " n=" << n << " k=" << k);
            ExpectTheSameAsWords(
                level, kind, m, n, k, 0,
                [&](Product& product) { product.bytes = level.bytes; });
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

TEST(NibbleMatmul, IsThatOfWords) {
  for (const Level& level : LevelsHere()) {
    for (const Kind kind :
         {Kind::kSymmetric, Kind::kAsymmetric, Kind::kBlocks, Kind::kInt8}) {
      for (const size_t m : {1, 2, 3, 4, 5, 12, 49, 100}) {
        for (const size_t n : {1, 8, 32, 70, 600}) {
          for (const size_t k : {1, 4, 8, 12, 37, 64, 600}) {
            if (kind == Kind::kBlocks && k % 8 != 0) continue;
            SCOPED_TRACE(testing::Message()
                         << level.bytes->name << " kind=" << int(kind)
                         << " m=" << m << " n=" << n << " k=" << k);
            ExpectTheSameAsWords(
                level, kind, m, n, k, 4, [&](Product& product) {
                  UseBytes(level.bytes, product);
                  const size_t bytes = PackedBytes(product);
                  UseNibbles(product);
                  ASSERT_TRUE(product.nibbles);
                  EXPECT_TRUE(k < 64 || PackedBytes(product) < bytes);
                });
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

struct ConvCase {
  size_t c, o, kernel, stride, dilation, pad, groups;
};

TEST(ByteConv, IsThatOfWords) {
  for (const Level& level : LevelsHere()) {
    for (const Kind kind : kKinds) {
      if (kind == Kind::kBlocks) continue;
      for (const ConvCase& c :
           {ConvCase{4, 9, 1, 1, 1, 0, 1}, ConvCase{6, 33, 1, 2, 1, 0, 1},
            ConvCase{3, 5, 3, 2, 1, 1, 1}, ConvCase{4, 6, 3, 1, 2, 2, 2},
            ConvCase{1, 40, 2, 1, 1, 1, 1}}) {
        for (const bool transposed : {false, true}) {
          if (transposed && (c.groups > 1 || c.dilation > 1)) continue;
          SCOPED_TRACE(testing::Message()
                       << level.bytes->name << " kind=" << int(kind) << " c="
                       << c.c << " o=" << c.o << " transposed=" << transposed);
          constexpr size_t kIn = 7;
          IntConv conv;
          if (transposed) {
            TransposeConvShape s;
            s.batch = 2;
            s.in_h = s.in_w = kIn;
            s.in_c = c.c;
            s.out_c = c.o;
            s.kernel_h = s.kernel_w = c.kernel;
            s.stride_h = s.stride_w = c.stride;
            s.pad_top = s.pad_left = c.pad;
            s.out_h = s.out_w = (kIn - 1) * c.stride + c.kernel - 2 * c.pad;
            conv = PlanIntTransposeConv(*level.kernels, s, 2);
          } else {
            ConvShape s;
            s.batch = 2;
            s.in_h = s.in_w = kIn;
            s.in_c = c.c;
            s.out_c = c.o;
            s.kernel_h = s.kernel_w = c.kernel;
            s.stride_h = s.stride_w = c.stride;
            s.dilation_h = s.dilation_w = c.dilation;
            s.pad_top = s.pad_left = c.pad;
            s.groups = c.groups;
            s.out_h = s.out_w =
                (kIn + 2 * c.pad - (c.kernel - 1) * c.dilation - 1) / c.stride +
                1;
            conv = PlanIntConv(*level.kernels, s, 2);
          }
          const size_t pixels = 2 * kIn * kIn * c.c;
          const std::vector<float> floats = RandomFloats(pixels, 1, -1, 2);
          const std::vector<int8_t> integers = RandomBytes(pixels, 1);
          const std::vector<int8_t> filter =
              RandomBytes(c.o * c.kernel * c.kernel * c.c / c.groups, 2);
          conv.dynamic = kind < Kind::kInt8;
          conv.asymmetric = kind == Kind::kAsymmetric;
          conv.type = kind == Kind::kUint8 ? Integer::kUint8 : Integer::kInt8;
          conv.zero = kind == Kind::kUint8 ? 77 : -13;
          for (ConvGrid& grid : conv.grids) grid.product.weight_zero = 3;
          const Tables tables(kind, c.o);
          const auto run = [&] {
            std::vector<std::byte> packed(conv.packed_bytes);
            PackIntConv(conv, filter.data(), kind == Kind::kUint8,
                        packed.data());
            auto scratch = AlignedBuffer::Create(IntConvScratchBytes(conv));
            std::vector<std::byte> y(2 * conv.out_h * conv.out_w * c.o *
                                     tables.output.element_bytes());
            Output output = tables.output;
            output.y = y.data();
            ThreadPool pool(2);
            RunIntConv(conv, output,
                       conv.dynamic ? static_cast<const void*>(floats.data())
                                    : integers.data(),
                       packed.data(), pool, scratch->data(), nullptr);
            return y;
          };
          const auto words = run();
          UseBytes(level.bytes, conv);
          ASSERT_EQ(conv.bytes, level.bytes);
          ASSERT_EQ(run(), words);
        }
      }
    }
  }
}

// Rows of its interior are read where they lie in the image.
TEST(IntConv, OfOneLongRowIsTheDefinition) {
  for (const Level& level : LevelsHere()) {
    for (const ByteDot* bytes :
         {static_cast<const ByteDot*>(nullptr), level.bytes}) {
      for (const auto& [stride, pad, taps] :
           {std::array<size_t, 3>{1, 3, 7}, {2, 0, 4}, {3, 2, 5}}) {
        SCOPED_TRACE(testing::Message() << level.bytes->name << " stride="
                                        << stride << " taps=" << taps);
        constexpr size_t kIn = 331, kChannels = 8, kOut = 5;
        ConvShape shape;
        shape.batch = 2;
        shape.in_h = shape.out_h = shape.kernel_h = 1;
        shape.in_w = kIn;
        shape.in_c = kChannels;
        shape.out_c = kOut;
        shape.kernel_w = taps;
        shape.stride_w = stride;
        shape.pad_left = pad;
        shape.out_w = (kIn + 2 * pad - taps) / stride + 1;
        IntConv conv = PlanIntConv(*level.kernels, shape, 2);
        conv.zero = -13;
        if (bytes) UseBytes(bytes, conv);
        const std::vector<int8_t> x = RandomBytes(2 * kIn * kChannels, 1);
        const std::vector<int8_t> w = RandomBytes(kOut * taps * kChannels, 2);
        std::vector<std::byte> packed(conv.packed_bytes);
        PackIntConv(conv, w.data(), false, packed.data());
        auto scratch = AlignedBuffer::Create(IntConvScratchBytes(conv));
        std::vector<int32_t> y(2 * shape.out_w * kOut);
        Output output;
        output.kind = FinishRows::Kind::kRaw;
        output.type = Integer::kInt32;
        output.y = reinterpret_cast<std::byte*>(y.data());
        ThreadPool pool(2);
        RunIntConv(conv, output, x.data(), packed.data(), pool, scratch->data(),
                   nullptr);
        for (size_t i = 0; i < y.size(); ++i) {
          const size_t image = i / kOut / shape.out_w;
          const size_t first = i / kOut % shape.out_w * stride;
          int32_t want = 0;
          for (size_t t = 0; t < taps; ++t) {
            if (first + t < pad || first + t - pad >= kIn) continue;
            for (size_t c = 0; c < kChannels; ++c) {
              want +=
                  (x[(image * kIn + first + t - pad) * kChannels + c] + 13) *
                  w[(i % kOut * taps + t) * kChannels + c];
            }
          }
          ASSERT_EQ(y[i], want) << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace lathe::kernels
