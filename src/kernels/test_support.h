// What the tests of the kernels share: numbers, ISA levels, fenced memory.

#ifndef LATHE_KERNELS_TEST_SUPPORT_H_
#define LATHE_KERNELS_TEST_SUPPORT_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "src/base/cpu.h"

namespace lathe::kernels {

inline std::vector<float> RandomFloats(size_t n, uint32_t seed, float low = -1,
                                       float high = 1) {
  std::mt19937 rng(seed);
  std::uniform_real_distribution<float> value(low, high);
  std::vector<float> result(n);
  for (float& x : result) x = value(rng);
  return result;
}

// The levels that can run here, lowest first.
inline std::vector<Isa> IsasHere() {
  std::vector<Isa> isas;
  for (const Isa isa : KnownIsas()) {
    if (CpuHas(isa)) isas.push_back(isa);
  }
  return isas;
}

// `n` floats between two fences of 64, full of a value that is no result.
class Fenced {
 public:
  explicit Fenced(size_t n) : all_(n + 2 * kFence, kUntouched), n_(n) {}
  float* data() { return all_.data() + kFence; }
  size_t size() const { return n_; }
  std::vector<float> Values() const {
    return {all_.begin() + kFence, all_.end() - kFence};
  }
  bool FencesHold() const {
    const auto untouched = [](float x) { return x == kUntouched; };
    return std::all_of(all_.begin(), all_.begin() + kFence, untouched) &&
           std::all_of(all_.end() - kFence, all_.end(), untouched);
  }
  static constexpr float kUntouched = -12345.0f;

 private:
  static constexpr size_t kFence = 64;
  std::vector<float> all_;
  size_t n_;
};

// Each |got - want| <= bound.
inline void ExpectNear(const std::vector<float>& got,
                       const std::vector<double>& want, double bound) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], want[i], bound) << "element " << i;
  }
}

// Rounding of a float sum of k products of numbers up to 1: partial sums are
// about sqrt(k) / 3, each step errs by 6e-8 of that, and k errors in random
// directions add up to sqrt(k) of them: 2e-8 k. Five times that, for the worst
// of many elements.
inline double SumBound(size_t k) {
  return 1e-7 * (static_cast<double>(k) + 20);
}

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_TEST_SUPPORT_H_
