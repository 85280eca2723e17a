// LSTM, RNN and SVDF against their definitions in double, on every ISA level.

#include <cmath>
#include <vector>

#include "src/kernels/recurrent/lstm.h"
#include "src/kernels/recurrent/rnn.h"
#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

using Doubles = std::vector<double>;

RecurrentKernels KernelsFor(Isa isa) {
  return {ChooseGemm(isa), ChooseElementwise(isa), ChooseNorm(isa)};
}

// One or more matrices [rows, k] in a row, and their packing.
struct Weights {
  Weights(const RecurrentKernels& kernels, size_t blocks, size_t rows, size_t k,
          uint32_t seed)
      : values(RandomFloats(blocks * rows * k, seed, -0.6F, 0.6F)) {
    matrix.blocks = blocks;
    matrix.rows = rows;
    matrix.k = k;
    const PanelShape shape{blocks * rows, 1, k};
    packed.resize(PackedFloats(kernels.gemm, shape));
    PackPanels(kernels.gemm, shape, values.data(), 0, 1, k, packed.data());
    matrix.packed = packed.data();
  }
  double Dot(size_t row, const double* x) const {
    double sum = 0;
    for (size_t i = 0; i < matrix.k; ++i) {
      sum += double{values[row * matrix.k + i]} * x[i];
    }
    return sum;
  }
  std::vector<float> values, packed;
  RecurrentMatrix matrix;
};

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

struct LstmOptions {
  bool coupled = false, peephole = false, norm = false, projection = false,
       time_major = false, backward = false, diagonal = false, aux = false;
};

void CheckLstm(const RecurrentKernels& kernels, const LstmOptions& options,
               size_t batch, size_t time, size_t inputs, size_t cells,
               int threads) {
  const size_t outputs = options.projection ? 3 : cells;
  const size_t gates = options.coupled ? 3 : 4, first = 4 - gates;
  const size_t aux_inputs = 2;
  const Weights input(kernels, gates, cells, inputs, 1);
  const Weights recurrent(kernels, gates, cells, outputs, 2);
  const Weights projection(kernels, 1, outputs, cells, 3);
  const Weights aux(kernels, gates, cells, aux_inputs, 4);
  const std::vector<float> bias = RandomFloats(4 * cells, 5);
  const std::vector<float> peephole = RandomFloats(4 * cells, 6);
  const std::vector<float> norm = RandomFloats(4 * cells, 7, 0.5F, 1.5F);
  const std::vector<float> diagonal = RandomFloats(4 * cells, 8);
  const std::vector<float> out_bias = RandomFloats(outputs, 9);
  const std::vector<float> x = RandomFloats(batch * time * inputs, 10);
  const std::vector<float> ax = RandomFloats(batch * time * aux_inputs, 11);
  std::vector<float> h = RandomFloats(batch * outputs, 12);
  std::vector<float> c = RandomFloats(batch * cells, 13);
  Doubles rh(h.begin(), h.end()), rc(c.begin(), c.end());

  LstmWeights w;
  w.inputs = inputs;
  w.aux_inputs = options.aux ? aux_inputs : 0;
  w.cells = cells;
  w.outputs = outputs;
  w.coupled = options.coupled;
  w.input = input.matrix;
  if (options.aux) w.aux = aux.matrix;
  if (!options.diagonal) w.recurrent = recurrent.matrix;
  if (options.projection) w.projection = projection.matrix;
  for (size_t gate = first; gate < 4; ++gate) {
    w.bias[gate] = bias.data() + gate * cells;
    if (options.diagonal) w.diagonal[gate] = diagonal.data() + gate * cells;
    if (options.norm) w.norm[gate] = norm.data() + gate * cells;
    if (options.peephole && gate != kCellGate) {
      w.peephole[gate] = peephole.data() + gate * cells;
    }
  }
  w.projection_bias = options.projection ? out_bias.data() : nullptr;
  w.cell_clip = 0.8F;
  w.projection_clip = 0.7F;

  LstmSequence s;
  s.batch = batch;
  s.time = time;
  s.time_major = options.time_major;
  s.backward = options.backward;
  s.x = x.data();
  s.aux = options.aux ? ax.data() : nullptr;
  s.h = h.data();
  s.c = c.data();
  Fenced y(batch * time * outputs);
  s.y = y.data();
  s.y_stride = outputs;
  std::vector<std::byte> scratch(LstmScratch(w, batch, time));
  ThreadPool pool(threads);
  RunLstm(kernels, w, s, scratch.data(), pool);

  Doubles want(y.size());
  for (size_t i = 0; i < time; ++i) {
    const size_t t = options.backward ? time - 1 - i : i;
    for (size_t b = 0; b < batch; ++b) {
      const size_t row = options.time_major ? t * batch + b : b * time + t;
      const Doubles in(
          x.begin() + static_cast<std::ptrdiff_t>(row * inputs),
          x.begin() + static_cast<std::ptrdiff_t>((row + 1) * inputs));
      const Doubles more(
          ax.begin() + static_cast<std::ptrdiff_t>(row * aux_inputs),
          ax.begin() + static_cast<std::ptrdiff_t>((row + 1) * aux_inputs));
      double* state = rc.data() + b * cells;
      double* hidden = rh.data() + b * outputs;
      std::vector<Doubles> g(4, Doubles(cells));
      const auto finish = [&](size_t gate, bool is_tanh) {
        Doubles& sums = g[gate];
        for (size_t j = 0; j < cells; ++j) {
          const size_t at = (gate - first) * cells + j;
          sums[j] = input.Dot(at, in.data());
          if (options.aux) sums[j] += aux.Dot(at, more.data());
          sums[j] += options.diagonal
                         ? double{diagonal[gate * cells + j]} * hidden[j]
                         : recurrent.Dot(at, hidden);
          if (options.peephole && gate != kCellGate) {
            sums[j] += double{peephole[gate * cells + j]} * state[j];
          }
        }
        double mean = 0, variance = 0;
        for (const double v : sums) mean += v / static_cast<double>(cells);
        for (const double v : sums) {
          variance += (v - mean) * (v - mean) / static_cast<double>(cells);
        }
        for (size_t j = 0; j < cells; ++j) {
          if (options.norm) {
            sums[j] = (sums[j] - mean) / std::sqrt(variance + 1e-8) *
                      double{norm[gate * cells + j]};
          }
          sums[j] += double{bias[gate * cells + j]};
          sums[j] = is_tanh ? std::tanh(sums[j]) : Sigmoid(sums[j]);
        }
      };
      if (!options.coupled) finish(kInputGate, false);
      finish(kForgetGate, false);
      finish(kCellGate, true);
      for (size_t j = 0; j < cells; ++j) {
        const double enter =
            options.coupled ? 1 - g[kForgetGate][j] : g[kInputGate][j];
        state[j] = std::clamp(
            g[kForgetGate][j] * state[j] + enter * g[kCellGate][j], -0.8, 0.8);
      }
      finish(kOutputGate, false);
      Doubles m(cells);
      for (size_t j = 0; j < cells; ++j) {
        m[j] = g[kOutputGate][j] * std::tanh(state[j]);
      }
      for (size_t j = 0; j < outputs; ++j) {
        hidden[j] =
            options.projection
                ? std::clamp(projection.Dot(j, m.data()) + double{out_bias[j]},
                             -0.7, 0.7)
                : m[j];
        want[row * outputs + j] = hidden[j];
      }
    }
  }
  ExpectNear(y.Values(), want, options.norm ? 1e-4 : 1e-5);
  ExpectNear(h, rh, options.norm ? 1e-4 : 1e-5);
  ExpectNear(c, rc, options.norm ? 1e-4 : 1e-5);
  EXPECT_TRUE(y.FencesHold());
}

