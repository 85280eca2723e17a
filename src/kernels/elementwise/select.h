// SELECT and SELECT_V2 on elements of any size.

#ifndef LATHE_KERNELS_ELEMENTWISE_SELECT_H_
#define LATHE_KERNELS_ELEMENTWISE_SELECT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "src/base/thread_pool.h"
#include "src/kernels/elementwise/broadcast.h"

namespace lathe::kernels {

// SELECT_V2: three operands broadcast to `out` as in PlanBroadcast. SELECT with
// a condition over the first dim is the condition's shape as [n, 1, 1 ...].
struct SelectLoops {
  size_t rank = 0, elements = 1;
  std::array<size_t, kMaxLoopRank> size{}, condition{}, a{}, b{};  // Strides.
};
SelectLoops PlanSelect(std::span<const int32_t> condition,
                       std::span<const int32_t> a, std::span<const int32_t> b,
                       std::span<const int32_t> out);

// y = condition ? a : b for elements of 1, 2, 4, 8 or 16 bytes.
void RunSelect(const SelectLoops& loops, size_t element_bytes,
               const uint8_t* condition, const std::byte* a, const std::byte* b,
               std::byte* y, ThreadPool& pool);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_ELEMENTWISE_SELECT_H_
