#include "src/kernels/recurrent/rnn.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace lathe::kernels {
namespace {

constexpr size_t kRows = 128;

size_t BlockTime(size_t batch, size_t time) {
  return std::clamp<size_t>(kRows / std::max<size_t>(1, batch), 1,
                            std::max<size_t>(1, time));
}

// Filters of one job.
constexpr size_t kFilters = 64;

}  // namespace

size_t RnnScratch(const RnnWeights& w, size_t batch, size_t time) {
  const size_t rows = batch * BlockTime(batch, time);
  return rows * w.units * sizeof(float) +
         std::max({ProductScratch(w.input, rows), ProductScratch(w.aux, rows),
                   ProductScratch(w.recurrent, batch)});
}

void RunRnn(const RecurrentKernels& kernels, const RnnWeights& w,
            const RnnSequence& s, std::byte* scratch, ThreadPool& pool) {
  if (s.batch == 0 || s.time == 0) return;
  const size_t block = BlockTime(s.batch, s.time);
  const size_t n = w.units;
  float* sums = reinterpret_cast<float*>(scratch);
  std::byte* product = scratch + s.batch * block * n * sizeof(float);
  for (size_t done = 0; done < s.time; done += block) {
    const size_t steps = std::min(block, s.time - done);
    const size_t first = s.backward ? s.time - done - steps : done;
    for (size_t row = 0; row < s.batch * steps; ++row) {
      std::copy_n(w.bias, n, sums + row * n);
    }
    const auto add = [&](const RecurrentMatrix& matrix, const float* x) {
      if (x == nullptr || matrix.blocks == 0) return;
      if (s.time_major) {
        AddProduct(kernels, matrix, s.batch * steps,
                   x + first * s.batch * matrix.k, matrix.k, sums, n, product,
                   pool);
        return;
      }
      for (size_t b = 0; b < s.batch; ++b) {
        AddProduct(kernels, matrix, steps, x + (b * s.time + first) * matrix.k,
                   matrix.k, sums + b * steps * n, n, product, pool);
      }
    };
    add(w.input, s.x);
    add(w.aux, s.aux);
    const size_t row_stride = s.time_major ? n : steps * n;
    const size_t step_stride = s.time_major ? s.batch * n : n;
    for (size_t i = 0; i < steps; ++i) {
      const size_t step = s.backward ? steps - 1 - i : i;
      float* now = sums + step * step_stride;
      AddProduct(kernels, w.recurrent, s.batch, s.h, n, now, row_stride,
                 product, pool);
      for (size_t b = 0; b < s.batch; ++b) {
        const size_t time = first + step;
        const size_t row =
            s.time_major ? time * s.batch + b : b * s.time + time;
        Activate(kernels.elementwise, w.activation, n, now + b * row_stride,
                 s.h + b * n);
        std::copy_n(s.h + b * n, n, s.y + row * s.y_stride);
      }
    }
  }
}

size_t SvdfScratch(const SvdfShape& shape, const RecurrentMatrix& feature) {
  return shape.batch * shape.filters() * sizeof(float) +
         ProductScratch(feature, shape.batch);
}

void RunSvdf(const RecurrentKernels& kernels, const SvdfShape& shape,
             const RecurrentMatrix& feature, const float* time,
             const float* bias, GateActivation activation, const float* x,
             float* state, float* y, std::byte* scratch, ThreadPool& pool) {
  const size_t filters = shape.filters(), memory = shape.memory;
  float* fresh = reinterpret_cast<float*>(scratch);
  std::fill_n(fresh, shape.batch * filters, 0.0F);
  AddProduct(kernels, feature, shape.batch, x, shape.inputs, fresh, filters,
             scratch + shape.batch * filters * sizeof(float), pool);
  for (size_t b = 0; b < shape.batch; ++b) {
    for (size_t u = 0; u < shape.units; ++u) {
      float sum = bias != nullptr ? bias[u] : 0;
      for (size_t r = 0; r < shape.rank; ++r) {
        const size_t filter = u * shape.rank + r;
        float* cells = state + (b * filters + filter) * memory;
        std::memmove(cells, cells + 1, (memory - 1) * sizeof(float));
        cells[memory - 1] = fresh[b * filters + filter];
        const float* weights = time + filter * memory;
        float dot = 0;
        for (size_t i = 0; i < memory; ++i) dot += weights[i] * cells[i];
        sum += dot;
      }
      y[b * shape.units + u] = sum;
    }
  }
  const size_t n = shape.batch * shape.units;
  Activate(kernels.elementwise, activation, n, y, y);
}

void RunIntegerSvdf(const SvdfShape& shape, const SvdfIntegers& numbers,
                    const int8_t* feature, const int16_t* time,
                    const int32_t* bias, const int8_t* x, int16_t* state,
                    int8_t* y, ThreadPool& pool) {
  const size_t filters = shape.filters(), memory = shape.memory;
  const size_t per_job = std::max<size_t>(1, kFilters / shape.rank);
  const size_t jobs = (shape.units + per_job - 1) / per_job;
  pool.Run(shape.batch * jobs, [&](size_t job, size_t) {
    const size_t b = job / jobs, first = job % jobs * per_job;
    const size_t last = std::min(shape.units, first + per_job);
    const int8_t* inputs = x + b * shape.inputs;
    for (size_t u = first; u < last; ++u) {
      uint32_t sum = bias != nullptr ? static_cast<uint32_t>(bias[u]) : 0;
      for (size_t r = 0; r < shape.rank; ++r) {
        const size_t filter = u * shape.rank + r;
        const int8_t* w = feature + filter * shape.inputs;
        uint32_t fresh = 0;
        for (size_t i = 0; i < shape.inputs; ++i) {
          fresh += static_cast<uint32_t>(w[i] * (inputs[i] - numbers.in_zero));
        }
        int16_t* cells = state + (b * filters + filter) * memory;
        std::memmove(cells, cells + 1, (memory - 1) * sizeof(int16_t));
        cells[memory - 1] = static_cast<int16_t>(std::clamp<int32_t>(
            Rescale(static_cast<int32_t>(fresh), numbers.to_state), -32768,
            32767));
        const int16_t* weights = time + filter * memory;
        for (size_t i = 0; i < memory; ++i) {
          sum += static_cast<uint32_t>(int32_t{weights[i]} * cells[i]);
        }
      }
      const int64_t out =
          int64_t{Rescale(static_cast<int32_t>(sum), numbers.to_output)} +
          numbers.out_zero;
      y[b * shape.units + u] =
          static_cast<int8_t>(std::clamp<int64_t>(out, -128, 127));
    }
  });
}

}  // namespace lathe::kernels
