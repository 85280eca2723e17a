#include "src/format/tflite/external_files.h"

#include <algorithm>
#include <filesystem>

namespace lathe::format {

namespace fs = std::filesystem;

ExternalFiles::ExternalFiles(const std::string& model)
    : folder_(fs::path(model).parent_path().string()) {}

Result<std::shared_ptr<const MappedFile>> ExternalFiles::Open(
    const std::string& name) {
  const auto found = files_.find(name);
  if (found != files_.end()) return found->second;
  const fs::path path(name);
  // The system would read a name only up to its first NUL.
  if (name.empty() || name.contains('\0') || path.is_absolute() ||
      std::ranges::find(path, fs::path("..")) != path.end()) {
    return Invalid(
        "\"{}\"; allowed is the name of a file in the model's folder, without "
        "\"..\"",
        name);
  }
  LATHE_ASSIGN(auto file,
               MappedFile::Open((fs::path(folder_) / path).string()));
  files_.emplace(name, file);
  return file;
}

}  // namespace lathe::format
