#include "src/kernels/quantized/unary.h"

#include <array>
#include <cmath>
#include <limits>

#include "src/kernels/quantized/fixed_point.h"

namespace lathe::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr size_t kPiece = 8192;

float Gelu(float x) {
  return 0.5F * x * std::erfc(x * -static_cast<float>(0.70710678118654752440));
}

float GeluTanh(float x) {
  constexpr float kSqrt2OverPi =
      static_cast<float>(1.12837916709551257390 * 0.70710678118654752440);
  return 0.5F * x *
         (1.F + std::tanh(kSqrt2OverPi * (x + 0.044715F * x * x * x)));
}

// The bounds of an activation as integers of T.
template <typename T>
IntegerRange Bounds(float low, float high, const Requantized& s) {
  const auto at = [&](float real) {
    const float steps =
        std::clamp(std::round(real / s.out_scale), -0x1p30f, 0x1p30f);
    return int64_t{s.out_zero} + static_cast<int64_t>(steps);
  };
  constexpr int64_t kLow = std::numeric_limits<T>::min();
  constexpr int64_t kHigh = std::numeric_limits<T>::max();
  const int64_t from = std::clamp(at(low), kLow, kHigh);
  const int64_t to =
      high == kInfinity ? kHigh : std::clamp(at(high), kLow, kHigh);
  return {static_cast<int32_t>(from), static_cast<int32_t>(to)};
}

// Multipliers of a hostile file reach any int32.
int32_t AddSaturated(int32_t zero, int64_t y) {
  return static_cast<int32_t>(
      std::clamp<int64_t>(zero + y, std::numeric_limits<int32_t>::min(),
                          std::numeric_limits<int32_t>::max()));
}

template <typename T>
struct Rectifier {
  Rectifier(float low, float high, const Requantized& scales)
      : s(scales),
        multiplier(MultiplierOf(s.in_scale / s.out_scale)),
        range(Bounds<T>(low, high, s)) {}
  int32_t operator()(int32_t q) const {
    const int32_t y =
        AddSaturated(s.out_zero, Rescale(q - s.in_zero, multiplier));
    return std::min(std::max(y, range.low), range.high);
  }
  Requantized s;
  Multiplier multiplier;
  IntegerRange range;
};

struct Leak {
  Leak(const Requantized& scales, float alpha)
      : s(scales),
        identity(MultiplierOf(s.in_scale / s.out_scale)),
        slope(MultiplierOf(std::abs(s.in_scale * alpha / s.out_scale))),
        negative(alpha < 0) {}
  int32_t operator()(int32_t q) const {
    const int32_t x = q - s.in_zero;
    if (x >= 0) return AddSaturated(s.out_zero, Rescale(x, identity));
    const int64_t y = Rescale(x, slope);
    return AddSaturated(s.out_zero, negative ? -y : y);
  }
  Requantized s;
  Multiplier identity, slope;
  bool negative;
};

struct Absolute {
  explicit Absolute(const Requantized& scales)
      : s(scales), multiplier(MultiplierOf(s.in_scale / s.out_scale)) {}
  int32_t operator()(int32_t q) const {
    const int32_t x = std::abs(q - s.in_zero);
    return AddSaturated(s.out_zero,
                        s.in_scale == s.out_scale ? x : Rescale(x, multiplier));
  }
  Requantized s;
  Multiplier multiplier;
};

struct Root {
  int32_t operator()(int32_t q) const {
    const float x = s.in_scale * static_cast<float>(q - s.in_zero);
    if (!(x >= 0)) return s.out_zero;  // Refused before.
    return static_cast<int32_t>(std::min(std::sqrt(x) / s.out_scale, 0x1p30f)) +
           s.out_zero;
  }
  Requantized s;
};

