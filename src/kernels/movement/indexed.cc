#include "src/kernels/movement/indexed.h"

#include <algorithm>
#include <cstring>

namespace lathe::kernels {
namespace {

constexpr size_t kPiece = 4096;  // Elements of one job.

}  // namespace

size_t RunGatherNd(std::span<const int32_t> dims, size_t row_bytes,
                   std::span<const int64_t> indices, size_t rows,
                   const std::byte* table, std::byte* to) {
  const size_t k = dims.size();
  for (size_t i = 0; i < rows * k; ++i) {
    if (indices[i] < 0 || indices[i] >= dims[i % k]) return i / k;
  }
  for (size_t i = 0; i < rows; ++i) {
    size_t at = 0;
    for (size_t d = 0; d < k; ++d) {
      at = at * static_cast<size_t>(dims[d]) +
           static_cast<size_t>(indices[i * k + d]);
    }
    // memcpy must not see a null pointer, even of no bytes.
    if (row_bytes > 0) {
      std::memcpy(to + i * row_bytes, table + at * row_bytes, row_bytes);
    }
  }
  return rows;
}

void RunOneHot(size_t outer, size_t depth, size_t inner, size_t element_bytes,
               const int64_t* indices, const std::byte* on,
               const std::byte* off, std::byte* to, ThreadPool& pool) {
  const size_t rows = outer * depth;
  const size_t per_job =
      std::max<size_t>(1, kPiece / std::max<size_t>(1, inner));
  pool.Run((rows + per_job - 1) / per_job, [&](size_t job, size_t) {
    const size_t end = std::min(rows, (job + 1) * per_job);
    for (size_t row = job * per_job; row < end; ++row) {
      const int64_t* index = indices + row / depth * inner;
      const int64_t d = static_cast<int64_t>(row % depth);
      for (size_t i = 0; i < inner; ++i) {
        std::memcpy(to + (row * inner + i) * element_bytes,
                    index[i] == d ? on : off, element_bytes);
      }
    }
  });
}

void RunReverseSequence(const SequenceLoops& loops, const int64_t* lengths,
                        const std::byte* x, std::byte* to, ThreadPool& pool) {
  if (loops.inner_bytes == 0) return;
  const size_t planes = loops.outer * loops.first;
  pool.Run(planes, [&](size_t plane, size_t) {
    for (size_t m = 0; m < loops.middle; ++m) {
      for (size_t j = 0; j < loops.second; ++j) {
        size_t a = plane % loops.first, b = j;
        size_t& place = loops.sequence_first ? a : b;
        const auto length =
            static_cast<size_t>(lengths[loops.sequence_first ? b : a]);
        if (place < length) place = length - 1 - place;
        const size_t from_row =
            ((plane / loops.first * loops.first + a) * loops.middle + m) *
                loops.second +
            b;
        const size_t row = (plane * loops.middle + m) * loops.second + j;
        std::memcpy(to + row * loops.inner_bytes,
                    x + from_row * loops.inner_bytes, loops.inner_bytes);
      }
    }
  });
}

void RunMirrorPad(std::span<const int32_t> shape,
                  std::span<const int32_t> before,
                  std::span<const int32_t> after, bool reflect,
                  size_t element_bytes, const std::byte* x, std::byte* to,
                  ThreadPool& pool) {
  const size_t rank = shape.size();
  const auto out_dim = [&](size_t d) {
    return static_cast<size_t>(shape[d]) + static_cast<size_t>(before[d]) +
           static_cast<size_t>(after[d]);
  };
  size_t elements = 1;
  for (size_t d = 0; d < rank; ++d) elements *= out_dim(d);
  pool.Run((elements + kPiece - 1) / kPiece, [&](size_t job, size_t) {
    const size_t end = std::min(elements, (job + 1) * kPiece);
    for (size_t at = job * kPiece; at < end; ++at) {
      size_t rest = at, from = 0, run = 1;
      for (size_t d = rank; d-- > 0;) {
        const int64_t size = shape[d];
        int64_t i = static_cast<int64_t>(rest % out_dim(d)) - before[d];
        rest /= out_dim(d);
        const int64_t edge = reflect ? 0 : 1;
        if (i < 0) i = -i - edge;
        if (i >= size) i = 2 * size - 2 - i + edge;
        from += static_cast<size_t>(i) * run;
        run *= static_cast<size_t>(size);
      }
      std::memcpy(to + at * element_bytes, x + from * element_bytes,
                  element_bytes);
    }
  });
}

}  // namespace lathe::kernels
