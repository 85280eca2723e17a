// Integer layers against the same layers in reals.

#include "src/kernels/recurrent/integer_lstm.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "src/kernels/recurrent/rnn.h"

namespace lathe::kernels {
namespace {

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

std::vector<int8_t> Bytes(size_t n, uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<int8_t> values(n);
  for (int8_t& v : values) v = static_cast<int8_t>(rng() % 255 - 127);
  return values;
}

// Weights of scale 0.004, x of 0.02 about `kXZero`, h of 1/128 about `kHZero`.
constexpr double kW = 0.004, kX = 0.02, kH = 1.0 / 128;
constexpr int kXZero = 9, kHZero = -5;

struct Layer {
  std::vector<std::vector<int8_t>> wx, wh;
  std::vector<std::vector<int32_t>> bias, bx, bh;
  IntegerLstm lstm;
};

Layer MakeLayer(size_t inputs, size_t cells, bool coupled) {
  Layer layer;
  layer.lstm.inputs = inputs;
  layer.lstm.cells = layer.lstm.outputs = cells;
  layer.lstm.coupled = coupled;
  layer.lstm.cell_exponent = -12;
  layer.lstm.to_hidden = MultiplierOf(0x1p-30 / kH);
  layer.lstm.hidden_zero = layer.lstm.output_zero = kHZero;
  for (uint32_t gate = 0; gate < 4; ++gate) {
    layer.wx.push_back(Bytes(cells * inputs, 10 + gate));
    layer.wh.push_back(Bytes(cells * cells, 20 + gate));
    std::vector<int32_t> bias(cells), bx(cells), bh(cells);
    for (size_t i = 0; i < cells; ++i) {
      bias[i] = static_cast<int32_t>(i * 977 % 4001) - 2000;
      bx[i] = bias[i];
      for (size_t p = 0; p < inputs; ++p) {
        bx[i] -= kXZero * layer.wx[gate][i * inputs + p];
      }
      for (size_t p = 0; p < cells; ++p) {
        bh[i] -= kHZero * layer.wh[gate][i * cells + p];
      }
    }
    layer.bias.push_back(bias);
    layer.bx.push_back(bx);
    layer.bh.push_back(bh);
  }
  for (size_t gate = 0; gate < 4; ++gate) {
    IntegerGate& g = layer.lstm.gates[gate];
    g.input = layer.wx[gate].data();
    g.recurrent = layer.wh[gate].data();
    g.input_bias = layer.bx[gate].data();
    g.recurrent_bias = layer.bh[gate].data();
    g.to_gate_x = MultiplierOf(kW * kX * 4096);
    g.to_gate_h = MultiplierOf(kW * kH * 4096);
  }
  return layer;
}

TEST(IntegerLstm, StaysNearTheLayerInReals) {
  const size_t batch = 2, time = 5, inputs = 7, cells = 70;
  for (const bool coupled : {false, true}) {
    for (const bool time_major : {false, true}) {
      const Layer layer = MakeLayer(inputs, cells, coupled);
      const std::vector<int8_t> x = Bytes(batch * time * inputs, 1);
      std::vector<std::vector<int8_t>> results;
      for (const int threads : {1, 3}) {
        std::vector<int8_t> h(batch * cells, kHZero), y(batch * time * cells);
        std::vector<int16_t> c(batch * cells);
        std::vector<std::byte> scratch(IntegerLstmScratch(layer.lstm, batch));
        ThreadPool pool(threads);
        RunIntegerLstm(
            layer.lstm,
            {batch, time, time_major, x.data(), h.data(), c.data(), y.data()},
            scratch.data(), pool);
        results.push_back(y);
      }
      ASSERT_EQ(results[0], results[1]);
      for (size_t b = 0; b < batch; ++b) {
        std::vector<double> h(cells), c(cells);
        for (size_t t = 0; t < time; ++t) {
          const size_t row = time_major ? t * batch + b : b * time + t;
          std::vector<double> next(cells);
          for (size_t i = 0; i < cells; ++i) {
            double sums[4];
            for (size_t gate = 0; gate < 4; ++gate) {
              double sum = layer.bias[gate][i] * kW * kX;
              for (size_t p = 0; p < inputs; ++p) {
                sum += kW * layer.wx[gate][i * inputs + p] * kX *
                       (x[row * inputs + p] - kXZero);
              }
              for (size_t p = 0; p < cells; ++p) {
                sum += kW * layer.wh[gate][i * cells + p] * h[p];
              }
              sums[gate] = sum;
            }
            const double f = Sigmoid(sums[1]);
            const double in = coupled ? 1 - f : Sigmoid(sums[0]);
            c[i] = f * c[i] + in * std::tanh(sums[2]);
            next[i] = Sigmoid(sums[3]) * std::tanh(c[i]);
          }
          h = next;
          for (size_t i = 0; i < cells; ++i) {
            ASSERT_NEAR((results[0][row * cells + i] - kHZero) * kH, h[i], 0.05)
                << t << " " << i;
          }
        }
      }
    }
  }
}

TEST(IntegerLstm, ClipsItsCells) {
  Layer layer = MakeLayer(3, 4, false);
  layer.lstm.cell_clip = 100;
  const std::vector<int8_t> x = Bytes(6 * 3, 1);
  std::vector<int8_t> h(4, kHZero), y(6 * 4);
  std::vector<int16_t> c(4);
  std::vector<std::byte> scratch(IntegerLstmScratch(layer.lstm, 1));
  ThreadPool pool(1);
  RunIntegerLstm(layer.lstm,
                 {1, 6, false, x.data(), h.data(), c.data(), y.data()},
                 scratch.data(), pool);
  for (const int16_t q : c) EXPECT_LE(std::abs(q), 100);
}

TEST(IntegerSvdf, IsTheSumOverFiltersAndTimeForAnyThreads) {
  const SvdfShape shape{2, 6, 70, 2, 4};
  const std::vector<int8_t> feature = Bytes(shape.filters() * 6, 1);
  std::vector<int16_t> time(shape.filters() * 4);
  for (size_t i = 0; i < time.size(); ++i) {
    time[i] = static_cast<int16_t>(i * 7919 % 60001) - 30000;
  }
  const SvdfIntegers numbers{MultiplierOf(0.4), MultiplierOf(1e-6), 3, -10};
  std::vector<std::vector<int8_t>> results;
  for (const int threads : {1, 3}) {
    std::vector<int16_t> state(2 * shape.filters() * 4);
    std::vector<int8_t> all;
    ThreadPool pool(threads);
    for (uint32_t step = 0; step < 6; ++step) {
      const std::vector<int8_t> x = Bytes(2 * 6, 30 + step);
      std::vector<int8_t> y(2 * 70);
      RunIntegerSvdf(shape, numbers, feature.data(), time.data(), nullptr,
                     x.data(), state.data(), y.data(), pool);
      for (size_t b = 0; b < 2; ++b) {
        for (size_t u = 0; u < 70; ++u) {
          double sum = 0;
          for (size_t i = 0; i < 2 * 4; ++i) {
            sum +=
                double{1} * time[u * 8 + i] * state[(b * 140 + u * 2) * 4 + i];
          }
          ASSERT_NEAR(y[b * 70 + u], std::clamp(sum * 1e-6 - 10, -128.0, 127.0),
                      0.51);
        }
      }
      // The newest entry is this step's product.
      double newest = 0;
      for (size_t i = 0; i < 6; ++i) newest += feature[i] * (x[i] - 3);
      ASSERT_NEAR(state[3], newest * 0.4, 0.76);
      all.insert(all.end(), y.begin(), y.end());
    }
    results.push_back(all);
  }
  EXPECT_EQ(results[0], results[1]);
}

}  // namespace
}  // namespace lathe::kernels
