#include "src/kernels/quantized/convert.h"

#include <algorithm>
#include <array>
#include <limits>

#include "src/base/half.h"
#include "src/kernels/movement/narrow.h"

namespace lathe::kernels {
namespace {

// Elements of one job; a multiple of the numbers in a byte.
constexpr size_t kPerJob = 1 << 14;
constexpr size_t kPerBlock = 1024;

size_t BitsOf(Stored type) {
  switch (type) {
    case Stored::kInt2:
      return 2;
    case Stored::kInt4:
    case Stored::kUint4:
      return 4;
    case Stored::kInt8:
    case Stored::kUint8:
      return 8;
    default:
      return 16;
  }
}

// Calls f(first, count, channel) for each run of elements of one channel.
template <typename F>
void ForRuns(const Scaling& scaling, size_t first, size_t last, const F& f) {
  while (first < last) {
    const size_t channel = first / scaling.inner % scaling.channels;
    const size_t end =
        scaling.channels == 1
            ? last
            : std::min(last, (first / scaling.inner + 1) * scaling.inner);
    f(first, end - first, channel);
    first = end;
  }
}

void LoadRuns(const QuantizedKernels& kernels, Integer type,
              const Scaling& scaling, size_t first, size_t last,
              const std::byte* x, float* y) {
  ForRuns(scaling, first, last, [&](size_t i, size_t n, size_t channel) {
    kernels.load(type, x + (i - first) * BytesOf(type), n,
                 scaling.scale[channel], scaling.zero[channel], y + i);
  });
}

// Elements [first, last); first is a multiple of kPerBlock.
void DequantizePart(const QuantizedKernels& kernels, Stored type,
                    const Scaling& scaling, size_t first, size_t last,
                    const std::byte* x, float* y) {
  x += first * BitsOf(type) / 8;
  const uint16_t* halves = reinterpret_cast<const uint16_t*>(x);
  switch (type) {
    case Stored::kInt8:
      return LoadRuns(kernels, Integer::kInt8, scaling, first, last, x, y);
    case Stored::kUint8:
      return LoadRuns(kernels, Integer::kUint8, scaling, first, last, x, y);
    case Stored::kInt16:
      return LoadRuns(kernels, Integer::kInt16, scaling, first, last, x, y);
    case Stored::kFloat16:
      for (size_t i = first; i < last; ++i) y[i] = HalfToFloat(*halves++);
      return;
    case Stored::kBfloat16:
      for (size_t i = first; i < last; ++i) y[i] = Bf16ToFloat(*halves++);
      return;
    default:
      break;
  }
  std::array<std::byte, kPerBlock> plain;
  for (; first < last; first += kPerBlock) {
    const size_t end = std::min(last, first + kPerBlock);
    Unpack({BitsOf(type), type != Stored::kUint4}, end - first, x,
           plain.data());
    LoadRuns(kernels, Integer::kInt8, scaling, first, end, plain.data(), y);
    x += kPerBlock * BitsOf(type) / 8;
  }
}

struct Limits {
  int32_t low, high;
};
Limits LimitsOf(Stored type) {
  switch (type) {
    case Stored::kInt2:
      return {-2, 1};
    case Stored::kInt4:
      return {-8, 7};
    case Stored::kUint4:
      return {0, 15};
    case Stored::kInt8:
      return {-128, 127};
    case Stored::kUint8:
      return {0, 255};
    default:
      return {-32768, 32767};
  }
}

void StoreRuns(const QuantizedKernels& kernels, Integer type, Limits limits,
               const Scaling& scaling, size_t first, size_t last,
               const float* x, std::byte* y) {
  ForRuns(scaling, first, last, [&](size_t i, size_t n, size_t channel) {
    kernels.store(x + i, n, scaling.scale[channel], scaling.zero[channel],
                  limits.low, limits.high, type,
                  y + (i - first) * BytesOf(type));
  });
}

void QuantizePart(const QuantizedKernels& kernels, Stored type,
                  const Scaling& scaling, size_t first, size_t last,
                  const float* x, std::byte* y) {
  y += first * BitsOf(type) / 8;
  const Limits limits = LimitsOf(type);
  if (BitsOf(type) >= 8) {
    const Integer integer = type == Stored::kInt8    ? Integer::kInt8
                            : type == Stored::kUint8 ? Integer::kUint8
                                                     : Integer::kInt16;
    return StoreRuns(kernels, integer, limits, scaling, first, last, x, y);
  }
  std::array<std::byte, kPerBlock> plain;
  for (; first < last; first += kPerBlock) {
    const size_t end = std::min(last, first + kPerBlock);
    StoreRuns(kernels, Integer::kInt8, limits, scaling, first, end, x,
              plain.data());
    Pack({BitsOf(type), true}, end - first, plain.data(), y);
    y += kPerBlock * BitsOf(type) / 8;
  }
}

template <typename F>
void ForJobs(ThreadPool& pool, size_t n, const F& part) {
  pool.Run((n + kPerJob - 1) / kPerJob, [&](size_t job, size_t) {
    part(job * kPerJob, std::min(n, (job + 1) * kPerJob));
  });
}

template <typename From, typename To>
void RequantizePart(const Requantization& how, size_t n, const From* x, To* y) {
  for (size_t i = 0; i < n; ++i) {
    const int32_t centred = static_cast<int32_t>(
        static_cast<uint32_t>(x[i]) - static_cast<uint32_t>(how.x_zero));
    const int64_t sum = int64_t{Rescale(centred, how.multiplier)} + how.y_zero;
    y[i] = static_cast<To>(std::clamp<int64_t>(
        sum, std::numeric_limits<To>::min(), std::numeric_limits<To>::max()));
  }
}

// Calls f with a null pointer of the type.
template <typename F>
void WithType(Integer type, const F& f) {
  switch (type) {
    case Integer::kInt8:
      return f(static_cast<int8_t*>(nullptr));
    case Integer::kUint8:
      return f(static_cast<uint8_t*>(nullptr));
    case Integer::kInt16:
      return f(static_cast<int16_t*>(nullptr));
    case Integer::kInt32:
      return f(static_cast<int32_t*>(nullptr));
  }
}

}  // namespace

void RunDequantize(const QuantizedKernels& kernels, Stored type,
                   const Scaling& scaling, const std::byte* x, float* y,
                   ThreadPool& pool) {
  ForJobs(pool, scaling.n, [&](size_t first, size_t last) {
    DequantizePart(kernels, type, scaling, first, last, x, y);
  });
}

void Dequantize(const QuantizedKernels& kernels, Stored type,
                const Scaling& scaling, const std::byte* x, float* y) {
  DequantizePart(kernels, type, scaling, 0, scaling.n, x, y);
}

void RunQuantize(const QuantizedKernels& kernels, Stored type,
                 const Scaling& scaling, const float* x, std::byte* y,
                 ThreadPool& pool) {
  ForJobs(pool, scaling.n, [&](size_t first, size_t last) {
    QuantizePart(kernels, type, scaling, first, last, x, y);
  });
}

void RunRequantize(Integer from, Integer to, const Requantization& how,
                   size_t n, const void* x, void* y, ThreadPool& pool) {
  WithType(from, [&]<typename From>(From*) {
    WithType(to, [&]<typename To>(To*) {
      ForJobs(pool, n, [&](size_t first, size_t last) {
        RequantizePart(how, last - first, static_cast<const From*>(x) + first,
                       static_cast<To*>(y) + first);
      });
    });
  });
}

}  // namespace lathe::kernels
