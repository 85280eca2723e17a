// Every GEMM kernel on the linear layers of the text encoder and the DiT.

#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "src/kernels/bench_support.h"
#include "src/kernels/gemm/gemm.h"

namespace lathe::kernels {
namespace {

void Run(benchmark::State& state, const GemmKernel& kernel) {
  if (!CpuHas(kernel.isa)) return state.SkipWithError("this CPU lacks the ISA");
  Gemm gemm;
  gemm.m = static_cast<size_t>(state.range(0));
  gemm.n = static_cast<size_t>(state.range(1));
  gemm.k = static_cast<size_t>(state.range(2));
  const std::vector<float> a = BenchFloats(gemm.m * gemm.k);
  const std::vector<float> packed =
      BenchFloats(PackedFloats(kernel, {gemm.n, 1, gemm.k}));
  std::vector<float> c(gemm.m * gemm.n);
  gemm.a = a.data();
  gemm.a_stride = gemm.k;
  gemm.packed = packed.data();
  gemm.c = c.data();
  gemm.c_stride = gemm.n;
  ThreadPool pool(1);
  for (auto _ : state) {
    RunGemm(kernel, gemm, pool);
    benchmark::DoNotOptimize(c.data());
  }
  ReportFlops(state, 2.0 * gemm.m * gemm.n * gemm.k, kernel.isa);
}

void RunPacking(benchmark::State& state) {
  const GemmKernel& kernel = ChooseGemm(BestIsa());
  const size_t n = 1024, k = 1024;
  const std::vector<float> w = BenchFloats(n * k);
  std::vector<float> packed(PackedFloats(kernel, {n, 1, k}));
  for (auto _ : state) {
    PackPanels(kernel, {n, 1, k}, w.data(), 0, 1, k, packed.data());
    benchmark::DoNotOptimize(packed.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * n * k) * 4);
}
BENCHMARK(RunPacking);

const bool kRegistered = [] {
  for (const GemmKernel& kernel : GemmKernels()) {
    auto* bench = benchmark::RegisterBenchmark(std::string(kernel.name).c_str(),
                                               Run, kernel);
    bench->Args({64, 768, 768})->Args({1, 1024, 1024});
    if (kernel.isa == Isa::kScalar) continue;
    bench->Args({257, 1024, 1024})
        ->Args({257, 8192, 1024})
        ->Args({257, 1024, 4096})
        ->Args({65, 3072, 768});
  }
  return true;
}();

}  // namespace
}  // namespace lathe::kernels
