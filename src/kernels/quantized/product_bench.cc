// Products of floats with quantized weights, rows quantized here, beside those
// of float weights: what a linear layer gains by its type.

#include <array>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "src/base/aligned_buffer.h"
#include "src/kernels/bench_support.h"
#include "src/kernels/gemm/half.h"
#include "src/kernels/quantized/matmul.h"

namespace lathe::kernels {
namespace {

struct Shape {
  size_t m, n, k;
};
Shape ShapeOf(const benchmark::State& state) {
  return {static_cast<size_t>(state.range(0)),
          static_cast<size_t>(state.range(1)),
          static_cast<size_t>(state.range(2))};
}

void Report(benchmark::State& state, const Shape& s) {
  state.counters["GOP/s"] =
      benchmark::Counter(2e-9 * static_cast<double>(s.m * s.n * s.k),
                         benchmark::Counter::kIsIterationInvariantRate);
}

// Of weights in float32, or in float16 that is widened.
void Floats(benchmark::State& state, Isa isa, bool half) {
  const GemmKernel& kernel = ChooseGemm(isa);
  const Shape s = ShapeOf(state);
  const std::vector<float> a = BenchFloats(s.m * s.k);
  const std::vector<float> packed =
      BenchFloats(PackedFloats(kernel, {s.n, 1, s.k}));
  std::vector<float> c(s.m * s.n);
  Gemm gemm;
  gemm.m = s.m;
  gemm.n = s.n;
  gemm.k = s.k;
  gemm.a = a.data();
  gemm.a_stride = s.k;
  std::vector<uint16_t> halves(half ? packed.size() : 0);
  std::vector<float> scratch(half ? kHalfScratchFloats : 0);
  gemm.packed = half ? nullptr : packed.data();
  gemm.halves = half ? halves.data() : nullptr;
  gemm.c = c.data();
  gemm.c_stride = s.n;
  ThreadPool pool(1);
  for (auto _ : state) {
    RunGemm(kernel, gemm, pool, scratch.data());
    benchmark::DoNotOptimize(c.data());
  }
  Report(state, s);
}

enum class Weights { kBytes, kNibbles, kNibblesInBlocks };

void Dynamic(benchmark::State& state, const QuantizedKernels& kernels,
             const ByteDot* bytes, Weights weights) {
  const Shape s = ShapeOf(state);
  const std::vector<float> a = BenchFloats(s.m * s.k);
  const std::vector<float> scales = BenchFloats(s.n);
  std::vector<float> y(s.m * s.n);
  IntMatmul matmul;
  matmul.a.m = s.m;
  matmul.product.kernels = &kernels;
  matmul.product.bytes = bytes;
  matmul.product.n = s.n;
  matmul.product.k = s.k;
  matmul.a.dynamic = true;
  matmul.a.stride = s.k;
  Output output;
  output.kind = FinishRows::Kind::kFloat;
  output.scales = scales.data();
  if (weights != Weights::kBytes) UseNibbles(matmul.product);
  std::vector<float> block_scales;
  if (weights == Weights::kNibblesInBlocks) {
    matmul.product.block = 32;
    block_scales.assign(BlockScaleCount(matmul.product), 0.5f);
    matmul.product.block_scales = block_scales.data();
    output.kind = FinishRows::Kind::kFloatSum;
    output.scales = nullptr;
  }
  output.y = reinterpret_cast<std::byte*>(y.data());
  // Aligned as the plan's packings are.
  auto packed = AlignedBuffer::Create(PackedBytes(matmul.product));
  std::fill_n(packed->data(), PackedBytes(matmul.product), std::byte{3});
  auto scratch = AlignedBuffer::Create(IntMatmulScratchBytes(matmul));
  ThreadPool pool(1);
  for (auto _ : state) {
    RunIntMatmul(matmul, output, a.data(), packed->data(), pool,
                 scratch->data(), nullptr);
    benchmark::DoNotOptimize(y.data());
  }
  Report(state, s);
}

void AddShapes(benchmark::internal::Benchmark* bench) {
  for (const int64_t m : {1, 16, 130, 256}) {
    bench->Args({m, 1024, 1024})->Args({m, 6144, 1536});
  }
  // Of the diffusion transformer of Stable Audio Open Small.
  bench->Args({257, 8192, 1024})->Args({257, 1024, 4096});
}

const bool kRegistered = [] {
  for (const Isa isa : KnownIsas()) {
    if (!CpuHas(isa) || isa == Isa::kScalar) continue;
    const QuantizedKernels& words = ChooseQuantized(isa);
    const ByteDot* bytes = ChooseByteDot(isa, words.width);
    // A level that adds nothing is the one below.
    if (words.isa == isa) {
      const std::string floats = "linear/" + std::string(ChooseGemm(isa).name);
      AddShapes(
          benchmark::RegisterBenchmark(floats.c_str(), Floats, isa, false));
      AddShapes(benchmark::RegisterBenchmark((floats + "/half").c_str(), Floats,
                                             isa, true));
      AddShapes(benchmark::RegisterBenchmark(
          ("linear/" + std::string(words.name)).c_str(), Dynamic, words,
          nullptr, Weights::kBytes));
    }
    if (bytes && bytes->isa == isa) {
      const std::string name = "linear/" + std::string(bytes->name);
      AddShapes(benchmark::RegisterBenchmark(name.c_str(), Dynamic, words,
                                             bytes, Weights::kBytes));
      AddShapes(benchmark::RegisterBenchmark((name + "/nibbles").c_str(),
                                             Dynamic, words, bytes,
                                             Weights::kNibbles));
      AddShapes(benchmark::RegisterBenchmark(
          (name + "/nibbles_in_blocks_of_32").c_str(), Dynamic, words, bytes,
          Weights::kNibblesInBlocks));
    }
  }
  return true;
}();

}  // namespace
}  // namespace lathe::kernels
