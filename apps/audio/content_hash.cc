// Streams files through XXH3.

#include "apps/audio/content_hash.h"

#include <xxhash.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "apps/audio/errors.h"

namespace lathe::audio {

std::string HashBytes(std::span<const std::byte> bytes) {
  return fmt::format("{:016x}", ::XXH3_64bits(bytes.data(), bytes.size()));
}

Result<std::string> HashFile(const std::string& path,
                             const std::atomic<bool>* stop) {
  return Guarded([&]() -> Result<std::string> {
    const auto close = [](std::FILE* f) { std::fclose(f); };
    const std::unique_ptr<std::FILE, decltype(close)> file(
        std::fopen(path.c_str(), "rb"), close);
    if (!file) {
      return Fail(
          errno == ENOENT ? ErrorCode::kInvalidInput : ErrorCode::kSystem,
          "{}: {}", path, std::strerror(errno));
    }
    const std::unique_ptr<XXH3_state_t, decltype(&::XXH3_freeState)> state(
        ::XXH3_createState(), ::XXH3_freeState);
    if (!state) return Fail(ErrorCode::kSystem, "out of memory");
    ::XXH3_64bits_reset(state.get());
    std::vector<std::byte> piece(1 << 20);
    while (const size_t n =
               std::fread(piece.data(), 1, piece.size(), file.get())) {
      if (stop != nullptr && *stop) {
        return Fail(ErrorCode::kInterrupted, "interrupted");
      }
      ::XXH3_64bits_update(state.get(), piece.data(), n);
    }
    if (std::ferror(file.get())) {
      return Fail(ErrorCode::kSystem, "{}: cannot be read: {}", path,
                  std::strerror(errno));
    }
    return fmt::format("{:016x}", ::XXH3_64bits_digest(state.get()));
  });
}

}  // namespace lathe::audio
