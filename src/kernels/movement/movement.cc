#include "src/kernels/movement/movement.h"

#include <algorithm>
#include <cstring>

namespace lathe::kernels {
namespace {

// Elements of one job.
constexpr size_t kPiece = 16384;

// The two innermost dims. 8 x 8 blocks keep both sides within a few lines when
// one of them is walked across.
template <typename T>
void CopyPlane(size_t rows, size_t columns, const T* from, ptrdiff_t from_row,
               ptrdiff_t from_column, T* to, ptrdiff_t to_row,
               ptrdiff_t to_column) {
  if (from_column == 1 && to_column == 1) {
    for (size_t i = 0; i < rows; ++i) {
      std::memcpy(to + static_cast<ptrdiff_t>(i) * to_row,
                  from + static_cast<ptrdiff_t>(i) * from_row,
                  columns * sizeof(T));
    }
    return;
  }
  constexpr size_t kBlock = 8;
  for (size_t i0 = 0; i0 < rows; i0 += kBlock) {
    const size_t i1 = std::min(rows, i0 + kBlock);
    for (size_t j0 = 0; j0 < columns; j0 += kBlock) {
      const size_t j1 = std::min(columns, j0 + kBlock);
      for (size_t i = i0; i < i1; ++i) {
        for (size_t j = j0; j < j1; ++j) {
          const ptrdiff_t si = static_cast<ptrdiff_t>(i);
          const ptrdiff_t sj = static_cast<ptrdiff_t>(j);
          to[si * to_row + sj * to_column] =
              from[si * from_row + sj * from_column];
        }
      }
    }
  }
}

template <typename T>
void Copy(const CopyLoops& loops, const T* from, T* to, ThreadPool& pool) {
  if (loops.rank == 0) {
    to[loops.to_first] = from[loops.from_first];
    return;
  }
  const size_t outer_rank = loops.rank > 2 ? loops.rank - 2 : 0;
  const bool plane = loops.rank >= 2;
  const size_t rows = plane ? loops.size[loops.rank - 2] : 1;
  const size_t columns = loops.size[loops.rank - 1];
  size_t outer = 1;
  for (size_t i = 0; i < outer_rank; ++i) outer *= loops.size[i];
  if (outer == 0 || rows == 0 || columns == 0) return;
  // Jobs: runs of rows within one plane.
  const size_t rows_per_job =
      std::clamp<size_t>(kPiece / std::max<size_t>(1, columns) / 8 * 8, 8,
                         std::max<size_t>(8, rows));
  const size_t row_jobs = (rows + rows_per_job - 1) / rows_per_job;
  const ptrdiff_t from_row = plane ? loops.from_stride[loops.rank - 2] : 0;
  const ptrdiff_t to_row = plane ? loops.to_stride[loops.rank - 2] : 0;
  pool.Run(outer * row_jobs, [&](size_t job, size_t) {
    size_t rest = job / row_jobs;
    const size_t first = job % row_jobs * rows_per_job;
    ptrdiff_t f = loops.from_first + static_cast<ptrdiff_t>(first) * from_row;
    ptrdiff_t t = loops.to_first + static_cast<ptrdiff_t>(first) * to_row;
    for (size_t i = outer_rank; i-- > 0;) {
      const ptrdiff_t index = static_cast<ptrdiff_t>(rest % loops.size[i]);
      rest /= loops.size[i];
      f += index * loops.from_stride[i];
      t += index * loops.to_stride[i];
    }
    CopyPlane<T>(std::min(rows_per_job, rows - first), columns, from + f,
                 from_row, loops.from_stride[loops.rank - 1], to + t, to_row,
                 loops.to_stride[loops.rank - 1]);
  });
}

struct Complex128 {
  uint64_t parts[2];
};

}  // namespace

CopyLoops Simplify(const CopyLoops& loops) {
  CopyLoops out;
  out.element_bytes = loops.element_bytes;
  out.from_first = loops.from_first;
  out.to_first = loops.to_first;
  for (size_t i = 0; i < loops.rank; ++i) {
    if (loops.size[i] == 1) continue;
    const ptrdiff_t n = static_cast<ptrdiff_t>(loops.size[i]);
    if (out.rank > 0 &&
        out.from_stride[out.rank - 1] == loops.from_stride[i] * n &&
        out.to_stride[out.rank - 1] == loops.to_stride[i] * n) {
      out.size[out.rank - 1] *= loops.size[i];
      out.from_stride[out.rank - 1] = loops.from_stride[i];
      out.to_stride[out.rank - 1] = loops.to_stride[i];
      continue;
    }
    out.Add(loops.size[i], loops.from_stride[i], loops.to_stride[i]);
  }
  return out;
}

void RunCopy(const CopyLoops& loops, const std::byte* from, std::byte* to,
             ThreadPool& pool) {
  const auto as = [&]<typename T>(T*) {
    Copy(loops, reinterpret_cast<const T*>(from), reinterpret_cast<T*>(to),
         pool);
  };
  switch (loops.element_bytes) {
    case 1:
      return as(static_cast<uint8_t*>(nullptr));
    case 2:
      return as(static_cast<uint16_t*>(nullptr));
    case 4:
      return as(static_cast<uint32_t*>(nullptr));
    case 8:
      return as(static_cast<uint64_t*>(nullptr));
    default:
      return as(static_cast<Complex128*>(nullptr));
  }
}

void RowMajorStrides(std::span<const int32_t> shape, ptrdiff_t* strides) {
  ptrdiff_t run = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = run;
    run *= shape[i];
  }
}

size_t RunGather(size_t outer, size_t rows, size_t row_bytes,
                 std::span<const int64_t> indices, const std::byte* table,
                 std::byte* to) {
  for (size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] < 0 || indices[i] >= static_cast<int64_t>(rows)) return i;
  }
  for (size_t o = 0; o < outer; ++o) {
    for (const int64_t index : indices) {
      std::memcpy(to,
                  table + (o * rows + static_cast<size_t>(index)) * row_bytes,
                  row_bytes);
      to += row_bytes;
    }
  }
  return indices.size();
}

}  // namespace lathe::kernels
