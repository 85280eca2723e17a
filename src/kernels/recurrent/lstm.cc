#include "src/kernels/recurrent/lstm.h"

#include <algorithm>

namespace lathe::kernels {
namespace {

// Rows of inputs whose products are worked out together: enough for the matrix
// multiply, few enough to stay in the cache.
constexpr size_t kRows = 128;

size_t BlockTime(size_t batch, size_t time) {
  return std::clamp<size_t>(kRows / std::max<size_t>(1, batch), 1,
                            std::max<size_t>(1, time));
}

size_t Gates(const LstmWeights& w) { return w.coupled ? 3 : 4; }

// The block of a gate; the gate is there.
size_t Block(const LstmWeights& w, size_t gate) {
  return w.coupled ? gate - 1 : gate;
}

struct Scratch {
  size_t gates, joined_bias, hidden, product, bytes;  // Offsets and the end.
};

Scratch ScratchOf(const LstmWeights& w, size_t batch, size_t time) {
  const size_t rows = batch * BlockTime(batch, time);
  const size_t width = Gates(w) * w.cells;
  Scratch s;
  s.gates = 0;
  s.joined_bias = s.gates + rows * width * sizeof(float);
  s.hidden = s.joined_bias + width * sizeof(float);
  s.product = s.hidden + batch * w.cells * sizeof(float);
  s.bytes = s.product + std::max({ProductScratch(w.input, rows),
                                  ProductScratch(w.aux, rows),
                                  ProductScratch(w.recurrent, batch),
                                  ProductScratch(w.projection, batch)});
  return s;
}

void ClipTo(float limit, size_t n, float* x) {
  if (!(limit > 0)) return;
  for (size_t i = 0; i < n; ++i) x[i] = std::clamp(x[i], -limit, limit);
}

// One row of gates, from sums of products to activations.
void FinishGate(const RecurrentKernels& kernels, const LstmWeights& w,
                size_t gate, GateActivation activation, const float* c,
                float* x) {
  if (w.peephole[gate] != nullptr) {
    const float* p = w.peephole[gate];
    for (size_t i = 0; i < w.cells; ++i) x[i] += p[i] * c[i];
  }
  if (w.norm[gate] != nullptr) {
    constexpr float kEpsilon = 1e-8F;
    kernels.norm.layer_norm(w.cells, x, w.norm[gate], w.bias[gate], kEpsilon,
                            x);
  }
  Activate(kernels.elementwise, activation, w.cells, x, x);
}

// One row: gates to the new c, and o act(c) to `hidden`.
void UpdateRow(const RecurrentKernels& kernels, const LstmWeights& w,
               float* gates, float* c, float* hidden) {
  const size_t n = w.cells;
  const auto at = [&](size_t gate) { return gates + Block(w, gate) * n; };
  float* f = at(kForgetGate);
  float* g = at(kCellGate);
  float* o = at(kOutputGate);
  FinishGate(kernels, w, kForgetGate, GateActivation::kSigmoid, c, f);
  FinishGate(kernels, w, kCellGate, w.activation, c, g);
  if (w.coupled) {
    for (size_t i = 0; i < n; ++i) c[i] = f[i] * c[i] + (1.0F - f[i]) * g[i];
  } else {
    float* in = at(kInputGate);
    FinishGate(kernels, w, kInputGate, GateActivation::kSigmoid, c, in);
    for (size_t i = 0; i < n; ++i) c[i] = f[i] * c[i] + in[i] * g[i];
  }
  ClipTo(w.cell_clip, n, c);
  FinishGate(kernels, w, kOutputGate, GateActivation::kSigmoid, c, o);
  Activate(kernels.elementwise, w.activation, n, c, hidden);
  for (size_t i = 0; i < n; ++i) hidden[i] *= o[i];
}

void AddDiagonal(const LstmWeights& w, const float* h, float* gates) {
  for (size_t gate = w.coupled ? 1 : 0; gate < 4; ++gate) {
    const float* d = w.diagonal[gate];
    if (d == nullptr) continue;
    float* x = gates + Block(w, gate) * w.cells;
    for (size_t i = 0; i < w.cells; ++i) x[i] += d[i] * h[i];
  }
}

}  // namespace

size_t LstmScratch(const LstmWeights& weights, size_t batch, size_t time) {
  return ScratchOf(weights, batch, time).bytes;
}

void RunLstm(const RecurrentKernels& kernels, const LstmWeights& w,
             const LstmSequence& s, std::byte* scratch, ThreadPool& pool) {
  if (s.batch == 0 || s.time == 0) return;
  const Scratch place = ScratchOf(w, s.batch, s.time);
  float* gates = reinterpret_cast<float*>(scratch + place.gates);
  float* bias = reinterpret_cast<float*>(scratch + place.joined_bias);
  float* hidden = reinterpret_cast<float*>(scratch + place.hidden);
  std::byte* product = scratch + place.product;
  const size_t width = Gates(w) * w.cells;
  for (size_t gate = w.coupled ? 1 : 0; gate < 4; ++gate) {
    float* to = bias + Block(w, gate) * w.cells;
    // Layer norm adds the bias itself.
    if (w.bias[gate] != nullptr && w.norm[gate] == nullptr) {
      std::copy_n(w.bias[gate], w.cells, to);
    } else {
      std::fill_n(to, w.cells, 0.0F);
    }
  }
  const size_t block = BlockTime(s.batch, s.time);
  for (size_t done = 0; done < s.time; done += block) {
    const size_t steps = std::min(block, s.time - done);
    const size_t first = s.backward ? s.time - done - steps : done;
    // Rows of this block of time, in the order of x.
    for (size_t row = 0; row < s.batch * steps; ++row) {
      std::copy_n(bias, width, gates + row * width);
    }
    const auto add = [&](const RecurrentMatrix& matrix, const float* x) {
      if (x == nullptr || matrix.blocks == 0) return;
      if (s.time_major) {
        AddProduct(kernels, matrix, s.batch * steps,
                   x + first * s.batch * matrix.k, matrix.k, gates, width,
                   product, pool);
        return;
      }
      for (size_t b = 0; b < s.batch; ++b) {
        AddProduct(kernels, matrix, steps, x + (b * s.time + first) * matrix.k,
                   matrix.k, gates + b * steps * width, width, product, pool);
      }
    };
    add(w.input, s.x);
    add(w.aux, s.aux);
    const size_t row_stride = s.time_major ? width : steps * width;
    const size_t step_stride = s.time_major ? s.batch * width : width;
    for (size_t i = 0; i < steps; ++i) {
      const size_t step = s.backward ? steps - 1 - i : i;
      float* now = gates + step * step_stride;
      if (w.recurrent.blocks > 0) {
        AddProduct(kernels, w.recurrent, s.batch, s.h, w.outputs, now,
                   row_stride, product, pool);
      }
      for (size_t b = 0; b < s.batch; ++b) {
        float* row = now + b * row_stride;
        AddDiagonal(w, s.h + b * w.outputs, row);
        UpdateRow(kernels, w, row, s.c + b * w.cells, hidden + b * w.cells);
      }
      if (w.projection.blocks > 0) {
        for (size_t b = 0; b < s.batch; ++b) {
          float* h = s.h + b * w.outputs;
          if (w.projection_bias != nullptr) {
            std::copy_n(w.projection_bias, w.outputs, h);
          } else {
            std::fill_n(h, w.outputs, 0.0F);
          }
        }
        AddProduct(kernels, w.projection, s.batch, hidden, w.cells, s.h,
                   w.outputs, product, pool);
        ClipTo(w.projection_clip, s.batch * w.outputs, s.h);
      } else {
        std::copy_n(hidden, s.batch * w.cells, s.h);
      }
      for (size_t b = 0; b < s.batch; ++b) {
        const size_t time = first + step;
        const size_t row =
            s.time_major ? time * s.batch + b : b * s.time + time;
        std::copy_n(s.h + b * w.outputs, w.outputs, s.y + row * s.y_stride);
      }
    }
  }
}

void RunBasicLstm(const RecurrentKernels& kernels,
                  const RecurrentMatrix& matrix, size_t batch, size_t inputs,
                  size_t cells, const float* x, const float* h_before,
                  const float* bias, const float* c_before, float* h, float* c,
                  float* joined, float* gates, ThreadPool& pool) {
  const size_t width = inputs + cells;
  for (size_t b = 0; b < batch; ++b) {
    std::copy_n(x + b * inputs, inputs, joined + b * width);
    std::copy_n(h_before + b * cells, cells, joined + b * width + inputs);
    std::copy_n(bias, 4 * cells, gates + b * 4 * cells);
  }
  AddProduct(kernels, matrix, batch, joined, width, gates, 4 * cells, nullptr,
             pool);
  // The sums stay in `gates`, so the curves go through small blocks.
  constexpr size_t kBlock = 64;
  for (size_t b = 0; b < batch; ++b) {
    for (size_t first = 0; first < cells; first += kBlock) {
      const size_t n = std::min(kBlock, cells - first);
      const float* sums = gates + b * 4 * cells + first;
      const size_t at = b * cells + first;
      std::array<float, kBlock> in, cell, forget, out;
      const auto curve = [&](GateActivation activation, const float* x,
                             float* y) {
        Activate(kernels.elementwise, activation, n, x, y);
      };
      curve(GateActivation::kSigmoid, sums, in.data());
      curve(GateActivation::kTanh, sums + cells, cell.data());
      curve(GateActivation::kSigmoid, sums + 2 * cells, forget.data());
      curve(GateActivation::kSigmoid, sums + 3 * cells, out.data());
      for (size_t i = 0; i < n; ++i) {
        c[at + i] = forget[i] * c_before[at + i] + in[i] * cell[i];
      }
      curve(GateActivation::kTanh, c + at, cell.data());
      for (size_t i = 0; i < n; ++i) h[at + i] = out[i] * cell[i];
    }
  }
}

}  // namespace lathe::kernels
