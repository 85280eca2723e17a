// Opens a checkpoint and reads all that it promises to have.

#ifndef LATHE_FUZZ_CHECKPOINT_USE_H_
#define LATHE_FUZZ_CHECKPOINT_USE_H_

#include <cstdlib>
#include <vector>

#include "fuzz/memory_file.h"
#include "src/format/checkpoint.h"

namespace lathe::fuzz {

inline int UseCheckpoint(const uint8_t* data, size_t size) {
  const MemoryFile file(data, size);
  const auto checkpoint = format::Checkpoint::Open(file.path());
  if (!checkpoint) {
    if (checkpoint.error().message.empty()) std::abort();
    return 0;
  }
  uint64_t left = 1'000'000;
  for (const format::CheckpointTensor& tensor : (*checkpoint)->tensors()) {
    if (tensor.elements > left) continue;
    left -= tensor.elements;
    std::vector<float> values(tensor.elements);
    (void)(*checkpoint)->ReadFloats(tensor, 0, values);
    (*checkpoint)->GiveBack(tensor);
  }
  (void)format::NormalizeNames(**checkpoint);
  return 0;
}

}  // namespace lathe::fuzz

#endif  // LATHE_FUZZ_CHECKPOINT_USE_H_
