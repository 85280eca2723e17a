// Which elements of one constant share a scale, and the loops over them that
// every algorithm uses.

#ifndef LATHE_QUANT_GROUPS_H_
#define LATHE_QUANT_GROUPS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/base/thread_pool.h"
#include "src/quant/uniform.h"
#include "src/quant/weights.h"

namespace lathe::quant {

// The tensor seen as [outer, count, inner], row-major: group g is x[:, g, :].
struct Groups {
  size_t outer = 1, count = 1, inner = 1;
  size_t size() const { return outer * inner; }  // Elements of one group.
};
Groups GroupsOf(const Grouping& grouping, std::span<const int32_t> shape);

// Everything an algorithm is given; checked by weights.cc.
struct Problem {
  const WeightConfig& config;
  std::span<const float> values;
  std::span<const int32_t> shape;
  const InputStatistics& statistics;
  ThreadPool* pool = nullptr;

  Groups groups() const { return GroupsOf(config.grouping, shape); }
  size_t width() const { return static_cast<size_t>(shape.back()); }
  bool correct() const { return config.behaviour == Behaviour::kCorrect; }
  bool blocks() const { return config.grouping.kind == Grouping::Kind::kBlock; }
};

// Elements of one job: long enough to hide its start, short enough for L2.
constexpr size_t kJobElements = 65536;

inline size_t ThreadsOf(const ThreadPool* pool) {
  return pool == nullptr ? 1 : pool->threads();
}

// Calls work(group, its elements, pool for loops inside one group or null),
// from several threads, for every group. Elements of one group come in
// row-major order, gathered into a buffer of the thread where they are not
// neighbours. With rotation > 1 every `rotation` neighbours of the last axis
// are rotated first (hadamard.h). Memory: one group, or one row, for each
// thread; a copy of the tensor for a rotation with one group, or with groups
// whose elements are not neighbours.
using GroupWork =
    std::function<void(size_t group, std::span<const float> x, ThreadPool*)>;
void ForEachGroup(const Problem& problem, size_t rotation,
                  const GroupWork& work);

// Adds up work(piece) over pieces of kJobElements, in order.
template <typename Work>
double SumOverPieces(std::span<const float> x, ThreadPool* pool,
                     const Work& work) {
  if (x.size() <= kJobElements) return work(x);
  std::vector<double> sums((x.size() + kJobElements - 1) / kJobElements);
  RunJobs(pool, sums.size(), [&](size_t job, size_t) {
    const size_t begin = job * kJobElements;
    sums[job] =
        work(x.subspan(begin, std::min(kJobElements, x.size() - begin)));
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

// Bits (rows.h) of the largest |x|.
uint32_t LargestBits(std::span<const float> x, ThreadPool* pool);

// The first value that is not finite, as an error.
std::unexpected<Error> NotFinite(const Problem& problem);

// "[3, 5]": where the element stands.
std::string Position(std::span<const int32_t> shape, size_t element);

// What Encode clips to. Correct int4 leaves -8 out, since LiteRT's optimized
// int4 kernel is wrong with it; recovered weights need it all the same.
IntegerRange EncodedRange(const WeightConfig& config);

// The scale of a symmetric range [-bound, bound], in float32 as the older tool;
// bound is at least 1e-9. For blocks rounded by StoredScale.
float SymmetricScale(const WeightConfig& config, float bound);

// A scale as it will be stored. Blocks: fp16(bf16(scale)). Correct behaviour
// keeps that between the smallest normal half, 2^-14, below which XNNPACK
// refuses a model, and 65280, the largest bfloat16 that is a half.
float StoredScale(const WeightConfig& config, float scale);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_GROUPS_H_
