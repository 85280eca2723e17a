// Checks of paths, and files that appear whole or not at all.

#include "apps/audio/output_target.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "apps/audio/errors.h"

namespace lathe::audio {
namespace {

bool EndsIn(std::string_view path, std::string_view ending) {
  if (path.size() < ending.size()) return false;
  const std::string_view tail = path.substr(path.size() - ending.size());
  if (!std::ranges::equal(tail, ending, [](unsigned char a, unsigned char b) {
        return std::tolower(a) == std::tolower(b);
      })) {
    return false;
  }
  // A name that is an ending only (".wav") is a hidden file without one.
  const std::string_view stem = path.substr(0, path.size() - ending.size());
  return !stem.empty() && stem.back() != '/';
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Fills in what does not depend on the ending. `regular` tells whether the
// ending counts.
Result<OutputTarget> CheckPlace(const std::string& path, Existing existing,
                                bool& regular) {
  regular = false;
  OutputTarget target;
  target.path = path;
  target.existing = existing;
  if (path.empty()) return Fail(ErrorCode::kUsage, "the output path is empty");
  if (path == "-") {
    target.kind = OutputTarget::Kind::kStdout;
    return target;
  }
  struct stat info = {};
  if (::stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) {
      return Fail(ErrorCode::kInvalidInput,
                  "{}: is a folder; name a file in it", path);
    }
    if (S_ISSOCK(info.st_mode)) {
      return Fail(ErrorCode::kInvalidInput, "{}: is a socket", path);
    }
    if (!S_ISREG(info.st_mode)) {
      if (::access(path.c_str(), W_OK) != 0) {
        return Fail(ErrorCode::kSystem, "{}: cannot be written: {}", path,
                    std::strerror(errno));
      }
      target.kind = OutputTarget::Kind::kDirect;
      return target;
    }
    if (existing == Existing::kRefuse) {
      return Fail(ErrorCode::kInvalidInput,
                  "{}: exists; name it with -o to replace it", path);
    }
    if (::access(path.c_str(), W_OK) != 0) {
      return Fail(ErrorCode::kSystem, "{}: cannot be replaced: {}", path,
                  std::strerror(errno));
    }
    char resolved[PATH_MAX];
    if (::realpath(path.c_str(), resolved) != nullptr) target.path = resolved;
  } else if (errno == ENAMETOOLONG) {
    return Fail(ErrorCode::kInvalidInput, "{}...: the name is too long",
                path.substr(0, 60));
  } else if (errno != ENOENT && errno != ENOTDIR) {
    return Fail(ErrorCode::kSystem, "{}: {}", path, std::strerror(errno));
  } else if (path.back() == '/') {
    return Fail(ErrorCode::kInvalidInput,
                "{}: is a folder's name; name a file in it", path);
  }
  const std::string folder = FolderOf(target.path);
  if (::stat(folder.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return Fail(ErrorCode::kInvalidInput, "{}: the folder {} does not exist",
                  path, folder);
    }
    return Fail(ErrorCode::kSystem, "{}: {}", folder, std::strerror(errno));
  }
  if (!S_ISDIR(info.st_mode)) {
    return Fail(ErrorCode::kInvalidInput, "{}: {} is not a folder", path,
                folder);
  }
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    return Fail(ErrorCode::kSystem, "{}: the folder {} cannot be written: {}",
                path, folder, std::strerror(errno));
  }
  regular = true;
  return target;
}

Status WriteAll(int fd, const std::string& path,
                std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    // Linux writes at most 2 GiB at once.
    const size_t piece = std::min<size_t>(bytes.size(), size_t{1} << 30);
    const ssize_t n = ::write(fd, bytes.data(), piece);
    if (n < 0) {
      // Only Ctrl-C has a handler in our programs.
      if (errno == EINTR) return Fail(ErrorCode::kInterrupted, "interrupted");
      return Fail(ErrorCode::kSystem, "{}: cannot be written: {}", path,
                  std::strerror(errno));
    }
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Status WriteDirect(const std::string& path, std::span<const std::byte> bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == EINTR) return Fail(ErrorCode::kInterrupted, "interrupted");
    return Fail(ErrorCode::kSystem, "{}: cannot be opened: {}", path,
                std::strerror(errno));
  }
  Status status = WriteAll(fd, path, bytes);
  if (::close(fd) != 0 && status) {
    status = Fail(ErrorCode::kSystem, "{}: cannot be written: {}", path,
                  std::strerror(errno));
  }
  return status;
}

