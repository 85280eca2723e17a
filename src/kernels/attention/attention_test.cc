// Attention against the definition in double, with every layout and bias.

#include "src/kernels/attention/attention.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

struct Numbers {
  std::vector<float> q, k, v;
  std::vector<std::vector<float>> biases;
};

std::vector<double> Expected(const AttentionShape& s, const Numbers& x,
                             size_t o_floats) {
  std::vector<double> o(o_floats, Fenced::kUntouched);
  for (size_t b = 0; b < s.batches; ++b) {
    for (size_t i = 0; i < s.n_q; ++i) {
      std::vector<double> score(s.n_k);
      double most = -INFINITY;
      for (size_t j = 0; j < s.n_k; ++j) {
        for (size_t p = 0; p < s.d; ++p) {
          score[j] +=
              static_cast<double>(x.q[s.q_offsets[b] + i * s.q_row + p]) *
              x.k[s.k_offsets[b] + j * s.k_row + p * s.k_column];
        }
        score[j] *= s.scale;
        for (size_t t = 0; t < s.biases.size(); ++t) {
          const AttentionShape::Bias& bias = s.biases[t];
          score[j] +=
              x.biases[t][bias.offsets[b] + i * bias.row + j * bias.column];
        }
        most = std::max(most, score[j]);
      }
      double sum = 0;
      for (double& e : score) sum += e = std::exp(e - most);
      for (size_t c = 0; c < s.d_v; ++c) {
        double value = 0;
        for (size_t j = 0; j < s.n_k; ++j) {
          value += score[j] * x.v[s.v_offsets[b] + j * s.v_row + c];
        }
        o[s.o_offsets[b] + i * s.o_row + c] = value / sum;
      }
    }
  }
  return o;
}

void Check(const AttentionShape& s, const Numbers& x, size_t o_floats) {
  const std::vector<double> want = Expected(s, x, o_floats);
  std::vector<const float*> biases;
  for (const auto& bias : x.biases) biases.push_back(bias.data());
  for (const Isa isa : IsasHere()) {
    std::vector<float> first;
    for (const int threads : {1, 2, 3}) {
      SCOPED_TRACE(testing::Message() << Name(isa) << ", " << threads);
      ThreadPool pool(threads);
      const AttentionPlan plan = PlanAttention(isa, s, pool.threads());
      Fenced o(o_floats), scratch(plan.scratch_floats);
      RunAttention(plan, x.q.data(), x.k.data(), x.v.data(), biases.data(),
                   o.data(), pool, scratch.data());
      EXPECT_TRUE(o.FencesHold() && scratch.FencesHold());
      ExpectNear(o.Values(), want, 5e-6);
      if (threads == 1) first = o.Values();
      EXPECT_EQ(o.Values(), first);
    }
  }
}

// q, k, v, o as [item, n, heads, d].
AttentionShape Interleaved(size_t items, size_t heads, size_t n_q, size_t n_k,
                           size_t d) {
  AttentionShape s;
  s.batches = items * heads;
  s.n_q = n_q;
  s.n_k = n_k;
  s.d = s.d_v = d;
  s.q_row = s.k_row = s.v_row = s.o_row = heads * d;
  s.scale = 1 / std::sqrt(static_cast<float>(d));
  for (size_t b = 0; b < s.batches; ++b) {
    const size_t head = b % heads * d, item = b / heads * heads * d;
    s.q_offsets.push_back(item * n_q + head);
    s.o_offsets.push_back(item * n_q + head);
    s.k_offsets.push_back(item * n_k + head);
    s.v_offsets.push_back(item * n_k + head);
  }
  return s;
}

Numbers Fill(size_t q, size_t k, size_t v) {
  return {RandomFloats(q, 1, -3, 3),
          RandomFloats(k, 2, -3, 3),
          RandomFloats(v, 3),
          {}};
}

TEST(Attention, MatchesTheDefinitionWithHeadsInterleaved) {
  for (const size_t n_q : {1, 4, 5, 47, 48, 49, 130}) {
    for (const size_t n_k : {1, 16, 65}) {
      SCOPED_TRACE(testing::Message() << n_q << " x " << n_k);
      const size_t heads = 3, d = 24;
      const size_t q = n_q * heads * d, k = n_k * heads * d;
      Check(Interleaved(1, heads, n_q, n_k, d), Fill(q, k, k), q);
    }
  }
}

TEST(Attention, ReadsKeysThatAreTransposed) {
  const size_t n = 33, d = 20;
  for (const size_t n_q : {size_t{3}, n}) {
    AttentionShape s = Interleaved(2, 1, n_q, n, d);
    s.k_row = 1;
    s.k_column = n;
    Check(s, Fill(2 * n_q * d, 2 * n * d, 2 * n * d), 2 * n_q * d);
  }
}

TEST(Attention, AddsABiasPerHeadAndAMaskPerKey) {
  const size_t items = 2, heads = 2, n = 50, d = 16;
  for (const size_t n_q : {size_t{2}, n}) {
    AttentionShape s = Interleaved(items, heads, n_q, n, d);
    const size_t queries = items * n_q * heads * d;
    Numbers x = Fill(queries, items * n * heads * d, items * n * heads * d);
    AttentionShape::Bias bias, mask;
    bias.row = n;
    for (size_t b = 0; b < s.batches; ++b) {
      bias.offsets.push_back(b % heads * n_q * n);
      mask.offsets.push_back(b / heads * n);
    }
    s.biases = {bias, mask};
    x.biases = {RandomFloats(heads * n_q * n, 4),
                std::vector<float>(items * n)};
    for (size_t j = 30; j < n; ++j) {
      x.biases[1][n + j] = -3.4028234663852886e38f;  // The second item's pads.
    }
    Check(s, x, queries);
  }
}

TEST(Attention, SurvivesScoresThatOverflowAnExponential) {
  const size_t n = 20, d = 8;
  AttentionShape s = Interleaved(1, 1, n, n, d);
  Numbers x = Fill(n * d, n * d, n * d);
  for (float& v : x.q) v = std::round(v * 8) * 16;  // Scores of some thousands,
  for (float& v : x.k) v = std::round(v * 8) * 16;  // exact in float.
  s.scale = 1;
  Check(s, x, n * d);
}

}  // namespace
}  // namespace lathe::kernels
