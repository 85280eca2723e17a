// SentencePiece with T5's window rules.

#include "apps/audio/tokenizer.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "apps/audio/errors.h"
#include "sentencepiece_processor.h"

namespace lathe::audio {
namespace {

constexpr int kPad = 0, kEnd = 1;
constexpr size_t kMostBytes = 1 << 20;

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n\v\f";
  const size_t first = text.find_first_not_of(kBlank);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

}  // namespace

size_t FirstInvalidUtf8(std::string_view text) {
  const auto byte = [&](size_t i) -> uint32_t {
    return i < text.size() ? static_cast<uint8_t>(text[i]) : 0;
  };
  for (size_t i = 0; i < text.size();) {
    const uint32_t lead = byte(i);
    size_t more = 0;
    uint32_t code = 0, least = 0;
    if (lead < 0x80) {
      ++i;
      continue;
    }
    if (lead >= 0xC2 && lead < 0xE0) {
      more = 1, code = lead & 0x1F, least = 0x80;
    } else if (lead >= 0xE0 && lead < 0xF0) {
      more = 2, code = lead & 0x0F, least = 0x800;
    } else if (lead >= 0xF0 && lead < 0xF5) {
      more = 3, code = lead & 0x07, least = 0x10000;
    } else {
      return i;
    }
    for (size_t k = 1; k <= more; ++k) {
      if ((byte(i + k) & 0xC0) != 0x80) return i;
      code = code << 6 | (byte(i + k) & 0x3F);
    }
    if (code < least || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      return i;
    }
    i += more + 1;
  }
  return std::string_view::npos;
}

Result<Tokenizer> Tokenizer::Open(const std::string& path, int window) {
  return Guarded([&]() -> Result<Tokenizer> {
    std::ifstream in(path, std::ios::binary);
    if (!in) return Fail(ErrorCode::kSystem, "{}: cannot be read", path);
    const std::string bytes((std::istreambuf_iterator<char>(in)),
                            std::istreambuf_iterator<char>());
    auto processor = std::make_shared<sentencepiece::SentencePieceProcessor>();
    const auto loaded = processor->LoadFromSerializedProto(bytes);
    if (!loaded.ok()) {
      return Fail(ErrorCode::kInvalidInput, "{}: not a SentencePiece model: {}",
                  path, loaded.error_message());
    }
    if (processor->pad_id() != kPad || processor->eos_id() != kEnd) {
      return Fail(ErrorCode::kInvalidInput,
                  "{}: pad mark {} and end mark {}; must be {} and {}", path,
                  processor->pad_id(), processor->eos_id(), kPad, kEnd);
    }
    if (window < 2) {
      return Fail(ErrorCode::kInvalidInput,
                  "{}: a window of {} ids; must be at least 2", path, window);
    }
    Tokenizer tokenizer;
    tokenizer.processor_ = std::move(processor);
    tokenizer.window_ = window;
    return tokenizer;
  });
}

Result<TokenWindow> Tokenizer::Encode(std::string_view text) const {
  return Guarded([&]() -> Result<TokenWindow> {
    if (const size_t at = FirstInvalidUtf8(text); at != text.npos) {
      return Fail(ErrorCode::kInvalidInput, "not UTF-8: byte {} is 0x{:02X}",
                  at, static_cast<uint8_t>(text[at]));
    }
    if (text.size() > kMostBytes) {
      return Fail(ErrorCode::kInvalidInput, "{} bytes; at most {} are allowed",
                  text.size(), kMostBytes);
    }
    const std::string_view trimmed = Trim(text);
    std::vector<int> ids;
    const auto encoded = processor_->Encode(trimmed, &ids);
    if (!encoded.ok()) {
      return Fail(ErrorCode::kInvalidInput, "cannot be split: {}",
                  encoded.error_message());
    }
    // Other blanks of Unicode vanish in SentencePiece's normalization.
    if (ids.empty()) {
      return Fail(ErrorCode::kInvalidInput, "empty; say what you want to hear");
    }
    TokenWindow result;
    const int room = window_ - 1;
    result.tokens = std::min<int>(room, static_cast<int>(ids.size()));
    result.cut = static_cast<int>(ids.size()) - result.tokens;
    result.ids.assign(window_, kPad);
    result.mask.assign(window_, 0);
    std::copy_n(ids.begin(), result.tokens, result.ids.begin());
    result.ids[result.tokens] = kEnd;
    std::fill_n(result.mask.begin(), result.tokens + 1, 1);
    return result;
  });
}

}  // namespace lathe::audio
