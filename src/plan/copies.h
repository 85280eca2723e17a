// Steps that only copy, and fill what no copy reaches.

#ifndef LATHE_PLAN_COPIES_H_
#define LATHE_PLAN_COPIES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/kernels/movement/movement.h"
#include "src/plan/lowering.h"

namespace lathe::plan {

struct Copy {
  kernels::CopyLoops loops;  // Of elements; element_bytes is filled in.
  int32_t from = 0;
};

// What a step writes everywhere before it copies: one element's bytes, or the
// one element of a tensor; nothing by default.
struct Fill {
  std::vector<std::byte> bytes;
  int32_t tensor = graph::kNoTensor;
};

size_t ElementBytes(const Lowering& lowering, int32_t tensor);

// One step that fills `y`, then runs the copies into it, in order.
void AddFilledCopies(Lowering& lowering, const Node& node,
                     std::vector<Copy> copies, int32_t y, Fill fill = {});

// Row-major.
std::array<ptrdiff_t, kernels::kMaxCopyRank> StridesOf(
    const graph::Shape& shape);

// Zero as the tensor writes it: the zero point where it is quantized.
std::vector<std::byte> ZeroOf(const Lowering& lowering, int32_t tensor);

}  // namespace lathe::plan

#endif  // LATHE_PLAN_COPIES_H_
