// Changes the graph as the instructions say (quantizer reference 4.4, 4.5).

#ifndef LATHE_QUANT_REWRITE_H_
#define LATHE_QUANT_REWRITE_H_

#include <vector>

#include "src/base/result.h"
#include "src/quant/instructions.h"

namespace lathe::quant {

// The rewritten graph; `graph` itself stays. Quantized constants are made when
// the result is written, on `pool`, which may be null and outlives it.
// Operators keep their relative order; tensors keep their indices, new ones
// follow. Errors: kInvalidInput for what the older tool aborts on (kCompat).
Result<graph::Graph> Rewrite(const graph::Graph& graph,
                             std::vector<TensorInstructions> instructions,
                             Behaviour behaviour, ThreadPool* pool);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_REWRITE_H_