struct InverseRoot {
  explicit InverseRoot(const Requantized& scales)
      : s(scales),
        multiplier(MultiplierOf(1. / (std::sqrt(s.in_scale) * s.out_scale))) {}
  int32_t operator()(int32_t q) const {
    constexpr int32_t kBits = 20;  // Keeps the inverse root an integer.
    const int32_t x = q - s.in_zero;
    if (x <= 0) return std::numeric_limits<int32_t>::max();
    Multiplier inverse = InverseSqrt(x);
    inverse.shift += kBits;
    const int32_t root = Rescale(1, inverse);
    Multiplier out = multiplier;
    out.shift = std::max(out.shift - kBits, -31);
    return static_cast<int32_t>(
        std::min<int64_t>(int64_t{Rescale(root, out)} + s.out_zero, 1 << 30));
  }
  Requantized s;
  Multiplier multiplier;
};

// x * relu6(x + 3) / 6 in 16-bit fixed point: one factor on a scale where 1 is
// the end of the ramp, the other on the scale of the output.
struct HardSwish {
  explicit HardSwish(const Requantized& scales) : s(scales) {
    const auto short_form = [](float real) {
      Multiplier m = MultiplierOf(real);
      m.value = static_cast<int32_t>(
          std::min<int64_t>((int64_t{m.value} + (1 << 15)) >> 16, 32767));
      return m;
    };
    const float fine = (1.0F / 128.0F) * s.in_scale;
    out = short_form(fine / s.out_scale);
    ramp = short_form(fine / (3.0F / 32768.0F));
  }
  int32_t operator()(int32_t q) const {
    using Raw = int16_t;
    const Raw x = static_cast<Raw>((q - s.in_zero) * 128);
    const Raw scaled = FixedMultiply(x, static_cast<Raw>(out.value));
    Raw r = x;
    if (ramp.shift > 0) r = FixedShift(r, std::min(ramp.shift - 1, 16));
    r = FixedMultiply(r, static_cast<Raw>(ramp.value));
    if (ramp.shift > 0) r = FixedShift(r, 1);
    if (ramp.shift < 0) r = FixedShift(r, std::max(ramp.shift, -31));
    r = static_cast<Raw>((r + 32768) >> 1);
    // Cut, not rounded.
    const Raw product = static_cast<Raw>((int32_t{r} * scaled) / 32768);
    const int32_t y = FixedShift(product, std::clamp(out.shift, -31, 0));
    return static_cast<Raw>(y + s.out_zero);
  }
  Requantized s;
  Multiplier out, ramp;
};

template <typename T>
ByteTable BytesOf(QuantizedUnary kind, const Requantized& s, float alpha) {
  switch (kind) {
    case QuantizedUnary::kRelu:
      return ByteTableOf<T>(Rectifier<T>(0, kInfinity, s));
    case QuantizedUnary::kRelu6:
      return ByteTableOf<T>(Rectifier<T>(0, 6, s));
    case QuantizedUnary::kReluN1To1:
      return ByteTableOf<T>(Rectifier<T>(-1, 1, s));
    case QuantizedUnary::kRelu0To1:
      return ByteTableOf<T>(Rectifier<T>(0, 1, s));
    case QuantizedUnary::kLeakyRelu:
      return ByteTableOf<T>(Leak(s, alpha));
    case QuantizedUnary::kAbs:
      return ByteTableOf<T>(Absolute(s));
    case QuantizedUnary::kHardSwish:
      return ByteTableOf<T>(HardSwish(s));
    case QuantizedUnary::kSqrt:
      return ByteTableOf<T>(Root{s});
    case QuantizedUnary::kRsqrt:
      return ByteTableOf<T>(InverseRoot(s));
    case QuantizedUnary::kExp:
      return RealByteTable<T>(s, [](float x) { return std::exp(x); });
    case QuantizedUnary::kLog: {
      const float lowest =
          static_cast<float>(std::numeric_limits<T>::min() - s.out_zero) *
          s.out_scale;
      return RealByteTable<T>(
          s, [=](float x) { return x <= 0 ? lowest : std::log(x); });
    }
    case QuantizedUnary::kElu:
      return RealByteTable<T>(
          s, [](float x) { return x < 0 ? std::expm1(x) : x; });
    case QuantizedUnary::kGelu:
      return RealByteTable<T>(s, Gelu);
    case QuantizedUnary::kGeluTanh:
      return RealByteTable<T>(s, GeluTanh);
    case QuantizedUnary::kTanh:
      return RealByteTable<T>(s, [](float x) { return std::tanh(x); });
    case QuantizedUnary::kLogistic:
      return RealByteTable<T>(
          s, [](float x) { return 1.0F / (1.0F + std::exp(-x)); });
  }
  return {};
}

