// Self- and cross-attention of the DiT, attention of the text encoder.

#include <vector>

#include "benchmark/benchmark.h"
#include "src/kernels/attention/attention.h"
#include "src/kernels/bench_support.h"

namespace lathe::kernels {
namespace {

// Arguments: heads, queries, keys, channels of a head.
void RunHeads(benchmark::State& state) {
  AttentionShape s;
  const size_t heads = static_cast<size_t>(state.range(0));
  s.batches = heads;
  s.n_q = static_cast<size_t>(state.range(1));
  s.n_k = static_cast<size_t>(state.range(2));
  s.d = s.d_v = static_cast<size_t>(state.range(3));
  s.q_row = s.k_row = s.v_row = s.o_row = heads * s.d;
  s.scale = 0.1f;
  for (size_t h = 0; h < heads; ++h) s.q_offsets.push_back(h * s.d);
  s.k_offsets = s.v_offsets = s.o_offsets = s.q_offsets;
  const std::vector<float> q = BenchFloats(s.n_q * s.q_row);
  const std::vector<float> k = BenchFloats(s.n_k * s.k_row);
  const AttentionPlan plan = PlanAttention(BestIsa(), s, 1);
  std::vector<float> o(q.size()), scratch(plan.scratch_floats);
  ThreadPool pool(1);
  for (auto _ : state) {
    RunAttention(plan, q.data(), k.data(), k.data(), nullptr, o.data(), pool,
                 scratch.data());
    benchmark::DoNotOptimize(o.data());
  }
  ReportFlops(state, 4.0 * heads * s.n_q * s.n_k * s.d, BestIsa());
}
BENCHMARK(RunHeads)
    ->ArgsProduct({{8}, {1, 2, 4, 8, 16}, {64, 1024}, {64}})
    ->Args({8, 257, 257, 128})
    ->Args({8, 257, 65, 128})
    ->Args({12, 64, 64, 64});

}  // namespace
}  // namespace lathe::kernels
