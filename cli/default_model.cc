#include "cli/default_model.h"

#include <cstdlib>
#include <filesystem>

namespace lathe::cli {

std::string DefaultModel() {
  namespace fs = std::filesystem;
  if (const char* named = std::getenv("LATHE_MODEL_DIR");
      named != nullptr && *named != '\0') {
    return named;
  }
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path beside = program.parent_path() / "models" / "nano";
  const fs::path installed = program.parent_path().parent_path() / "share" /
                             "lathe" / "models" / "nano";
  if (!fs::exists(beside, error) && fs::exists(installed, error)) {
    return installed.string();
  }
  return beside.string();
}

}  // namespace lathe::cli