using Run16 =
    std::function<void(size_t, const int16_t*, int16_t*, ThreadPool&)>;

// f gives an int32 that is clamped to the type.
template <typename F>
Run16 EachOf(const F& f) {
  return [=](size_t n, const int16_t* x, int16_t* y, ThreadPool& pool) {
    pool.Run((n + kPiece - 1) / kPiece, [&](size_t job, size_t) {
      const size_t end = std::min(n, (job + 1) * kPiece);
      for (size_t i = job * kPiece; i < end; ++i) {
        y[i] = Saturate<int16_t>(f(x[i]));
      }
    });
  };
}

template <typename F>
Run16 InterpolatedOf(const Requantized& s, const F& f) {
  const WordTable table =
      WordTableOf<float>(s.in_scale, s.in_zero, s.out_scale, s.out_zero, f);
  return [=](size_t n, const int16_t* x, int16_t* y, ThreadPool& pool) {
    RunWordTable(table, n, x, y, pool);
  };
}

// The format's samples of sigmoid(i / 24) with 16 bits after the point:
// rounded, and here and there one more, which fits the lines between them
// better.
const std::array<uint16_t, 256>& SigmoidSamples() {
  static const std::array<uint16_t, 256> samples = [] {
    std::array<uint16_t, 256> values{};
    for (int i = 0; i < 256; ++i) {
      values[i] =
          static_cast<uint16_t>(std::round(65536 / (1 + std::exp(-i / 24.0))));
    }
    constexpr uint8_t kOneMore[] = {
        4,  8,  12, 14, 15, 16, 17, 19, 20,  21,  22,  25,  27,  28, 29,
        30, 31, 33, 34, 35, 37, 39, 40, 41,  43,  44,  45,  46,  49, 50,
        54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255};
    for (const uint8_t i : kOneMore) ++values[i];
    return values;
  }();
  return samples;
}

// Both curves from the samples; x * multiplier >> shift counts 2^-9 samples for
// the logistic and 2^-8 for tanh, which is 2 sigmoid(2x) - 1.
template <bool kTanh>
struct SampledSigmoid {
  int32_t operator()(int16_t q) const {
    const int32_t round = shift > 0 ? 1 << (shift - 1) : 0;
    const int32_t x = (q * multiplier + round) >> shift;
    const uint32_t size = static_cast<uint32_t>(std::abs(x));
    constexpr uint32_t kBits = kTanh ? 8 : 9;
    const uint32_t index = size >> kBits;
    if constexpr (kTanh) {
      int32_t y = 0xFFFF << 8;
      if (index < 255) {
        const int32_t a = samples[index], b = samples[index + 1];
        y = (a << 8) + static_cast<int32_t>(size & 0xFF) * (b - a);
      }
      return (x >= 0 ? y - (1 << 23) + (1 << 7)
                     : -y + (1 << 23) + (1 << 7) - 1) >>
             8;
    } else {
      uint32_t y = 0x7FFF << 10;
      if (index < 255) {
        const uint32_t a = samples[index], b = samples[index + 1];
        y = (a << 9) + (size & 0x1FF) * (b - a);
      }
      y = x >= 0 ? y + (1 << 9) : (1U << 25) - y + (1 << 9) - 1;
      return static_cast<int32_t>(y >> 10);
    }
  }
  const std::array<uint16_t, 256>& samples;
  int32_t multiplier, shift;
};

