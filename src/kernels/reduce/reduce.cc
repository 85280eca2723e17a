#include "src/kernels/reduce/reduce.h"

#include <algorithm>
#include <array>
#include <limits>

namespace lathe::kernels {
namespace {

// Input elements of one job.
constexpr size_t kPiece = 16384;
// Neighbouring outputs that are summed side by side when the input runs along
// them: a cache line of inputs, and sums that stay in registers.
constexpr size_t kBlock = 16;

size_t OffsetOf(const std::vector<ReduceLoops::Dim>& dims, size_t index) {
  size_t offset = 0;
  for (size_t i = dims.size(); i-- > 0;) {
    offset += index % dims[i].size * dims[i].stride;
    index /= dims[i].size;
  }
  return offset;
}

double First(Reduction kind) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  switch (kind) {
    case Reduction::kProd:
      return 1;
    case Reduction::kMax:
      return -kInfinity;
    case Reduction::kMin:
      return kInfinity;
    default:
      return 0;
  }
}

double Step(Reduction kind, double so_far, float value) {
  const double v = value;
  switch (kind) {
    case Reduction::kProd:
      return so_far * v;
    case Reduction::kMax:
      return v > so_far || v != v ? v : so_far;  // NaN wins.
    case Reduction::kMin:
      return v < so_far || v != v ? v : so_far;
    default:
      return so_far + v;
  }
}

float Last(Reduction kind, double result, size_t n) {
  if (kind == Reduction::kMean) result /= static_cast<double>(n);
  return static_cast<float>(result);
}

// `outputs` neighbours in a block, each over all its inputs in the order of the
// input; x is the first input of the first of them.
template <Reduction kKind>
void Block(const ReduceLoops& loops, const float* x, size_t outputs, float* y) {
  std::array<double, kBlock> sums;
  sums.fill(First(kKind));
  const bool any = !loops.reduced.empty();
  const size_t count = any ? loops.reduced.back().size : 1;
  const size_t stride = any ? loops.reduced.back().stride : 1;
  const size_t runs = count ? loops.inputs_per_output / count : 0;
  for (size_t run = 0; run < runs; ++run) {
    const float* row =
        x + (loops.runs.empty() ? OffsetOf(loops.reduced, run * count)
                                : loops.runs[run]);
    if (outputs == kBlock) {
      std::array<double, kBlock> own = sums;
      for (size_t i = 0; i < count; ++i, row += stride) {
#pragma GCC unroll 16
        for (size_t j = 0; j < kBlock; ++j) {
          own[j] = Step(kKind, own[j], row[j]);
        }
      }
      sums = own;
      continue;
    }
    for (size_t i = 0; i < count; ++i, row += stride) {
      for (size_t j = 0; j < outputs; ++j) {
        sums[j] = Step(kKind, sums[j], row[j]);
      }
    }
  }
  for (size_t j = 0; j < outputs; ++j) {
    y[j] = Last(kKind, sums[j], loops.inputs_per_output);
  }
}

using BlockFunction = void (*)(const ReduceLoops&, const float*, size_t,
                               float*);

BlockFunction BlockOf(Reduction kind) {
  switch (kind) {
    case Reduction::kSum:
      return Block<Reduction::kSum>;
    case Reduction::kMean:
      return Block<Reduction::kMean>;
    case Reduction::kProd:
      return Block<Reduction::kProd>;
    case Reduction::kMax:
      return Block<Reduction::kMax>;
    case Reduction::kMin:
      return Block<Reduction::kMin>;
  }
  return nullptr;
}

}  // namespace

ReduceLoops PlanReduce(std::span<const int32_t> shape,
                       std::span<const int32_t> axes) {
  std::vector<bool> reduced(shape.size());
  for (const int32_t axis : axes) reduced[static_cast<size_t>(axis)] = true;
  ReduceLoops loops;
  size_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    const size_t size = static_cast<size_t>(shape[i]);
    auto& dims = reduced[i] ? loops.reduced : loops.kept;
    (reduced[i] ? loops.inputs_per_output : loops.outputs) *= size;
    if (size != 1) {
      // Built innermost first; merged when this dim runs on from the last.
      if (!dims.empty() && dims.back().size * dims.back().stride == stride) {
        dims.back().size *= size;
      } else {
        dims.push_back({size, stride});
      }
    }
    stride *= size;
  }
  std::ranges::reverse(loops.kept);
  std::ranges::reverse(loops.reduced);
  constexpr size_t kMostRuns = 4096;
  if (!loops.reduced.empty() && loops.reduced.back().size > 0) {
    const size_t count = loops.reduced.back().size;
    const size_t runs = loops.inputs_per_output / count;
    for (size_t run = 0; run < runs && runs <= kMostRuns; ++run) {
      loops.runs.push_back(OffsetOf(loops.reduced, run * count));
    }
  }
  return loops;
}

void RunReduce(const NormKernels& kernels, Reduction kind,
               const ReduceLoops& loops, const float* x, float* y,
               ThreadPool& pool) {
  const size_t n = loops.inputs_per_output;
  const bool row = loops.reduced.size() == 1 && loops.reduced[0].stride == 1 &&
                   (kind == Reduction::kSum || kind == Reduction::kMean);
  // Outputs that lie side by side in the input too.
  const bool beside = !loops.kept.empty() && loops.kept.back().stride == 1;
  const size_t run = beside ? loops.kept.back().size : 1;
  const BlockFunction block = BlockOf(kind);
  const size_t per_job = std::max<size_t>(1, kPiece / std::max<size_t>(1, n));
  pool.Run((loops.outputs + per_job - 1) / per_job, [&](size_t job, size_t) {
    const size_t end = std::min(loops.outputs, (job + 1) * per_job);
    for (size_t i = job * per_job; i < end;) {
      const float* from = x + OffsetOf(loops.kept, i);
      if (row) {
        const float sum = kernels.sum(n, from);
        y[i] = kind == Reduction::kMean ? sum / static_cast<float>(n) : sum;
        ++i;
        continue;
      }
      const size_t outputs = std::min({kBlock, end - i, run - i % run});
      block(loops, from, outputs, y + i);
      i += outputs;
    }
  });
}

}  // namespace lathe::kernels
