// Reads FlexBuffers: the maps in which files keep what the format has no table
// for (options of custom operators, attributes of composites).

#ifndef LATHE_GRAPH_FLEX_MAP_H_
#define LATHE_GRAPH_FLEX_MAP_H_

#include <cstdint>
#include <span>

#include "src/graph/graph.h"

namespace lathe::graph {

// The entries of a map, in the file's order, as options: whole numbers, floats,
// bools, strings, and vectors of whole numbers or floats. Entries of other
// kinds (maps in maps, blobs, mixed vectors) are left out. Every offset is
// checked and nothing is followed deeper than one vector, so the cost is
// bounded by the bytes. Errors: kInvalidInput when the bytes are no sound map,
// of more than 1,024 entries or with a vector of more than 65,536 numbers.
Result<Options> ReadFlexMap(std::span<const uint8_t> bytes);

}  // namespace lathe::graph

#endif  // LATHE_GRAPH_FLEX_MAP_H_
