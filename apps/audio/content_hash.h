// XXH3 of files and samples, as 16 hex digits.

#ifndef LATHE_APPS_AUDIO_CONTENT_HASH_H_
#define LATHE_APPS_AUDIO_CONTENT_HASH_H_

#include <atomic>
#include <cstddef>
#include <span>
#include <string>

#include "lathe/result.h"

namespace lathe::audio {

std::string HashBytes(std::span<const std::byte> bytes);

// The same of a file's bytes, read in pieces: no more memory than 1 MiB, where
// Model::ContentHash touches every mapped page. Errors: kSystem, kInterrupted.
Result<std::string> HashFile(const std::string& path,
                             const std::atomic<bool>* stop);

}  // namespace lathe::audio

#endif  // LATHE_APPS_AUDIO_CONTENT_HASH_H_
