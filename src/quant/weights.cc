#include "src/quant/weights.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "src/base/half.h"
#include "src/quant/algorithms.h"
#include "src/quant/groups.h"
#include "src/quant/hadamard.h"
#include "src/quant/pack.h"
#include "src/quant/rows/rows.h"

namespace lathe::quant {
namespace {

size_t Elements(std::span<const int32_t> shape) {
  size_t n = 1;
  for (const int32_t dim : shape) n *= static_cast<size_t>(dim);
  return n;
}

Status CheckGrouping(const Grouping& grouping, std::span<const int32_t> shape) {
  const auto rank = static_cast<int>(shape.size());
  switch (grouping.kind) {
    case Grouping::Kind::kTensor:
      break;
    case Grouping::Kind::kAxis:
      if (grouping.axis < 0 || grouping.axis >= rank) {
        return Invalid("axis {} of a tensor of rank {}", grouping.axis, rank);
      }
      break;
    case Grouping::Kind::kBlock:
      if (grouping.block <= 0 || shape.back() % grouping.block != 0) {
        return Invalid("blocks of {} do not divide the last dimension, {}",
                       grouping.block, shape.back());
      }
      break;
  }
  return {};
}

Status CheckConfig(const WeightConfig& config, std::span<const int32_t> shape) {
  if (config.algorithm == Algorithm::kFloatCasting) {
    if (config.bits == 16) return {};
    return Unsupported("floats of {} bits; float_casting makes 16",
                       config.bits);
  }
  // OCTAV also clips constant operands beside 16-bit activations; only its
  // scale is wanted then.
  const bool is_wide_octav =
      config.algorithm == Algorithm::kOctav && config.bits == 16;
  if (config.bits != 2 && config.bits != 4 && config.bits != 8 &&
      !is_wide_octav) {
    return Unsupported("weights of {} bits; 2, 4 and 8 exist", config.bits);
  }
  if (!config.symmetric && config.behaviour == Behaviour::kCorrect &&
      config.grouping.kind == Grouping::Kind::kBlock) {
    return Unsupported(
        "asymmetric blocks: the format has no zero points there");
  }
  return CheckGrouping(config.grouping, shape);
}

// Calls work(begin, end, q of them) for pieces of whole bytes, and packs.
// Pieces are whole rows where `rows` says so.
template <typename Work>
void EncodeInPieces(const Problem& problem, bool rows,
                    std::span<std::byte> bytes, const Work& work) {
  const size_t n = problem.values.size();
  // Four elements of 2 bits are a byte, so four rows are whole bytes.
  size_t piece = kJobElements;
  if (rows) {
    const size_t four = 4 * problem.width();
    piece = std::max<size_t>(1, kJobElements / four) * four;
  }
  const int bits = problem.config.bits;
  std::vector<std::vector<int8_t>> scratch(ThreadsOf(problem.pool));
  RunJobs(problem.pool, (n + piece - 1) / piece,
          [&](size_t job, size_t thread) {
            const size_t begin = job * piece, end = std::min(n, begin + piece);
            const size_t first = begin * static_cast<size_t>(bits) / 8;
            if (bits == 8) {
              auto* q = reinterpret_cast<int8_t*>(&bytes[first]);
              return work(begin, end, q, thread);
            }
            std::vector<int8_t>& q = scratch[thread];
            q.resize(end - begin);
            work(begin, end, q.data(), thread);
            Pack(q, bits, bytes.subspan(first));
          });
}

// Calls work(first element, first group, groups) for the longest stretches of
// [begin, end) that are whole runs of neighbouring groups, or a part of one.
template <typename Work>
void ForEachStretch(const Groups& groups, size_t begin, size_t end,
                    const Work& work) {
  while (begin < end) {
    const size_t run = begin / groups.inner;
    const size_t g = run % groups.count;
    const size_t inside = begin % groups.inner;
    size_t runs = std::min((end - begin) / groups.inner, groups.count - g);
    size_t length = groups.inner;
    if (inside != 0 || runs == 0) {
      runs = 1;
      length = std::min(groups.inner - inside, end - begin);
    }
    work(begin, g, runs, length);
    begin += runs * length;
  }
}

struct Grid {
  std::vector<float> scale, zero;
  explicit Grid(const WeightParams& params)
      : scale(params.scale.begin(), params.scale.end()),
        zero(params.zero_point.begin(), params.zero_point.end()) {}
};

void EncodePlain(const Problem& problem, const WeightParams& params,
                 std::span<std::byte> bytes) {
  const Groups groups = problem.groups();
  const Grid grid(params);
  const IntegerRange range = EncodedRange(problem.config);
  const auto low = static_cast<float>(range.low);
  const auto high = static_cast<float>(range.high);
  const auto rotation = static_cast<size_t>(params.hadamard_size);
  std::vector<std::vector<float>> scratch(ThreadsOf(problem.pool));
  EncodeInPieces(
      problem, rotation > 1, bytes,
      [&](size_t begin, size_t end, int8_t* q, size_t thread) {
        const float* x = &problem.values[begin];
        if (rotation > 1) {
          scratch[thread].assign(x, x + (end - begin));
          RotateAll(scratch[thread], rotation);
          x = scratch[thread].data();
        }
        ForEachStretch(
            groups, begin, end,
            [&](size_t at, size_t g, size_t runs, size_t length) {
              const size_t offset = at - begin;
              if (length == 1) {
                Rows().encode_columns(runs, x + offset, &grid.scale[g],
                                      &grid.zero[g], low, high, q + offset);
              } else {
                Rows().encode(runs, length, x + offset, &grid.scale[g],
                              &grid.zero[g], low, high, q + offset);
              }
            });
      });
}

// Where the older tool divides in double: OSCAR, and recovery with one scale.
void EncodeInDouble(const Problem& problem, const WeightParams& params,
                    std::span<std::byte> bytes) {
  const Groups groups = problem.groups();
  const IntegerRange range = EncodedRange(problem.config);
  const size_t width = problem.width();
  EncodeInPieces(
      problem, false, bytes, [&](size_t begin, size_t end, int8_t* q, size_t) {
        ForEachStretch(
            groups, begin, end,
            [&](size_t at, size_t g, size_t runs, size_t length) {
              // Split again where a row of column scales ends.
              for (size_t i = 0; i < runs * length;) {
                const size_t column = (at + i) % width;
                const size_t n = std::min(
                    {length - i % length, runs * length - i, width - column});
                Rows().encode_double(
                    n, &problem.values[at + i],
                    params.column_scale.empty() ? nullptr
                                                : &params.column_scale[column],
                    params.scale[g + i / length],
                    static_cast<double>(range.low),
                    static_cast<double>(range.high), q + (at + i - begin));
                i += n;
              }
            });
      });
}

void EncodeHalves(const Problem& problem, std::span<std::byte> bytes) {
  const size_t n = problem.values.size();
  RunJobs(problem.pool, (n + kJobElements - 1) / kJobElements,
          [&](size_t job, size_t) {
            const size_t begin = job * kJobElements;
            Rows().halves(std::min(kJobElements, n - begin),
                          &problem.values[begin],
                          reinterpret_cast<uint16_t*>(&bytes[2 * begin]));
          });
}

}  // namespace

Result<WeightParams> FindParams(const WeightConfig& config,
                                std::span<const float> values,
                                std::span<const int32_t> shape,
                                const InputStatistics& statistics,
                                ThreadPool* pool) {
  LATHE_CHECK(!shape.empty() && Elements(shape) == values.size());
  LATHE_TRY(CheckConfig(config, shape));
  const Problem problem = {.config = config,
                           .values = values,
                           .shape = shape,
                           .statistics = statistics,
                           .pool = pool};
  switch (config.algorithm) {
    case Algorithm::kNoQuantize:
      break;
    case Algorithm::kMinMax:
      return FindMinMax(problem);
    case Algorithm::kFloatCasting:
      return CheckHalves(problem);
    case Algorithm::kRecovery:
      return FindRecovery(problem);
    case Algorithm::kOctav:
      return FindOctav(problem, 1);
    case Algorithm::kHadamard:
    case Algorithm::kDecomposedHadamard:
      return FindHadamard(problem);
    case Algorithm::kMse:
      return FindMse(problem);
    case Algorithm::kGptq:
      return FindGptq(problem);
    case Algorithm::kOscar:
      return FindOscar(problem);
  }
  return Unsupported("no_quantize leaves a weight as it is");
}

uint64_t EncodedBytes(const WeightConfig& config,
                      std::span<const int32_t> shape) {
  return (Elements(shape) * static_cast<uint64_t>(config.bits) + 7) / 8;
}

Status Encode(const WeightConfig& config, const WeightParams& params,
              std::span<const float> values, std::span<const int32_t> shape,
              const InputStatistics& statistics, ThreadPool* pool,
              std::span<std::byte> bytes) {
  LATHE_CHECK(bytes.size() == EncodedBytes(config, shape));
  const Problem problem = {.config = config,
                           .values = values,
                           .shape = shape,
                           .statistics = statistics,
                           .pool = pool};
  if (values.empty()) return {};
  const bool whole = config.grouping.kind == Grouping::Kind::kTensor;
  if (config.algorithm == Algorithm::kFloatCasting) {
    EncodeHalves(problem, bytes);
  } else if (config.algorithm == Algorithm::kOscar ||
             (config.algorithm == Algorithm::kRecovery && whole)) {
    EncodeInDouble(problem, params, bytes);
  } else if (config.algorithm == Algorithm::kGptq) {
    std::vector<int8_t> q(values.size());
    LATHE_TRY(EncodeGptq(problem, params, q));
    Pack(q, config.bits, bytes);
  } else {
    EncodePlain(problem, params, bytes);
  }
  return {};
}

void Decode(const WeightConfig& config, const WeightParams& params,
            std::span<const std::byte> bytes, std::span<const int32_t> shape,
            std::span<float> values) {
  LATHE_CHECK(bytes.size() == EncodedBytes(config, shape) &&
              values.size() == Elements(shape));
  if (config.algorithm == Algorithm::kFloatCasting) {
    for (size_t i = 0; i < values.size(); ++i) {
      const auto low = static_cast<uint16_t>(bytes[2 * i]);
      const auto high = static_cast<uint16_t>(bytes[2 * i + 1]);
      values[i] = HalfToFloat(static_cast<uint16_t>(low | high << 8));
    }
    return;
  }
  if (values.empty()) return;
  std::vector<int8_t> q(values.size());
  Unpack(bytes, config.bits, q);
  ForEachStretch(GroupsOf(config.grouping, shape), 0, values.size(),
                 [&](size_t at, size_t g, size_t runs, size_t length) {
                   for (size_t i = 0; i < runs * length; ++i) {
                     const size_t group = g + i / length;
                     const int64_t steps = q[at + i] - params.zero_point[group];
                     values[at + i] = static_cast<float>(
                         static_cast<double>(steps) * params.scale[group]);
                   }
                 });
}

}  // namespace lathe::quant
