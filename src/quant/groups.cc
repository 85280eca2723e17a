#include "src/quant/groups.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "src/quant/hadamard.h"
#include "src/quant/rows/rows.h"

namespace lathe::quant {

Groups GroupsOf(const Grouping& grouping, std::span<const int32_t> shape) {
  Groups groups;
  switch (grouping.kind) {
    case Grouping::Kind::kTensor:
      for (const int32_t dim : shape) groups.inner *= static_cast<size_t>(dim);
      break;
    case Grouping::Kind::kAxis:
      for (size_t i = 0; i < shape.size(); ++i) {
        const auto dim = static_cast<size_t>(shape[i]);
        const auto axis = static_cast<size_t>(grouping.axis);
        (i < axis    ? groups.outer
         : i == axis ? groups.count
                     : groups.inner) *= dim;
      }
      break;
    case Grouping::Kind::kBlock:
      groups.inner = static_cast<size_t>(grouping.block);
      for (const int32_t dim : shape) groups.count *= static_cast<size_t>(dim);
      groups.count /= groups.inner;
      break;
  }
  return groups;
}

namespace {

// The whole tensor, rotated.
std::vector<float> RotatedCopy(const Problem& problem, size_t rotation) {
  std::vector<float> copy(problem.values.size());
  const size_t piece = std::max(rotation, kJobElements / rotation * rotation);
  RunJobs(problem.pool, (copy.size() + piece - 1) / piece,
          [&](size_t job, size_t) {
            const size_t begin = job * piece;
            const size_t n = std::min(piece, copy.size() - begin);
            const std::span<float> part = std::span(copy).subspan(begin, n);
            std::ranges::copy(problem.values.subspan(begin, n), part.begin());
            RotateAll(part, rotation);
          });
  return copy;
}

}  // namespace

void ForEachGroup(const Problem& problem, size_t rotation,
                  const GroupWork& work) {
  const Groups groups = problem.groups();
  const std::span<const float> values = problem.values;
  if (rotation > 1 && (groups.outer > 1 || groups.count == 1)) {
    const std::vector<float> rotated = RotatedCopy(problem, rotation);
    Problem on_copy = {.config = problem.config,
                       .values = rotated,
                       .shape = problem.shape,
                       .statistics = problem.statistics,
                       .pool = problem.pool};
    return ForEachGroup(on_copy, 1, work);
  }
  if (groups.count == 1) return work(0, values, problem.pool);

  // Groups of one job; with a rotation, those of whole rows.
  size_t some =
      std::max<size_t>(1, kJobElements / std::max<size_t>(1, groups.size()));
  const size_t in_row =
      std::max<size_t>(1, problem.width() / std::max<size_t>(1, groups.inner));
  if (rotation > 1) some = (some + in_row - 1) / in_row * in_row;
  std::vector<std::vector<float>> scratch(ThreadsOf(problem.pool));
  RunJobs(
      problem.pool, (groups.count + some - 1) / some,
      [&](size_t job, size_t thread) {
        const size_t begin = job * some;
        const size_t end = std::min(groups.count, begin + some);
        std::vector<float>& buffer = scratch[thread];
        if (groups.outer > 1) {
          buffer.resize(groups.size());
          for (size_t g = begin; g < end; ++g) {
            for (size_t o = 0; o < groups.outer; ++o) {
              std::copy_n(&values[(o * groups.count + g) * groups.inner],
                          groups.inner, &buffer[o * groups.inner]);
            }
            work(g, buffer, nullptr);
          }
          return;
        }
        std::span<const float> x =
            values.subspan(begin * groups.inner, (end - begin) * groups.inner);
        if (rotation > 1) {
          buffer.assign(x.begin(), x.end());
          RotateAll(buffer, rotation);
          x = buffer;
        }
        for (size_t g = begin; g < end; ++g) {
          work(g, x.subspan((g - begin) * groups.inner, groups.inner), nullptr);
        }
      });
}

uint32_t LargestBits(std::span<const float> x, ThreadPool* pool) {
  if (x.size() <= kJobElements) {
    uint32_t bits = 0;
    if (!x.empty()) Rows().magnitudes(1, x.size(), x.data(), &bits);
    return bits;
  }
  std::vector<uint32_t> largest((x.size() + kJobElements - 1) / kJobElements);
  RunJobs(pool, largest.size(), [&](size_t job, size_t) {
    const size_t begin = job * kJobElements;
    Rows().magnitudes(1, std::min(kJobElements, x.size() - begin), &x[begin],
                      &largest[job]);
  });
  return std::ranges::max(largest);
}

std::string Position(std::span<const int32_t> shape, size_t element) {
  std::vector<size_t> index(shape.size());
  for (size_t i = shape.size(); i-- > 0;) {
    index[i] = element % static_cast<size_t>(shape[i]);
    element /= static_cast<size_t>(shape[i]);
  }
  return fmt::format("[{}]", fmt::join(index, ", "));
}

std::unexpected<Error> NotFinite(const Problem& problem) {
  size_t i = 0;
  while (i + 1 < problem.values.size() && std::isfinite(problem.values[i])) ++i;
  return Invalid("the value at {} is {}; only finite values can be quantized",
                 Position(problem.shape, i), problem.values[i]);
}

IntegerRange EncodedRange(const WeightConfig& config) {
  IntegerRange range = RangeOf(config.bits, config.symmetric, false);
  if (config.behaviour == Behaviour::kCorrect && config.symmetric &&
      config.bits == 4 && config.algorithm != Algorithm::kRecovery) {
    range.low = -range.high;
  }
  return range;
}

float SymmetricScale(const WeightConfig& config, float bound) {
  if (bound < 1e-9f) bound = 1e-9f;  // NaN stays.
  const auto high = RangeOf(config.bits, true, false).high;
  return StoredScale(config, bound / static_cast<float>(high));
}

float StoredScale(const WeightConfig& config, float scale) {
  if (config.grouping.kind != Grouping::Kind::kBlock) return scale;
  const float stored = BlockScale(scale);
  if (config.behaviour == Behaviour::kCompat) return stored;
  return std::clamp(stored, 0x1p-14f, 65280.0f);
}

}  // namespace lathe::quant
