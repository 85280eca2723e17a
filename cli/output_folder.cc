#include "cli/output_folder.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "cli/npy.h"
#include "cli/open_session.h"
#include "cli/problem.h"

namespace lathe::cli {
namespace {

namespace fs = std::filesystem;

}  // namespace

Result<OutputFolder> OutputFolder::Check(const std::string& path) {
  if (path.empty()) return OutputFolder("");
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status) && !fs::is_directory(status)) {
    return Wrong("--output {}: is not a folder", path);
  }
  fs::path folder = path;
  if (!fs::exists(status)) {
    folder = fs::absolute(path, error).lexically_normal();
    if (!folder.has_filename()) folder = folder.parent_path();  // "out/"
    folder = folder.parent_path();
    if (!fs::is_directory(folder, error)) {
      return Wrong("--output {}: the folder {} does not exist", path,
                   folder.string());
    }
  }
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    return SystemTrouble("--output {}: {} cannot be written: {}", path,
                         folder.string(), std::strerror(errno));
  }
  return OutputFolder(path);
}

OutputFolder::OutputFolder(OutputFolder&& other) noexcept
    : path_(std::move(other.path_)),
      staging_(std::exchange(other.staging_, {})),
      made_(std::exchange(other.made_, false)),
      names_(std::move(other.names_)) {}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  if (!staging_.empty()) fs::remove_all(staging_, ignored);
  if (made_) fs::remove(path_, ignored);  // Only when it is empty.
}

Status OutputFolder::MakeStaging() {
  std::error_code error;
  made_ = fs::create_directory(path_, error);
  if (error) return SystemTrouble("{}: {}", path_, error.message());
  std::string name = (fs::path(path_) / ".lathe-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    return SystemTrouble("{}: cannot be written: {}", path_,
                         std::strerror(errno));
  }
  staging_ = name;
  return {};
}

Status OutputFolder::Add(const std::string& name,
                         std::span<const std::byte> bytes) {
  if (!wanted()) return {};
  if (staging_.empty()) {
    if (Status s = MakeStaging(); !s) return s;
  }
  std::ofstream out(fs::path(staging_) / name, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) {
    return SystemTrouble("{}: cannot be written: {}",
                         (fs::path(path_) / name).string(),
                         std::strerror(errno));
  }
  names_.push_back(name);
  return {};
}

Status OutputFolder::Commit() {
  for (const std::string& name : names_) {
    std::error_code error;
    const fs::path to = fs::path(path_) / name;
    fs::rename(fs::path(staging_) / name, to, error);
    if (error) {
      return SystemTrouble("{}: cannot be written: {}", to.string(),
                           error.message());
    }
  }
  made_ = false;
  return {};
}

Status AddOutputs(const Session& session, std::string_view suffix,
                  OutputFolder& folder) {
  if (!folder.wanted()) return {};
  for (size_t i = 0; i < session.outputs().size(); ++i) {
    const TensorInfo& output = session.outputs()[i];
    const std::string at = fmt::format("#{}", i);
    std::string name = fmt::format("out{}{}.npy", i, suffix);
    std::vector<std::byte> file;
    if (output.type == ElementType::kString) {
      name = fmt::format("out{}{}.json", i, suffix);
      const auto strings = session.Strings(at);
      if (!strings) return std::unexpected(strings.error());
      std::string text;
      try {
        text = Json(*strings).dump(1) + "\n";
      } catch (const Json::type_error&) {
        return Trouble(ErrorCode::kUnsupported,
                       "output {} \"{}\": a string is not UTF-8", i,
                       output.name);
      }
      file.resize(text.size());
      std::memcpy(file.data(), text.data(), text.size());
    } else {
      const auto bytes = session.OutputBytes(at);
      if (!bytes) return std::unexpected(bytes.error());
      auto encoded = EncodeNpy(output.type, output.shape, *bytes);
      if (!encoded) {
        return Trouble(encoded.error().code, "output {} \"{}\": {}", i,
                       output.name, encoded.error().message);
      }
      file = *std::move(encoded);
    }
    if (Status s = folder.Add(name, file); !s) return s;
  }
  return {};
}

Json DescribeOutputs(const Session& session) {
  Json list = Json::array();
  for (size_t i = 0; i < session.outputs().size(); ++i) {
    const TensorInfo& output = session.outputs()[i];
    list.push_back({{"index", i},
                    {"name", output.name},
                    {"tensor", output.tensor},
                    {"type", Name(output.type)},
                    {"shape", output.shape},
                    {"quantization", QuantizationJson(output.quantization)}});
  }
  return list;
}

}  // namespace lathe::cli
