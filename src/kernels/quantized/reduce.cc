#include "src/kernels/quantized/reduce.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "src/kernels/quantized/fixed_point.h"

namespace lathe::kernels {
namespace {

// Input elements of one job.
constexpr size_t kPiece = 32768;
// Neighbouring outputs that are reduced side by side.
constexpr size_t kBlock = 64;

size_t OffsetOf(const std::vector<ReduceLoops::Dim>& dims, size_t index) {
  size_t offset = 0;
  for (size_t i = dims.size(); i-- > 0;) {
    offset += index % dims[i].size * dims[i].stride;
    index /= dims[i].size;
  }
  return offset;
}

// Each job takes blocks of outputs that are neighbours in the input too; step
// gets the inputs of each output in the order of memory.
template <typename T, typename First, typename Step, typename Last>
void Run(const ReduceLoops& loops, const T* x, T* y, ThreadPool& pool,
         const First& first, const Step& step, const Last& last) {
  if (loops.outputs == 0) return;
  const bool side_by_side =
      !loops.kept.empty() && loops.kept.back().stride == 1;
  const size_t row = side_by_side ? loops.kept.back().size : 1;
  const size_t blocks_per_row = (row + kBlock - 1) / kBlock;
  const size_t blocks = loops.outputs / row * blocks_per_row;
  const size_t work =
      std::max<size_t>(1, std::min(row, kBlock) * loops.inputs_per_output);
  const size_t per_job = std::max<size_t>(1, kPiece / work);
  const bool any = !loops.reduced.empty();
  const size_t count = any ? loops.reduced.back().size : 1;
  const size_t stride = any ? loops.reduced.back().stride : 1;
  const size_t runs = count ? loops.inputs_per_output / count : 0;
  pool.Run((blocks + per_job - 1) / per_job, [&](size_t job, size_t) {
    const size_t end = std::min(blocks, (job + 1) * per_job);
    for (size_t block = job * per_job; block < end; ++block) {
      const size_t at = block % blocks_per_row * kBlock;
      const size_t out = block / blocks_per_row * row + at;
      const size_t n = std::min(kBlock, row - at);
      const T* from = x + OffsetOf(loops.kept, out);
      std::array<int32_t, kBlock> state;
      bool begun = false;
      for (size_t run = 0; run < runs; ++run) {
        const T* piece = from + OffsetOf(loops.reduced, run * count);
        for (size_t i = 0; i < count; ++i) {
          const T* inputs = piece + i * stride;
          if (!begun) {
            for (size_t j = 0; j < n; ++j) state[j] = first(inputs[j]);
            begun = true;
          } else {
            for (size_t j = 0; j < n; ++j) state[j] = step(state[j], inputs[j]);
          }
        }
      }
      for (size_t j = 0; j < n; ++j) {
        y[out + j] = Saturate<T>(begun ? last(state[j]) : last.Nothing());
      }
    }
  });
}

struct Keep {
  int64_t operator()(int32_t state) const { return state; }
  int64_t Nothing() const { return nothing; }
  int32_t nothing;
};

struct MeanEnd {
  int64_t operator()(int32_t sum) const {
    return int64_t{Rescale(static_cast<int32_t>(sum - offset), multiplier)} +
           zero;
  }
  int64_t Nothing() const { return zero; }
  Multiplier multiplier;
  int64_t offset;  // Before the multiplier ...
  int64_t zero;    // ... and behind it.
};

struct SumEnd {
  int64_t operator()(int32_t sum) const {
    const float y = std::round(static_cast<float>(sum) * scale + bias);
    return static_cast<int64_t>(std::clamp(y, -0x1p30f, 0x1p30f)) + zero;
  }
  int64_t Nothing() const { return zero; }
  float scale, bias;
  int32_t zero;
};

struct ProductEnd {
  int64_t operator()(int32_t product) const {
    return int64_t{Rescale64(product, multiplier)} + zero;
  }
  int64_t Nothing() const { return zero; }
  Multiplier multiplier;
  int32_t zero;
};

MeanEnd MeanOf(const QuantizedReduction& reduction, size_t n) {
  const Requantized& s = reduction.scales;
  if (reduction.pooled) {
    float shift = static_cast<float>(s.in_zero) * s.in_scale / s.out_scale;
    shift += shift > 0 ? 0.5F : -0.5F;
    return {MultiplierOf(s.in_scale / (static_cast<float>(n) * s.out_scale)), 0,
            int64_t{s.out_zero} -
                static_cast<int32_t>(std::clamp(shift, -0x1p30f, 0x1p30f))};
  }
  Multiplier m = MultiplierOf(double{s.in_scale} / double{s.out_scale});
  // The division by n keeps as many bits of the multiplier as it can.
  int shift = static_cast<int>(std::bit_width(n)) - 1;
  shift = std::min({shift, 32, 31 + m.shift});
  m.value = static_cast<int32_t>((int64_t{m.value} << shift) /
                                 static_cast<int64_t>(n));
  m.shift -= shift;
  return {m, static_cast<int64_t>(n) * s.in_zero, s.out_zero};
}

template <typename T>
void RunTyped(const QuantizedReduction& reduction, const ReduceLoops& loops,
              const T* x, T* y, ThreadPool& pool) {
  const Requantized& s = reduction.scales;
  const size_t n = loops.inputs_per_output;
  const auto same = [](T q) -> int32_t { return q; };
  const auto add = [](int32_t sum, T q) { return WrapAdd<int32_t>(sum, q); };
  switch (reduction.kind) {
    case Reduction::kMean:
      return Run(loops, x, y, pool, same, add,
                 n == 0 ? MeanEnd{{}, 0, s.out_zero} : MeanOf(reduction, n));
    case Reduction::kSum: {
      const float scale = s.in_scale / s.out_scale;
      const float bias =
          static_cast<float>(-s.in_zero) * scale * static_cast<float>(n);
      return Run(loops, x, y, pool, same, add, SumEnd{scale, bias, s.out_zero});
    }
    case Reduction::kMax:
      return Run(
          loops, x, y, pool, same,
          [](int32_t best, T q) { return std::max<int32_t>(best, q); },
          Keep{std::numeric_limits<T>::min()});
    case Reduction::kMin:
      return Run(
          loops, x, y, pool, same,
          [](int32_t best, T q) { return std::min<int32_t>(best, q); },
          Keep{std::numeric_limits<T>::max()});
    case Reduction::kProd: {
      if (n == 1) return Run(loops, x, y, pool, same, add, Keep{0});
      const Multiplier m = MultiplierOf(
          n == 0 ? 0
                 : double{s.in_scale} / std::pow(double{s.out_scale},
                                                 1.0 / static_cast<double>(n)));
      const int32_t zero = s.in_zero;
      return Run(
          loops, x, y, pool, [=](T q) { return q - zero; },
          [=](int32_t product, T q) {
            return Rescale64(int64_t{product} * (q - zero), m);
          },
          ProductEnd{m, s.out_zero});
    }
  }
}

}  // namespace

void RunQuantizedReduce(const QuantizedReduction& reduction, QuantizedType type,
                        const ReduceLoops& loops, const void* x, void* y,
                        ThreadPool& pool) {
  switch (type) {
    case QuantizedType::kInt8:
      return RunTyped(reduction, loops, static_cast<const int8_t*>(x),
                      static_cast<int8_t*>(y), pool);
    case QuantizedType::kUint8:
      return RunTyped(reduction, loops, static_cast<const uint8_t*>(x),
                      static_cast<uint8_t*>(y), pool);
    case QuantizedType::kInt16:
      return RunTyped(reduction, loops, static_cast<const int16_t*>(x),
                      static_cast<int16_t*>(y), pool);
  }
}

}  // namespace lathe::kernels
