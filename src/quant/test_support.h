// What the tests of this room share.

#ifndef LATHE_QUANT_TEST_SUPPORT_H_
#define LATHE_QUANT_TEST_SUPPORT_H_

#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "src/quant/pack.h"
#include "src/quant/uniform.h"
#include "src/quant/weights.h"

namespace lathe::quant {

struct Quantized {
  WeightParams params;
  std::vector<std::byte> bytes;
  std::vector<int> q;  // Empty for halves.
  std::vector<float> back;
  std::string error;  // Empty if all went well.
};

inline Quantized QuantizeAll(const WeightConfig& config,
                             const std::vector<float>& values,
                             const std::vector<int32_t>& shape,
                             const InputStatistics& statistics = {},
                             ThreadPool* pool = nullptr) {
  Quantized result;
  auto params = FindParams(config, values, shape, statistics, pool);
  if (!params) {
    result.error = params.error().message;
    return result;
  }
  result.params = *params;
  result.bytes.resize(EncodedBytes(config, shape));
  const Status status =
      Encode(config, *params, values, shape, statistics, pool, result.bytes);
  if (!status) {
    result.error = status.error().message;
    return result;
  }
  if (config.algorithm != Algorithm::kFloatCasting) {
    std::vector<int8_t> q(values.size());
    Unpack(result.bytes, config.bits, q);
    result.q.assign(q.begin(), q.end());
  }
  result.back.resize(values.size());
  Decode(config, *params, result.bytes, shape, result.back);
  return result;
}

inline std::vector<float> Normal(size_t n, float deviation, uint32_t seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> x(n);
  for (float& value : x) value = normal(rng);
  return x;
}

inline double SquaredDistance(const std::vector<float>& a,
                              const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double e = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += e * e;
  }
  return sum;
}

}  // namespace lathe::quant

#endif  // LATHE_QUANT_TEST_SUPPORT_H_
