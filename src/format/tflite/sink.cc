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

// Two writers of one process must not meet.
std::string TemporaryName(const std::string& path) {
  static std::atomic<unsigned> next{0};
  return fmt::format("{}.part-{}-{}", path, getpid(), next++);
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
  std::string name = TemporaryName(path_);
  file_ = open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file_ < 0) return Refused("cannot create", path_);
  temporary_ = std::move(name);
  return {};
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