TEST(Lstm, EveryOptionFollowsTheDefinition) {
  for (const Isa isa : IsasHere()) {
    SCOPED_TRACE(Name(isa));
    const RecurrentKernels kernels = KernelsFor(isa);
    for (unsigned bits = 0; bits < 256; bits += 5) {
      SCOPED_TRACE(bits);
      LstmOptions o;
      o.coupled = bits & 1;
      o.peephole = bits & 2;
      o.norm = bits & 4;
      o.projection = bits & 8;
      o.time_major = bits & 16;
      o.backward = bits & 32;
      o.diagonal = (bits & 64) != 0 && !o.projection;
      o.aux = bits & 128;
      CheckLstm(kernels, o, 1 + bits % 3, 1 + bits % 4, 5, 9, 1);
    }
  }
}

TEST(Lstm, LongSequencesRunInBlocksOfTime) {
  const RecurrentKernels kernels = KernelsFor(BestIsa());
  for (const bool time_major : {false, true}) {
    for (const bool backward : {false, true}) {
      for (const size_t time : {size_t{64}, size_t{65}, size_t{130}}) {
        LstmOptions o;
        o.time_major = time_major;
        o.backward = backward;
        CheckLstm(kernels, o, 2, time, 3, 4, 2);
      }
    }
  }
}

TEST(Lstm, ResultsDoNotDependOnThreads) {
  const RecurrentKernels kernels = KernelsFor(BestIsa());
  LstmOptions o;
  o.projection = true;
  for (const int threads : {1, 2, 3}) {
    CheckLstm(kernels, o, 2, 3, 40, 150, threads);
  }
}

