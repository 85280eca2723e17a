#include "src/kernels/recurrent/integer_lstm.h"

#include <algorithm>

#include "src/kernels/quantized/fixed_point.h"

namespace lathe::kernels {
namespace {

// Cells of one job.
constexpr size_t kCells = 64;

// Like Rescale, but halves go up in the shift to the right: what the matrix
// multiply behind the basic kernel does.
int32_t RescaleUp(int32_t x, Multiplier multiplier) {
  if (multiplier.shift >= 0) return Rescale(x, multiplier);
  const int64_t high = RoundingHighMultiply(x, multiplier.value);
  const int32_t right = -multiplier.shift;
  return static_cast<int32_t>((high + (int64_t{1} << (right - 1))) >> right);
}

int16_t Sat16(int64_t x) { return Saturate<int16_t>(x); }
int8_t Sat8(int64_t x) { return Saturate<int8_t>(x); }

template <int kIntegerBits>
void TanhRow(size_t n, const int16_t* x, int16_t* y) {
  for (size_t i = 0; i < n; ++i) y[i] = FixedTanh<kIntegerBits>(x[i]);
}

void Tanh(int32_t integer_bits, size_t n, const int16_t* x, int16_t* y) {
  switch (integer_bits) {
    case 0:
      return TanhRow<0>(n, x, y);
    case 1:
      return TanhRow<1>(n, x, y);
    case 2:
      return TanhRow<2>(n, x, y);
    case 3:
      return TanhRow<3>(n, x, y);
    case 4:
      return TanhRow<4>(n, x, y);
    case 5:
      return TanhRow<5>(n, x, y);
    default:
      return TanhRow<6>(n, x, y);
  }
}

// Mean and deviation with 10 more bits; 20 bits for the mean of the squares.
void Normalise(const IntegerGate& gate, size_t n, int16_t* x) {
  if (n == 0) return;
  const int64_t count = static_cast<int64_t>(n);
  int64_t sum = 0, squares = 0;
  for (size_t i = 0; i < n; ++i) {
    sum += x[i];
    squares += int32_t{x[i]} * x[i];
  }
  const int32_t mean = static_cast<int32_t>(sum * 1024 / count);
  constexpr int64_t kOne = 1 << 20;
  const int64_t variance =
      (squares * (kOne / count) - int64_t{mean} * mean) / kOne;
  const Multiplier inverse = InverseSqrt(
      variance < 1
          ? gate.variance_guard
          : static_cast<int32_t>(std::min<int64_t>(variance, INT32_MAX)));
  Multiplier scale = gate.norm_scale;
  scale.shift += 12;
  for (size_t i = 0; i < n; ++i) {
    const int32_t centred = 1024 * x[i] - mean;
    const int64_t value =
        int64_t{Rescale(centred, inverse)} * gate.norm[i] + gate.norm_bias[i];
    const int64_t rounded = (value + (value > 0 ? 512 : -512)) / 1024;
    x[i] = Sat16(Rescale(Saturate<int32_t>(rounded), scale));
  }
}

// Sums of one gate for cells [first, last) of one row.
void GateSums(const IntegerLstm& lstm, const IntegerGate& gate, size_t first,
              size_t last, const int8_t* x, const int8_t* h, const int16_t* c,
              int16_t* sums) {
  for (size_t i = first; i < last; ++i) {
    const int32_t of_x =
        WrapAdd(gate.input_bias[i],
                DotBytes(lstm.inputs, gate.input + i * lstm.inputs, x));
    int32_t sum = Sat16(Rescale(of_x, gate.to_gate_x));
    const int32_t of_h =
        WrapAdd(gate.recurrent_bias[i],
                DotBytes(lstm.outputs, gate.recurrent + i * lstm.outputs, h));
    sum = Sat16(int64_t{sum} + Rescale(of_h, gate.to_gate_h));
    if (gate.peephole != nullptr) {
      sum = Sat16(int64_t{sum} +
                  Rescale(gate.peephole[i] * c[i], gate.to_gate_c));
    }
    sums[i] = static_cast<int16_t>(sum);
  }
}

void FinishGate(const IntegerLstm& lstm, const IntegerGate& gate, bool is_tanh,
                int16_t* sums) {
  const size_t n = lstm.cells;
  if (gate.norm != nullptr) Normalise(gate, n, sums);
  if (is_tanh) {
    Tanh(3, n, sums, sums);
  } else {
    for (size_t i = 0; i < n; ++i) sums[i] = FixedLogistic<3>(sums[i]);
  }
}

// a * b / 2^shift, cut to 16 bits as they come: the factors are below one.
int16_t Product(int32_t a, int32_t b, int32_t shift) {
  return static_cast<int16_t>(RoundingShift(a * b, shift));
}

void UpdateCells(const IntegerLstm& lstm, const int16_t* in, const int16_t* f,
                 const int16_t* g, int16_t* c) {
  const int32_t shift = 30 + lstm.cell_exponent;
  for (size_t i = 0; i < lstm.cells; ++i) {
    const int32_t enter = lstm.coupled ? 32767 - f[i] : in[i];
    c[i] =
        Sat16(int64_t{Product(f[i], c[i], 15)} + Product(enter, g[i], shift));
    if (lstm.cell_clip > 0) {
      c[i] = std::clamp<int16_t>(c[i], static_cast<int16_t>(-lstm.cell_clip),
                                 lstm.cell_clip);
    }
  }
}

// One row of one step.
void Step(const IntegerLstm& lstm, const int8_t* x, int8_t* h, int16_t* c,
          int16_t* sums, int8_t* hidden, ThreadPool& pool) {
  const size_t n = lstm.cells;
  const auto row = [&](size_t gate) { return sums + gate * n; };
  // The output gate may look at the new c, so it waits.
  const size_t begin = lstm.coupled ? kForgetGate : kInputGate;
  const size_t end =
      lstm.gates[kOutputGate].peephole != nullptr ? kOutputGate : 4;
  const size_t jobs = (n + kCells - 1) / kCells;
  const auto run = [&](size_t from, size_t to) {
    pool.Run((to - from) * jobs, [&](size_t job, size_t) {
      const size_t gate = from + job / jobs, first = job % jobs * kCells;
      GateSums(lstm, lstm.gates[gate], first, std::min(n, first + kCells), x, h,
               c, row(gate));
    });
  };
  run(begin, end);
  for (size_t gate = begin; gate < kOutputGate; ++gate) {
    FinishGate(lstm, lstm.gates[gate], gate == kCellGate, row(gate));
  }
  UpdateCells(lstm, row(kInputGate), row(kForgetGate), row(kCellGate), c);
  if (end == kOutputGate) run(kOutputGate, 4);
  FinishGate(lstm, lstm.gates[kOutputGate], false, row(kOutputGate));

  const int16_t* o = row(kOutputGate);
  int16_t* t = row(kForgetGate);
  Tanh(15 + lstm.cell_exponent, n, c, t);
  const int32_t zero =
      lstm.projection != nullptr ? -lstm.hidden_zero : lstm.hidden_zero;
  int8_t* to = lstm.projection != nullptr ? hidden : h;
  for (size_t i = 0; i < n; ++i) {
    to[i] = Sat8(int64_t{Rescale(int32_t{o[i]} * t[i], lstm.to_hidden)} + zero);
  }
  if (lstm.projection == nullptr) return;
  for (size_t i = 0; i < lstm.outputs; ++i) {
    const int32_t sum = WrapAdd(lstm.projection_bias[i],
                                DotBytes(n, lstm.projection + i * n, hidden));
    int8_t value =
        Sat8(int64_t{Rescale(sum, lstm.to_output)} + lstm.output_zero);
    if (lstm.projection_clip > 0) {
      value =
          std::clamp<int8_t>(value, static_cast<int8_t>(-lstm.projection_clip),
                             lstm.projection_clip);
    }
    h[i] = value;
  }
}

}  // namespace

size_t IntegerLstmScratch(const IntegerLstm& lstm, size_t batch) {
  return lstm.cells * (4 * sizeof(int16_t) + 1);
}

void RunIntegerLstm(const IntegerLstm& lstm, const IntegerSequence& s,
                    std::byte* scratch, ThreadPool& pool) {
  int16_t* sums = reinterpret_cast<int16_t*>(scratch);
  int8_t* hidden = reinterpret_cast<int8_t*>(sums + 4 * lstm.cells);
  for (size_t time = 0; time < s.time; ++time) {
    for (size_t b = 0; b < s.batch; ++b) {
      const size_t row = s.time_major ? time * s.batch + b : b * s.time + time;
      int8_t* h = s.h + b * lstm.outputs;
      Step(lstm, s.x + row * lstm.inputs, h, s.c + b * lstm.cells, sums, hidden,
           pool);
      std::copy_n(h, lstm.outputs, s.y + row * lstm.outputs);
    }
  }
}

void RunBasicIntegerLstm(const BasicIntegerLstm& lstm, const uint8_t* weights,
                         const int32_t* bias, const uint8_t* x,
                         const uint8_t* h_before, const int16_t* c_before,
                         uint8_t* h, int16_t* c, uint8_t* joined,
                         int16_t* gates, ThreadPool& pool) {
  const size_t n = lstm.cells, width = lstm.inputs + n;
  for (size_t b = 0; b < lstm.batch; ++b) {
    uint8_t* row = joined + b * width;
    std::copy_n(x + b * lstm.inputs, lstm.inputs, row);
    std::copy_n(h_before + b * n, n, row + lstm.inputs);
    int16_t* sums = gates + b * 4 * n;
    for (size_t j = 0; j < 4 * n; ++j) {
      const uint8_t* w = weights + j * width;
      uint32_t sum = static_cast<uint32_t>(bias[j]);
      for (size_t p = 0; p < width; ++p) {
        sum +=
            static_cast<uint32_t>((row[p] - 128) * (w[p] - lstm.weights_zero));
      }
      sums[j] = Sat16(RescaleUp(static_cast<int32_t>(sum), lstm.to_gate));
    }
    for (size_t j = 0; j < n; ++j) {
      const int16_t in = FixedLogistic<3>(sums[j]);
      const int16_t g = FixedTanh<3>(sums[n + j]);
      const int16_t f = FixedLogistic<3>(sums[2 * n + j]);
      const int16_t o = FixedLogistic<3>(sums[3 * n + j]);
      const int16_t kept = FixedMultiply(f, c_before[b * n + j]);
      const int16_t state =
          Sat16(int64_t{FixedShift(FixedMultiply(in, g), -4)} + kept);
      c[b * n + j] = state;
      const int16_t out = FixedMultiply(o, FixedTanh<3>(FixedShift(state, 1)));
      h[b * n + j] = static_cast<uint8_t>(128 + Sat8(FixedShift(out, -8)));
    }
  }
}

}  // namespace lathe::kernels
