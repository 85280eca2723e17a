// Changes a .tflite file as a graph, so that the result is a file again, one
// that the verifier accepts: what then breaks is behind the verifier.

#ifndef LATHE_FUZZ_GRAPH_MUTATOR_H_
#define LATHE_FUZZ_GRAPH_MUTATOR_H_

#include <cstddef>
#include <cstdint>

namespace lathe::fuzz {

// Reads the file in data[0, size), changes options, shapes, types, constants,
// operands, operators or quantization at one to four places, and writes it back
// into data. Returns the new size, at most max_size; 0 when the bytes are no
// file or no change was accepted. Every graph it tries goes through the
// verifier, which must survive it.
size_t MutateGraph(uint8_t* data, size_t size, size_t max_size, uint32_t seed);

}  // namespace lathe::fuzz

#endif  // LATHE_FUZZ_GRAPH_MUTATOR_H_
