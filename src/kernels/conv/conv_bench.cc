// The layers of the Oobleck decoder and encoder, shortened in time.

#include <vector>

#include "benchmark/benchmark.h"
#include "src/kernels/bench_support.h"
#include "src/kernels/conv/transpose_conv.h"

namespace lathe::kernels {
namespace {

// Arguments: positions out, channels in, channels out, kernel, stride,
// dilation, snake.
void RunConvolution(benchmark::State& state) {
  ConvShape s;
  s.out_w = static_cast<size_t>(state.range(0));
  s.in_c = static_cast<size_t>(state.range(1));
  s.out_c = static_cast<size_t>(state.range(2));
  s.kernel_w = static_cast<size_t>(state.range(3));
  s.stride_w = static_cast<size_t>(state.range(4));
  s.dilation_w = static_cast<size_t>(state.range(5));
  s.in_w = s.out_w * s.stride_w;
  s.pad_left = (s.kernel_w - 1) * s.dilation_w / 2;
  const bool snake = state.range(6) != 0;
  const Isa isa = BestIsa();
  const ConvPlan plan = PlanConv(isa, s, snake, 1);
  const std::vector<float> x = BenchFloats(s.in_w * s.in_c);
  const std::vector<float> packed = BenchFloats(PackedConvFloats(plan));
  const std::vector<float> channels = BenchFloats(std::max(s.in_c, s.out_c));
  std::vector<float> y(s.out_w * s.out_c), scratch(plan.scratch_floats);
  ConvArgs args;
  args.x = x.data();
  args.packed = packed.data();
  args.bias = channels.data();
  args.snake_a = args.snake_b = channels.data();
  args.y = y.data();
  ThreadPool pool(1);
  for (auto _ : state) {
    RunConv(plan, args, pool, scratch.data(), nullptr);
    benchmark::DoNotOptimize(y.data());
  }
  state.SetLabel(std::string(Name(plan.variant)));
  ReportFlops(state, 2.0 * s.out_w * s.out_c * s.in_c * s.kernel_w, isa);
}
BENCHMARK(RunConvolution)
    ->Args({256, 64, 2048, 7, 1, 1, 0})
    ->Args({2048, 1024, 1024, 7, 1, 1, 1})
    ->Args({2048, 1024, 1024, 7, 1, 9, 1})
    ->Args({2048, 1024, 1024, 1, 1, 1, 1})
    ->Args({4096, 512, 512, 7, 1, 3, 1})
    ->Args({8192, 256, 256, 7, 1, 3, 1})
    ->Args({8192, 256, 256, 1, 1, 1, 1})
    ->Args({32768, 128, 128, 7, 1, 9, 1})
    ->Args({32768, 128, 128, 1, 1, 1, 1})
    ->Args({32768, 128, 128, 1, 1, 1, 0})
    ->Args({65536, 128, 2, 7, 1, 1, 1})
    ->Args({65536, 2, 128, 7, 1, 1, 0})
    ->Args({256, 1024, 2048, 16, 8, 1, 1})
    ->Args({16384, 128, 128, 4, 2, 1, 1});

// Arguments: positions in, channels in, channels out, stride; kernel of twice
// the stride.
void RunTransposed(benchmark::State& state) {
  TransposeConvShape s;
  s.in_w = static_cast<size_t>(state.range(0));
  s.in_c = static_cast<size_t>(state.range(1));
  s.out_c = static_cast<size_t>(state.range(2));
  s.stride_w = static_cast<size_t>(state.range(3));
  s.kernel_w = 2 * s.stride_w;
  s.pad_left = s.stride_w / 2;
  s.out_w = s.in_w * s.stride_w;
  const Isa isa = BestIsa();
  const TransposeConvPlan plan = PlanTransposeConv(isa, s, true, 1);
  const std::vector<float> x = BenchFloats(s.in_w * s.in_c);
  const std::vector<float> packed =
      BenchFloats(PackedTransposeConvFloats(plan));
  const std::vector<float> channels = BenchFloats(std::max(s.in_c, s.out_c));
  std::vector<float> y(s.out_w * s.out_c), scratch(plan.scratch_floats);
  ConvArgs args;
  args.x = x.data();
  args.packed = packed.data();
  args.bias = channels.data();
  args.snake_a = args.snake_b = channels.data();
  args.y = y.data();
  ThreadPool pool(1);
  for (auto _ : state) {
    RunTransposeConv(plan, args, pool, scratch.data(), nullptr);
    benchmark::DoNotOptimize(y.data());
  }
  ReportFlops(state, 2.0 * s.in_w * s.in_c * s.kernel_w * s.out_c, isa);
}
BENCHMARK(RunTransposed)
    ->Args({256, 2048, 1024, 8})
    ->Args({2048, 1024, 512, 8})
    ->Args({4096, 512, 256, 4})
    ->Args({8192, 256, 128, 4})
    ->Args({32768, 128, 128, 2});

}  // namespace
}  // namespace lathe::kernels
