// Files and memory as targets of a writer.

#include "src/format/tflite/sink.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

namespace lathe::format {
namespace {

// The system refuses single writes of 2 GiB and more.
constexpr size_t kLargestWrite = size_t{1} << 30;

std::unexpected<Error> Refused(const char* what, const std::string& path) {
  return SystemError("{}: {}: {}", path, what, std::strerror(errno));
}

// Calls make(name) with names beside `path` until one is free: two writers of
// one process must not meet, and a process that was killed may have left a file
// behind under the number that this one has now. Returns the name, or nothing,
// with errno set.
template <typename Make>
std::string Temporary(const std::string& path, const Make& make) {
  static std::atomic<unsigned> next{0};
  constexpr int kMostTries = 1000;
  for (int i = 0; i < kMostTries; ++i) {
    std::string name = fmt::format("{}.part-{}-{}", path, getpid(), next++);
    if (make(name.c_str())) return name;
    if (errno != EEXIST) break;
  }
  return "";
}

// A file of no name in the folder of `path`, which goes with the process; -1
// where the file system knows none, or there is no way to name it later.
int OpenUnnamed(const std::string& path) {
  if (access("/proc/self/fd", X_OK) != 0) return -1;
  const size_t slash = path.rfind('/');
  const std::string folder =
      slash == std::string::npos ? "." : path.substr(0, slash + 1);
  return open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
}

}  // namespace

Status MemorySink::Write(std::span<const std::byte> bytes) {
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  return {};
}

FileSink::~FileSink() {
  if (file_ >= 0) close(file_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

Status FileSink::Open() {
  // A folder would only be noticed when everything is written.
  struct stat status;
  if (stat(path_.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) {
      return SystemError("{}: is a folder", path_);
    }
    if (!S_ISREG(status.st_mode)) {  // A device or a pipe keeps its name.
      file_ = open(path_.c_str(), O_WRONLY | O_CLOEXEC);
      return file_ < 0 ? Status(Refused("cannot open", path_)) : Status();
    }
  }
  file_ = OpenUnnamed(path_);
  is_unnamed_ = file_ >= 0;
  if (is_unnamed_) return {};
  temporary_ = Temporary(path_, [this](const char* name) {
    file_ = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return file_ >= 0;
  });
  return file_ < 0 ? Status(Refused("cannot create", path_)) : Status();
}

Status FileSink::Write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        write(file_, bytes.data(), std::min(bytes.size(), kLargestWrite));
    if (written < 0) {
      if (errno == EINTR) continue;
      return SystemError("cannot write: {}", std::strerror(errno));
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

Status FileSink::Commit() {
  if (is_unnamed_) {
    // A link replaces no file, a rename does.
    const std::string from = fmt::format("/proc/self/fd/{}", file_);
    temporary_ = Temporary(path_, [&](const char* name) {
      return linkat(AT_FDCWD, from.c_str(), AT_FDCWD, name,
                    AT_SYMLINK_FOLLOW) == 0;
    });
    if (temporary_.empty()) return Refused("cannot create", path_);
  }
  const int closed = close(file_);
  file_ = -1;
  // Some file systems report a full disk only now.
  if (closed != 0) return Refused("cannot write", path_);
  if (temporary_.empty()) return {};
  if (rename(temporary_.c_str(), path_.c_str()) != 0) {
    return Refused("cannot rename", path_);
  }
  temporary_.clear();
  return {};
}

}  // namespace lathe::format
