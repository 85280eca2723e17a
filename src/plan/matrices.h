// Where the matrices of a batch lie in a tensor whose leading dims broadcast
// and whose axes may be permuted.

#ifndef LATHE_PLAN_MATRICES_H_
#define LATHE_PLAN_MATRICES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/graph/graph.h"

namespace lathe::plan {

// A tensor as a batched product sees it: its axes in the product's order, the
// elements between neighbours along each.
struct Matrices {
  graph::Shape shape;
  std::vector<size_t> strides;

  // `perm` of the axes of a dense tensor; empty is none.
  explicit Matrices(const graph::Shape& dense,
                    const std::vector<int64_t>& perm = {})
      : shape(dense), strides(dense.size()) {
    std::vector<size_t> steps(dense.size());
    size_t run = 1;
    for (size_t i = dense.size(); i-- > 0;) {
      steps[i] = run;
      run *= static_cast<size_t>(dense[i]);
    }
    for (size_t i = 0; i < dense.size(); ++i) {
      const size_t from = perm.empty() ? i : static_cast<size_t>(perm[i]);
      shape[i] = dense[from];
      strides[i] = steps[from];
    }
  }

  // Counted from the last.
  size_t Dim(size_t back) const {
    return back < shape.size()
               ? static_cast<size_t>(shape[shape.size() - 1 - back])
               : 1;
  }
  size_t Stride(size_t back) const {
    return back < shape.size() ? strides[shape.size() - 1 - back] : 0;
  }

  // Where the matrix of each batch of `y` begins; leading dims broadcast.
  std::vector<size_t> Offsets(const Matrices& y, size_t batches) const {
    std::vector<size_t> offsets(batches);
    for (size_t batch = 0; batch < batches; ++batch) {
      size_t rest = batch;
      for (size_t back = 2; back < y.shape.size(); ++back) {
        const size_t index = rest % y.Dim(back);
        rest /= y.Dim(back);
        if (Dim(back) != 1) offsets[batch] += index * Stride(back);
      }
    }
    return offsets;
  }
};

}  // namespace lathe::plan

#endif  // LATHE_PLAN_MATRICES_H_
