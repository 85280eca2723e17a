// A file is refused, or it reads, writes and reads back to the same graph.

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "src/format/tflite/tflite.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using lathe::format::ReadTflite;
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  const auto owner =
      std::make_shared<std::vector<std::byte>>(bytes, bytes + size);
  const auto graph = ReadTflite(*owner, owner, "fuzz");
  if (!graph) {
    if (graph.error().message.empty()) std::abort();
    return 0;
  }
  const auto written = lathe::format::WriteTfliteToMemory(*graph);
  if (!written) return 0;
  const auto copy = std::make_shared<std::vector<std::byte>>(*written);
  const auto again = ReadTflite(*copy, copy, "written");
  if (!again) {
    std::fprintf(stderr, "%s\n", again.error().message.c_str());
    std::abort();
  }
  const std::string difference = FirstDifference(*graph, *again);
  if (!difference.empty()) {
    std::fprintf(stderr, "%s\n", difference.c_str());
    std::abort();
  }
  return 0;
}