// Power-of-two scales of 2^-12 and 2^-11 have their own arithmetic.
template <bool kTanh>
Run16 SigmoidOf(float scale) {
  int exponent = 0;
  if (IsPowerOfTwo(scale, &exponent)) {
    const int left = 12 + exponent;
    if (left == 0 || (kTanh && left == 1)) {
      return EachOf([left](int16_t q) -> int32_t {
        const int16_t x = FixedShift(q, left);
        return kTanh ? FixedTanh<3>(x) : FixedLogistic<3>(x);
      });
    }
  }
  double multiplier = double{scale} * 4096.0 * 3.0;
  int32_t shift = 0;
  while (multiplier <= 32767.0 / 2.0 && shift <= 30) {
    ++shift;
    multiplier *= 2;
  }
  return EachOf(SampledSigmoid<kTanh>{
      SigmoidSamples(), static_cast<int32_t>(std::min(multiplier, 65535.0)),
      shift});
}

}  // namespace

bool IsPowerOfTwo(float x, int* exponent) {
  const float log2 = std::log(x) * (1.0F / std::log(2.0F));
  const float rounded = std::round(log2);
  *exponent = static_cast<int>(std::clamp(rounded, -1000.0F, 1000.0F));
  return std::abs(log2 - rounded) < 1e-3F;
}

ByteTable UnaryByteTable(QuantizedUnary kind, bool is_signed,
                         const Requantized& scales, float alpha) {
  return is_signed ? BytesOf<int8_t>(kind, scales, alpha)
                   : BytesOf<uint8_t>(kind, scales, alpha);
}

std::function<void(size_t, const int16_t*, int16_t*, ThreadPool&)> UnaryInt16(
    QuantizedUnary kind, const Requantized& s, float alpha) {
  switch (kind) {
    case QuantizedUnary::kRelu:
      return EachOf(Rectifier<int16_t>(0, kInfinity, s));
    case QuantizedUnary::kRelu6:
      return EachOf(Rectifier<int16_t>(0, 6, s));
    case QuantizedUnary::kReluN1To1:
      return EachOf(Rectifier<int16_t>(-1, 1, s));
    case QuantizedUnary::kRelu0To1:
      return EachOf(Rectifier<int16_t>(0, 1, s));
    case QuantizedUnary::kLeakyRelu:
      return EachOf(Leak(s, alpha));
    case QuantizedUnary::kAbs:
      return EachOf(Absolute(s));
    case QuantizedUnary::kSqrt:
      return EachOf(Root{s});
    case QuantizedUnary::kRsqrt: {
      const float most = 32767 * s.out_scale;
      return InterpolatedOf(
          s, [=](float x) { return x <= 0 ? most : 1.0F / std::sqrt(x); });
    }
    case QuantizedUnary::kExp:
      return InterpolatedOf(s, [](float x) { return std::exp(x); });
    case QuantizedUnary::kLog: {
      const float lowest =
          static_cast<float>(-32768 - s.out_zero) * s.out_scale;
      return InterpolatedOf(
          s, [=](float x) { return x <= 0 ? lowest : std::log(x); });
    }
    case QuantizedUnary::kGelu:
      return InterpolatedOf(s, Gelu);
    case QuantizedUnary::kGeluTanh:
      return InterpolatedOf(s, GeluTanh);
    case QuantizedUnary::kTanh:
      return SigmoidOf<true>(s.in_scale);
    case QuantizedUnary::kLogistic:
      return SigmoidOf<false>(s.in_scale);
    case QuantizedUnary::kHardSwish:
    case QuantizedUnary::kElu:
      break;
  }
  return nullptr;
}

}  // namespace lathe::kernels
