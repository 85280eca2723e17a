// The settings of a sound as one JSON string, kept in the file's comment.

#ifndef LATHE_APPS_AUDIO_METADATA_H_
#define LATHE_APPS_AUDIO_METADATA_H_

#include <string>
#include <string_view>

#include "apps/audio/settings.h"
#include "lathe/result.h"

namespace lathe::audio {

struct Metadata {
  Settings settings;
  std::string model;       // A name, never a path: "nano".
  std::string model_hash;  // Pipeline::ModelHash.
  std::string isa;      // Bytes are equal only on the same one; may be empty.
  std::string version;  // Of Lathe.
  int bits = 16;
  // Set by ReadMetadata when the prompts had been stored cut.
  bool cut = false;
};

// Prompts longer than this are stored cut (at a character's start), prompt and
// negative prompt each. A WAV comment of some 50,000 bytes reads back empty.
inline constexpr size_t kMaxStoredPromptBytes = 16 << 10;

struct MetadataText {
  std::string json;
  bool cut = false;  // A prompt was stored cut: tell the user.
};
// Holds no time, path or thread count; keys in one fixed order.
MetadataText ToJson(const Metadata& metadata);

// Errors (kInvalidInput) name `what` and the field; values are bounded.
Result<Metadata> FromJson(std::string_view json, const std::string& what);

// Of a file that WriteSound wrote. Errors: kInvalidInput when there is none, or
// it is not ours; kSystem when the file cannot be read.
Result<Metadata> ReadMetadata(const std::string& path);

}  // namespace lathe::audio

#endif  // LATHE_APPS_AUDIO_METADATA_H_
