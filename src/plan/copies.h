// Steps that only copy, and fill what no copy reaches.

#ifndef LATHE_PLAN_COPIES_H_
#define LATHE_PLAN_COPIES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/kernels/activation.h"
#include "src/kernels/movement/movement.h"
#include "src/kernels/movement/narrow.h"
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

// Types of which a byte holds several, and how they are packed.
bool IsNarrow(const Lowering& lowering, int32_t tensor);
kernels::Narrow NarrowOf(graph::Type type);

// One step that fills `y`, then runs the copies into it, in order, then clamps.
// Types of which a byte holds several (int4, int2) are unpacked while they
// move.
void AddCopies(Lowering& lowering, const Node& node, std::vector<Copy> copies,
               int32_t y, Fill fill = {},
               kernels::Activation activation = kernels::Activation::kNone);

// Row-major.
std::array<ptrdiff_t, kernels::kMaxCopyRank> StridesOf(
    const graph::Shape& shape);

// One element that stands for 0: the zero point where the tensor is quantized.
std::vector<std::byte> ZeroOf(const Lowering& lowering, int32_t tensor);

}  // namespace lathe::plan

#endif  // LATHE_PLAN_COPIES_H_