TEST(BasicLstm, FollowsTheDefinitionAndKeepsItsSums) {
  const RecurrentKernels kernels = KernelsFor(BestIsa());
  const size_t batch = 2, inputs = 3, cells = 70, width = inputs + cells;
  const Weights w(kernels, 1, 4 * cells, width, 1);
  const std::vector<float> bias = RandomFloats(4 * cells, 2);
  const std::vector<float> x = RandomFloats(batch * inputs, 3);
  const std::vector<float> h0 = RandomFloats(batch * cells, 4);
  const std::vector<float> c0 = RandomFloats(batch * cells, 5);
  std::vector<float> h(h0.size()), c(c0.size()), joined(batch * width);
  std::vector<float> gates(batch * 4 * cells);
  ThreadPool pool(2);
  RunBasicLstm(kernels, w.matrix, batch, inputs, cells, x.data(), h0.data(),
               bias.data(), c0.data(), h.data(), c.data(), joined.data(),
               gates.data(), pool);
  for (size_t b = 0; b < batch; ++b) {
    Doubles row(x.begin() + static_cast<std::ptrdiff_t>(b * inputs),
                x.begin() + static_cast<std::ptrdiff_t>((b + 1) * inputs));
    row.insert(row.end(), h0.begin() + static_cast<std::ptrdiff_t>(b * cells),
               h0.begin() + static_cast<std::ptrdiff_t>((b + 1) * cells));
    for (size_t j = 0; j < cells; ++j) {
      double sums[4];
      for (size_t gate = 0; gate < 4; ++gate) {
        sums[gate] = w.Dot(gate * cells + j, row.data()) +
                     double{bias[gate * cells + j]};
        ASSERT_NEAR(gates[(b * 4 + gate) * cells + j], sums[gate], 1e-5);
      }
      const double state = Sigmoid(sums[2]) * double{c0[b * cells + j]} +
                           Sigmoid(sums[0]) * std::tanh(sums[1]);
      ASSERT_NEAR(c[b * cells + j], state, 1e-5);
      ASSERT_NEAR(h[b * cells + j], Sigmoid(sums[3]) * std::tanh(state), 1e-5);
    }
  }
}

TEST(Rnn, FollowsTheDefinitionBothWays) {
  for (const Isa isa : IsasHere()) {
    const RecurrentKernels kernels = KernelsFor(isa);
    for (const bool time_major : {false, true}) {
      for (const bool backward : {false, true}) {
        const size_t batch = 2, time = 70, inputs = 3, units = 5;
        const Weights input(kernels, 1, units, inputs, 1);
        const Weights recurrent(kernels, 1, units, units, 2);
        const std::vector<float> bias = RandomFloats(units, 3);
        const std::vector<float> x = RandomFloats(batch * time * inputs, 4);
        std::vector<float> h(batch * units, 0.25F);
        Doubles rh(h.begin(), h.end());
        RnnWeights w;
        w.inputs = inputs;
        w.units = units;
        w.input = input.matrix;
        w.recurrent = recurrent.matrix;
        w.bias = bias.data();
        w.activation = GateActivation::kTanh;
        const size_t stride = units + 2;
        std::vector<float> y(batch * time * stride, 7);
        const RnnSequence s{batch,   time,     time_major, backward, x.data(),
                            nullptr, h.data(), y.data(),   stride};
        std::vector<std::byte> scratch(RnnScratch(w, batch, time));
        ThreadPool pool(2);
        RunRnn(kernels, w, s, scratch.data(), pool);
        for (size_t i = 0; i < time; ++i) {
          const size_t t = backward ? time - 1 - i : i;
          for (size_t b = 0; b < batch; ++b) {
            const size_t row = time_major ? t * batch + b : b * time + t;
            Doubles in;
            for (size_t j = 0; j < inputs; ++j)
              in.push_back(x[row * inputs + j]);
            Doubles next(units);
            for (size_t j = 0; j < units; ++j) {
              next[j] = std::tanh(input.Dot(j, in.data()) +
                                  recurrent.Dot(j, rh.data() + b * units) +
                                  double{bias[j]});
              ASSERT_NEAR(y[row * stride + j], next[j], 1e-5);
            }
            std::ranges::copy(
                next, rh.begin() + static_cast<std::ptrdiff_t>(b * units));
            ASSERT_EQ(y[row * stride + units], 7);
          }
        }
      }
    }
  }
}

