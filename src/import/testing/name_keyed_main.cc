// lathe_name_keyed tiny|full SPIECE_MODEL DIR: writes a checkpoint with
// name-keyed weights, a T5 folder and a configuration.

#include <cstdio>
#include <cstring>

#include "src/import/testing/name_keyed.h"

int main(int argc, char** argv) {
  using lathe::importer::ModelSize;
  const bool tiny = argc == 4 && std::strcmp(argv[1], "tiny") == 0;
  const bool full = argc == 4 && std::strcmp(argv[1], "full") == 0;
  if (!tiny && !full) {
    std::fprintf(stderr, "usage: lathe_name_keyed tiny|full SPIECE DIR\n");
    return 2;
  }
  const lathe::Status status = lathe::importer::WriteNameKeyedModel(
      tiny ? ModelSize::kTiny : ModelSize::kFull, argv[3], argv[2]);
  if (!status) std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return status ? 0 : static_cast<int>(status.error().code);
}
