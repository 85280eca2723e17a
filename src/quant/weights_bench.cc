// Floats of one weight read per second, by algorithm, on two threads. Scales
// and bytes are timed apart.

#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "src/base/thread_pool.h"
#include "src/quant/weights.h"

namespace lathe::quant {
namespace {

struct Case {
  const char* name;
  Algorithm algorithm;
  int bits;
  bool symmetric;
  Grouping grouping;
  std::vector<int32_t> shape;
};

std::vector<Case> Cases() {
  using enum Algorithm;
  using enum Grouping::Kind;
  const std::vector<int32_t> large = {16384, 4096};  // 256 MiB, beyond a cache.
  const std::vector<int32_t> small = {2048, 2048};
  return {
      {"int8_rows", kMinMax, 8, true, {.kind = kAxis}, large},
      {"int8_tensor", kMinMax, 8, true, {.kind = kTensor}, large},
      {"int8_rows_asymmetric", kMinMax, 8, false, {.kind = kAxis}, large},
      {"int8_columns", kMinMax, 8, true, {.kind = kAxis, .axis = 1}, large},
      {"int4_rows", kMinMax, 4, true, {.kind = kAxis}, large},
      {"int4_block32", kMinMax, 4, true, {.kind = kBlock, .block = 32}, large},
      {"int2_rows", kMinMax, 2, true, {.kind = kAxis}, large},
      {"halves", kFloatCasting, 16, true, {}, large},
      {"octav_int4_rows", kOctav, 4, true, {.kind = kAxis}, large},
      {"octav_int4_block32",
       kOctav,
       4,
       true,
       {.kind = kBlock, .block = 32},
       large},
      {"hadamard_int4_rows", kHadamard, 4, true, {.kind = kAxis}, large},
      {"mse_int4_rows", kMse, 4, true, {.kind = kAxis}, small},
      {"mse_int4_block32", kMse, 4, true, {.kind = kBlock, .block = 32}, small},
      {"recovery_int8_rows", kRecovery, 8, true, {.kind = kAxis}, small},
      {"oscar_int4_rows", kOscar, 4, true, {.kind = kAxis}, small},
      {"gptq_int4_rows", kGptq, 4, true, {.kind = kAxis}, small},
  };
}

struct Input {
  std::vector<float> values, hessian;
  std::vector<double> mu2;

  explicit Input(const Case& c)
      : values(static_cast<size_t>(c.shape[0]) *
               static_cast<size_t>(c.shape[1])) {
    std::mt19937 rng(1);
    std::normal_distribution<float> normal(0, 0.02f);
    // A repeated megabyte: filling the whole would take longer than the test.
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = i < (1u << 18) ? normal(rng) : values[i - (1u << 18)];
    }
    const auto d = static_cast<size_t>(c.shape[1]);
    if (c.algorithm == Algorithm::kGptq) {
      hessian.resize(d * d);
      for (size_t i = 0; i < d; ++i) {
        for (size_t j = 0; j < d; ++j) {
          hessian[i * d + j] =
              1.0f / static_cast<float>(1 + (i > j ? i - j : j - i));
        }
      }
    }
    if (c.algorithm == Algorithm::kOscar) mu2.assign(d, 1.0);
  }
};

void Run(benchmark::State& state, const Case& c) {
  const bool encode = state.range(0) != 0;
  const WeightConfig config = {.algorithm = c.algorithm,
                               .bits = c.bits,
                               .symmetric = c.symmetric,
                               .grouping = c.grouping,
                               .skip_checks = true};
  const Input input(c);
  const InputStatistics statistics = {.hessian = input.hessian,
                                      .mu2 = input.mu2};
  ThreadPool pool(2);
  auto params = FindParams(config, input.values, c.shape, statistics, &pool);
  if (!params) return state.SkipWithError(params.error().message.c_str());
  std::vector<std::byte> bytes(EncodedBytes(config, c.shape));
  for (auto _ : state) {
    if (encode) {
      const Status status = Encode(config, *params, input.values, c.shape,
                                   statistics, &pool, bytes);
      if (!status) state.SkipWithError(status.error().message.c_str());
    } else {
      params = FindParams(config, input.values, c.shape, statistics, &pool);
    }
    benchmark::DoNotOptimize(bytes.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) *
                          static_cast<int64_t>(input.values.size() * 4));
}

const bool kRegistered = [] {
  for (const Case& c : Cases()) {
    benchmark::RegisterBenchmark(
        c.name, [c](benchmark::State& state) { Run(state, c); })
        ->ArgName("encode")
        ->Arg(0)
        ->Arg(1)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  }
  return true;
}();

}  // namespace
}  // namespace lathe::quant