TEST(Svdf, RemembersTheLastOutputsOfItsFilters) {
  const RecurrentKernels kernels = KernelsFor(BestIsa());
  const SvdfShape shape{2, 4, 3, 2, 5};
  const Weights feature(kernels, 1, shape.filters(), shape.inputs, 1);
  const std::vector<float> time = RandomFloats(shape.filters() * 5, 2);
  const std::vector<float> bias = RandomFloats(shape.units, 3);
  std::vector<float> state(2 * shape.filters() * 5), y(2 * 3);
  std::vector<std::byte> scratch(SvdfScratch(shape, feature.matrix));
  ThreadPool pool(1);
  std::vector<Doubles> past;  // Filter outputs of each step, batch by batch.
  for (uint32_t step = 0; step < 8; ++step) {
    const std::vector<float> x = RandomFloats(2 * 4, 20 + step);
    RunSvdf(kernels, shape, feature.matrix, time.data(), bias.data(),
            GateActivation::kRelu, x.data(), state.data(), y.data(),
            scratch.data(), pool);
    Doubles now;
    for (size_t b = 0; b < 2; ++b) {
      const Doubles in(x.begin() + static_cast<std::ptrdiff_t>(b * 4),
                       x.begin() + static_cast<std::ptrdiff_t>(b * 4 + 4));
      for (size_t f = 0; f < shape.filters(); ++f) {
        now.push_back(feature.Dot(f, in.data()));
      }
    }
    past.push_back(now);
    for (size_t b = 0; b < 2; ++b) {
      for (size_t u = 0; u < 3; ++u) {
        double sum = bias[u];
        for (size_t r = 0; r < 2; ++r) {
          const size_t f = u * 2 + r;
          for (size_t back = 0; back < 5 && back < past.size(); ++back) {
            sum += past[past.size() - 1 - back][b * shape.filters() + f] *
                   double{time[f * 5 + 4 - back]};
          }
        }
        ASSERT_NEAR(y[b * 3 + u], std::max(sum, 0.0), 1e-5) << step;
      }
    }
  }
}

TEST(Product, QuantizesRowsByThemselvesAndStaysClose) {
  const RecurrentKernels kernels = KernelsFor(BestIsa());
  const size_t rows = 50, k = 33, m = 4;
  std::vector<int8_t> w(2 * rows * k);
  for (size_t i = 0; i < w.size(); ++i) {
    w[i] = static_cast<int8_t>(i * 37 % 255 - 127);
  }
  std::vector<int32_t> sums(2 * rows);
  for (size_t j = 0; j < sums.size(); ++j) {
    for (size_t p = 0; p < k; ++p) sums[j] += w[j * k + p];
  }
  std::vector<float> x = RandomFloats(m * k, 1, -2, 5);
  std::fill_n(x.begin() + k, k, 0.0F);  // A row of nothing.
  RecurrentMatrix matrix;
  matrix.blocks = 2;
  matrix.rows = rows;
  matrix.k = k;
  matrix.bytes = {w.data(), w.data() + rows * k};
  matrix.scales = {0.01F, 0.02F};
  for (const bool asymmetric : {false, true}) {
    matrix.row_sums = asymmetric ? sums.data() : nullptr;
    std::vector<float> y(m * 2 * rows, 1), again(y.size(), 1);
    std::vector<std::byte> scratch(ProductScratch(matrix, m));
    ThreadPool one(1), three(3);
    AddProduct(kernels, matrix, m, x.data(), k, y.data(), 2 * rows,
               scratch.data(), one);
    AddProduct(kernels, matrix, m, x.data(), k, again.data(), 2 * rows,
               scratch.data(), three);
    ASSERT_EQ(y, again);
    for (size_t i = 0; i < m; ++i) {
      for (size_t j = 0; j < 2 * rows; ++j) {
        double want = 1, bound = 1e-5;
        const double scale = j < rows ? 0.01 : 0.02;
        for (size_t p = 0; p < k; ++p) {
          want += double{x[i * k + p]} * w[j * k + p] * scale;
          // Half a step of x each.
          bound += std::abs(w[j * k + p]) * scale * 5 / 127 / 2;
        }
        ASSERT_NEAR(y[i * 2 * rows + j], want, bound);
      }
    }
    EXPECT_EQ(y[2 * rows], 1);
  }
}

TEST(Product, ZeroPointsLeaveZeroExact) {
  const std::vector<float> x = {-1, 0, 3};
  int8_t q[3];
  const RowScale row = QuantizeRowAsymmetric(3, x.data(), q);
  EXPECT_EQ(q[1], row.zero_point);
  EXPECT_EQ(q[0], -128);
  EXPECT_EQ(q[2], 127);
  const RowScale symmetric = QuantizeRowSymmetric(3, x.data(), q);
  EXPECT_EQ(q[1], 0);
  EXPECT_EQ(q[2], 127);
  EXPECT_FLOAT_EQ(symmetric.scale, 3.0F / 127);
}

}  // namespace
}  // namespace lathe::kernels
