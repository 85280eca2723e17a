// Operators that rotate the last axis of a tensor by a Hadamard matrix
// (quantizer reference 2.7), in three forms.

#ifndef LATHE_QUANT_HADAMARD_OPS_H_
#define LATHE_QUANT_HADAMARD_OPS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "src/quant/inserter.h"

namespace lathe::quant {

// Operators that turn `tensor` into the returned tensor.
struct Inserted {
  std::vector<graph::Op> ops;
  int32_t output = 0;
};

// One custom operator, aeq.hadamard_rotation.
Inserted RotateByCustomOp(Inserter& inserter, size_t subgraph, int32_t tensor,
                          int64_t size);

// RESHAPE, FULLY_CONNECTED with the whole matrix, RESHAPE to the stored shape:
// the older tool's form. The matrix has size^2 floats.
Inserted RotateByMatrix(Inserter& inserter, size_t subgraph, int32_t tensor,
                        int64_t size);

// The same rotation as a product of small ones: a Hadamard matrix of a * b is
// the Kronecker product of those of a and b, so each factor (at most 64)
// rotates its own axis, with a TRANSPOSE to the next. Builtin operators only,
// at most 16 KiB of matrices of each size, size * 64 instead of size^2
// multiplications; dims that a caller may resize stay so.
Inserted RotateByFactors(Inserter& inserter, size_t subgraph, int32_t tensor,
                         int64_t size);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_HADAMARD_OPS_H_
