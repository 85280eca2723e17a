// Shape rules for an operator whose inputs have been computed: shapes that
// depend on values.
//
// Used by plan while a model runs; shapes.h is for everything before that.

#ifndef LATHE_GRAPH_SHAPES_RUNTIME_H_
#define LATHE_GRAPH_SHAPES_RUNTIME_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "src/graph/shapes.h"

namespace lathe::graph {

// InferOp with every input's bytes at hand: sizes are read from inputs of any
// integer type and number, WHERE counts what is not zero, UNIQUE what differs,
// RANGE of floats works too. `input_bytes[i]` belongs to inputs[i], empty where
// the input is left out; it need not be aligned. Values of small outputs are
// worked out as InferOp does; they hold for these bytes only.
//
// Errors: kInvalidInput also when bytes do not fit an input's shape or when
// values that give a shape are out of range.
Result<std::vector<KnownTensor>> InferOpWithValues(
    const Graph& graph, const Op& op,
    std::span<const KnownTensor* const> inputs,
    std::span<const std::span<const std::byte>> input_bytes,
    std::span<const Type> stored_types = {});

// Elements of a RANGE; each pointer is to one number of the type. Errors:
// kInvalidInput for a delta of 0 or away from the limit, for NaN and for
// lengths above 2^31 - 1; kUnsupported for a type that is no number.
Result<int64_t> RangeLength(Type type, const std::byte* start,
                            const std::byte* limit, const std::byte* delta);

}  // namespace lathe::graph

#endif  // LATHE_GRAPH_SHAPES_RUNTIME_H_
