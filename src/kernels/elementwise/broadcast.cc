#include "src/kernels/elementwise/broadcast.h"

#include <algorithm>
#include <array>

namespace lathe::kernels {
namespace {

// Elements of one job: 64 KB in and out, some microseconds of work.
constexpr size_t kPiece = 8192;

}  // namespace

BroadcastLoops PlanBroadcast(std::span<const int32_t> a,
                             std::span<const int32_t> b,
                             std::span<const int32_t> out) {
  const size_t rank = out.size();
  std::array<size_t, kMaxLoopRank> size{}, sa{}, sb{};
  size_t run_a = 1, run_b = 1;
  BroadcastLoops loops;
  for (size_t i = rank; i-- > 0;) {
    const auto dim = [&](std::span<const int32_t> shape) -> size_t {
      const size_t from_right = rank - i;
      return from_right > shape.size()
                 ? 1
                 : static_cast<size_t>(shape[shape.size() - from_right]);
    };
    size[i] = static_cast<size_t>(out[i]);
    sa[i] = dim(a) == 1 ? 0 : run_a;
    sb[i] = dim(b) == 1 ? 0 : run_b;
    run_a *= dim(a);
    run_b *= dim(b);
    loops.elements *= size[i];
  }
  for (size_t i = 0; i < rank; ++i) {
    if (size[i] == 1) continue;
    if (loops.rank > 0) {
      const size_t o = loops.rank - 1;
      if (loops.a_stride[o] == sa[i] * size[i] &&
          loops.b_stride[o] == sb[i] * size[i]) {
        loops.size[o] *= size[i];
        loops.a_stride[o] = sa[i];
        loops.b_stride[o] = sb[i];
        continue;
      }
    }
    loops.size[loops.rank] = size[i];
    loops.a_stride[loops.rank] = sa[i];
    loops.b_stride[loops.rank] = sb[i];
    ++loops.rank;
  }
  return loops;
}

namespace {

// A short row against every row of a matrix, such as a factor for each of three
// channels: the row is repeated, so that runs are long enough for vectors. The
// values are the same, element by element.
bool RunShortRows(const ElementwiseKernels& kernels, Binary kind,
                  const BroadcastLoops& loops, const float* a, const float* b,
                  float* y, Clamp clamp, ThreadPool& pool) {
  constexpr size_t kRepeated = 1024;
  if (loops.rank != 2) return false;
  const size_t rows = loops.size[0], count = loops.size[1];
  if (count > kRepeated / 16 || loops.a_stride[1] != 1 ||
      loops.b_stride[1] != 1) {
    return false;
  }
  const bool a_repeats = loops.a_stride[0] == 0;
  const bool b_repeats = loops.b_stride[0] == 0;
  if (a_repeats == b_repeats ||
      (a_repeats ? loops.b_stride[0] : loops.a_stride[0]) != count) {
    return false;
  }
  const size_t rows_at_once = std::min(rows, kRepeated / count);
  const size_t per_job = (kPiece / kRepeated) * rows_at_once;
  pool.Run((rows + per_job - 1) / per_job, [&](size_t job, size_t) {
    std::array<float, kRepeated> repeated;
    const float* row = a_repeats ? a : b;
    for (size_t i = 0; i < rows_at_once; ++i) {
      std::copy_n(row, count, repeated.data() + i * count);
    }
    const size_t end = std::min(rows, (job + 1) * per_job);
    for (size_t i = job * per_job; i < end; i += rows_at_once) {
      const size_t at = i * count;
      const size_t n = std::min(rows_at_once, end - i) * count;
      kernels.binary(kind, n, a_repeats ? repeated.data() : a + at, 1,
                     b_repeats ? repeated.data() : b + at, 1, y + at, clamp);
    }
  });
  return true;
}

}  // namespace

void RunBinaryF32(const ElementwiseKernels& kernels, Binary kind,
                  const BroadcastLoops& loops, const float* a, const float* b,
                  float* y, Activation activation, ThreadPool& pool) {
  if (loops.elements == 0) return;
  const Clamp clamp = ClampOf(activation);
  const size_t count = loops.rank ? loops.size[loops.rank - 1] : 1;
  const size_t a_step = loops.rank ? loops.a_stride[loops.rank - 1] : 0;
  const size_t b_step = loops.rank ? loops.b_stride[loops.rank - 1] : 0;
  if (loops.rank <= 1) {  // One run: cut it.
    pool.Run((count + kPiece - 1) / kPiece, [&](size_t job, size_t) {
      const size_t at = job * kPiece;
      kernels.binary(kind, std::min(kPiece, count - at), a + at * a_step,
                     a_step, b + at * b_step, b_step, y + at, clamp);
    });
    return;
  }
  if (RunShortRows(kernels, kind, loops, a, b, y, clamp, pool)) return;
  const size_t runs = loops.elements / count;
  const size_t per_job = std::max<size_t>(1, kPiece / count);
  pool.Run((runs + per_job - 1) / per_job, [&](size_t job, size_t) {
    ForEachRun(loops, job * per_job, std::min(runs, (job + 1) * per_job),
               [&](size_t to, size_t from_a, size_t from_b, size_t n) {
                 kernels.binary(kind, n, a + from_a, a_step, b + from_b, b_step,
                                y + to, clamp);
               });
  });
}

void RunUnaryF32(const ElementwiseKernels& kernels, Unary kind, size_t n,
                 const float* x, float* y, float alpha, ThreadPool& pool) {
  pool.Run((n + kPiece - 1) / kPiece, [&](size_t job, size_t) {
    const size_t at = job * kPiece;
    kernels.unary(kind, std::min(kPiece, n - at), x + at, y + at, alpha);
  });
}

}  // namespace lathe::kernels