mode_t DefaultMode() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return 0666 & ~mask;
}

Status WriteBeside(const OutputTarget& target,
                   std::span<const std::byte> bytes) {
  const std::string& path = target.path;
  std::string temporary = FolderOf(path) + "/.lathe-XXXXXX";
  const int fd = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) {
    return Fail(ErrorCode::kSystem, "{}: cannot be written: {}", path,
                std::strerror(errno));
  }
  struct stat info = {};
  const mode_t mode =
      ::stat(path.c_str(), &info) == 0 ? info.st_mode & 0777 : DefaultMode();
  Status status = WriteAll(fd, path, bytes);
  const auto check = [&](bool good) {
    if (!good && status) {
      status = Fail(ErrorCode::kSystem, "{}: cannot be written: {}", path,
                    std::strerror(errno));
    }
  };
  check(::fchmod(fd, mode) == 0);
  check(::close(fd) == 0);
  if (status) {
    const unsigned flags =
        target.existing == Existing::kRefuse ? RENAME_NOREPLACE : 0;
    int renamed =
        ::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), flags);
    // Some file systems know no flags.
    if (renamed != 0 && errno == EINVAL) {
      renamed = ::rename(temporary.c_str(), path.c_str());
    }
    check(renamed == 0);
  }
  if (!status) ::unlink(temporary.c_str());
  return status;
}

}  // namespace

Result<OutputTarget> CheckTarget(const std::string& path, Existing existing) {
  bool regular = false;
  AUDIO_ASSIGN(OutputTarget target, CheckPlace(path, existing, regular));
  if (!regular || EndsIn(path, ".wav")) return target;
  if (!EndsIn(path, ".flac")) {
    return Fail(ErrorCode::kUsage, "{}: unknown ending; allowed .wav, .flac",
                path);
  }
  target.container = Container::kFlac;
  return target;
}

Result<OutputTarget> CheckTarget(const std::string& path,
                                 std::string_view ending, Existing existing) {
  bool regular = false;
  AUDIO_ASSIGN(OutputTarget target, CheckPlace(path, existing, regular));
  if (regular && !EndsIn(path, ending)) {
    return Fail(ErrorCode::kUsage, "{}: unknown ending; allowed {}", path,
                ending);
  }
  return target;
}

Status WriteTarget(const OutputTarget& target,
                   std::span<const std::byte> bytes) {
  switch (target.kind) {
    case OutputTarget::Kind::kStdout:
      return WriteAll(STDOUT_FILENO, "standard output", bytes);
    case OutputTarget::Kind::kDirect:
      return WriteDirect(target.path, bytes);
    case OutputTarget::Kind::kFile:
      return WriteBeside(target, bytes);
  }
  return {};
}

std::string UnusedName(std::string_view prompt, uint64_t seed,
                       std::string_view ending) {
  constexpr size_t kMost = 40;
  std::string words;
  for (const unsigned char c : prompt) {
    if (words.size() >= kMost) break;
    if (c < 0x80 && std::isalnum(c)) {
      words += static_cast<char>(std::tolower(c));
    } else if (!words.empty() && words.back() != '-') {
      words += '-';
    }
  }
  while (!words.empty() && words.back() == '-') words.pop_back();
  if (words.empty()) words = "sound";
  const std::string stem = fmt::format("{}-{}", words, seed);
  std::string name = fmt::format("{}{}", stem, ending);
  struct stat info = {};
  for (int i = 2; ::lstat(name.c_str(), &info) == 0; ++i) {
    name = fmt::format("{}-{}{}", stem, i, ending);
  }
  return name;
}

}  // namespace lathe::audio
