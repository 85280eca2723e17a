// Configurations: model_config.json and T5's config.json.

#include <cstdlib>

#include "fuzz/memory_file.h"
#include "src/import/stable_audio_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const lathe::fuzz::MemoryFile file(data, size);
  const auto config = lathe::importer::ReadStableAudioConfig(file.path());
  if (!config && config.error().message.empty()) std::abort();
  const auto t5 = lathe::importer::ReadT5Config(file.path());
  if (!t5 && t5.error().message.empty()) std::abort();
  return 0;
}
