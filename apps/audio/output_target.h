// Where a result goes: checked before any work, written whole or not at all.

#ifndef LATHE_APPS_AUDIO_OUTPUT_TARGET_H_
#define LATHE_APPS_AUDIO_OUTPUT_TARGET_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "lathe/result.h"

namespace lathe::audio {

enum class Container : uint8_t { kWav, kFlac };

enum class Existing : uint8_t {
  kReplace,  // The user named this file.
  kRefuse,   // We made up the name.
};

struct OutputTarget {
  enum class Kind : uint8_t {
    kFile,    // Temporary file beside it, then a rename.
    kDirect,  // A device or a pipe: written as it is.
    kStdout,  // "-".
  };
  std::string path;  // Symbolic links of an existing file are resolved.
  Kind kind = Kind::kFile;
  Container container = Container::kWav;
  Existing existing = Existing::kReplace;
};

// Looks at a sound's target without touching it. The ending, in any case of
// letters, chooses the container: .wav, .flac; devices, pipes and "-" get WAV.
// Errors: kUsage for an empty path and an unknown ending; kInvalidInput for a
// folder, a missing folder, and an existing file with kRefuse; kSystem when it
// may not be written.
Result<OutputTarget> CheckTarget(const std::string& path,
                                 Existing existing = Existing::kReplace);

// The same for a file of any other kind; `ending` such as ".png" is demanded.
Result<OutputTarget> CheckTarget(const std::string& path,
                                 std::string_view ending, Existing existing);

// Writes all bytes. On any error (kSystem: disk full, pipe closed ...) nothing
// new is left, and an old file of that name is as it was.
Status WriteTarget(const OutputTarget& target,
                   std::span<const std::byte> bytes);

// A name for the current folder that no file has: letters and digits of the
// prompt (at most 40 bytes), the seed, and a number if need be:
// "warm-arpeggio-7.wav", "warm-arpeggio-7-2.wav".
std::string UnusedName(std::string_view prompt, uint64_t seed,
                       std::string_view ending);

}  // namespace lathe::audio

#endif  // LATHE_APPS_AUDIO_OUTPUT_TARGET_H_
