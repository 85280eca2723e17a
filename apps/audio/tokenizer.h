// Text to token ids, with T5's window rules.

#ifndef LATHE_APPS_AUDIO_TOKENIZER_H_
#define LATHE_APPS_AUDIO_TOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lathe/result.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace lathe::audio {

struct TokenWindow {
  std::vector<int32_t> ids;   // Window entries: ids, end mark 1, pads 0.
  std::vector<int32_t> mask;  // 1 for ids and the end mark, 0 for pads.
  int tokens = 0;             // Without the end mark, after cutting.
  int cut = 0;                // Tokens that did not fit.
};

// Position of the first byte that is no UTF-8 (overlong forms, surrogates and
// values beyond U+10FFFF included), or npos.
size_t FirstInvalidUtf8(std::string_view text);

// A SentencePiece model. Reading is free of races; copies share.
class Tokenizer {
 public:
  // `window`: ids of one prompt, at least 2. Errors: kInvalidInput for a file
  // that is no SentencePiece model or whose pad and end marks are not 0 and 1;
  // kSystem when it cannot be read.
  static Result<Tokenizer> Open(const std::string& path, int window);

  // Text without spaces at both ends, as the first window-1 ids, then 1, then
  // zeros. Text that spells a special token is plain text. Errors
  // (kInvalidInput): a blank text; invalid UTF-8, naming the byte; more than
  // 1 MiB.
  Result<TokenWindow> Encode(std::string_view text) const;

 private:
  std::shared_ptr<const sentencepiece::SentencePieceProcessor> processor_;
  int window_ = 0;
};

}  // namespace lathe::audio

#endif  // LATHE_APPS_AUDIO_TOKENIZER_H_
