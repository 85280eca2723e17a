// Torch zip files: the directory, the pickle, the tensors.

#include "fuzz/checkpoint_use.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return lathe::fuzz::UseCheckpoint(data, size);
}
