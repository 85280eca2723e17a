// Works out operators on constants while a model is opened.
//
// Comes after: run/executor.h. Comes before: passes/, which gets it as a
// callback (PassOptions::fold).

#ifndef LATHE_API_FOLD_H_
#define LATHE_API_FOLD_H_

#include <cstddef>
#include <vector>

#include "src/base/result.h"
#include "src/graph/graph.h"

namespace lathe {

// The outputs' bytes, worked out by the scalar kernels: the same constants on
// every machine. Errors: kUnsupported for an operator that is not element-wise,
// a reduction or a movement of elements (the time of those is that of reading
// and writing), for quantized inputs, and where the outputs would take more
// memory than the inputs and kMostGrowth together; what plans and steps say.
Result<std::vector<std::vector<std::byte>>> EvaluateConstant(
    const graph::Graph& graph, const graph::Subgraph& subgraph,
    const graph::Op& op);

inline constexpr uint64_t kMostGrowth = uint64_t{64} << 10;

}  // namespace lathe

#endif  // LATHE_API_FOLD_H_
