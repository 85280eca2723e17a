#include "src/quant/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <utility>

namespace lathe::quant {
namespace {

// About a second of backtracking; a sensible pattern takes some thousand steps
// on a scope of 10,000 characters.
constexpr uint32_t kMatchLimit = 20'000'000;
constexpr uint32_t kDepthLimit = 100'000;
constexpr uint32_t kHeapLimitKib = 64 << 10;

bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool IsHex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
         (c >= 'A' && c <= 'F');
}

// Rewrites what PCRE2 reads in another way than Python, and refuses what only
// PCRE2 knows.
class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  Result<std::string> Run() {
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '\\') {
        LATHE_TRY(Escape());
      } else if (c == '[' && !in_set_) {
        OpenSet();
      } else if (c == '[') {  // PCRE2 would read [: :] as a class.
        out_ += "\\[";
        ++at_;
      } else if (c == ']') {
        in_set_ = false;
        Copy(1);
      } else if (c == '(' && !in_set_) {
        LATHE_TRY(Group());
      } else if (c == '{' && !in_set_) {
        Repeat();
      } else {
        Copy(1);
      }
    }
    return std::move(out_);
  }

 private:
  void Copy(size_t count) {
    out_ += in_.substr(at_, count);
    at_ += count;
  }

  void OpenSet() {
    in_set_ = true;
    Copy(1);
    if (in_.substr(at_).starts_with('^')) Copy(1);
    if (in_.substr(at_).starts_with(']')) {
      out_ += "\\]";
      ++at_;
    }
  }

  Status Escape() {
    if (at_ + 1 == in_.size()) {
      return Invalid("bad escape (end of pattern) at position {}", at_);
    }
    const char c = in_[at_ + 1];
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits > 0) {
      const std::string_view hex = in_.substr(at_ + 2, digits);
      if (hex.size() != digits || !std::ranges::all_of(hex, IsHex)) {
        return Invalid("incomplete escape \\{} at position {}", c, at_);
      }
      out_ += fmt::format("\\x{{{}}}", hex);
      at_ += 2 + digits;
      return {};
    }
    if (c == 'Z' && !in_set_) {
      out_ += "\\z";
    } else if (c == 'v') {  // PCRE2: any vertical space.
      out_ += "\\x0b";
    } else if (IsLetter(c) &&
               std::string_view(in_set_ ? "dDsSwWabfnrt" : "AbBdDsSwWafnrt")
                       .find(c) == std::string_view::npos) {
      return Invalid("bad escape \\{} at position {}", c, at_);
    } else {
      out_ += in_.substr(at_, 2);
    }
    at_ += 2;
    return {};
  }

  Status Group() {
    const std::string_view rest = in_.substr(at_ + 1);
    if (rest.starts_with('*')) {
      return Invalid("nothing to repeat at position {}", at_ + 1);
    }
    if (!rest.starts_with('?')) {
      Copy(1);
      return {};
    }
    constexpr std::array<std::string_view, 10> kKnown = {
        "?:", "?=", "?!", "?<=", "?<!", "?P<", "?P=", "?#", "?(", "?>"};
    const auto known = std::ranges::find_if(
        kKnown, [&](std::string_view k) { return rest.starts_with(k); });
    if (known != kKnown.end()) {
      Copy(1 + known->size());
      return {};
    }
    // Flags: letters up to ')' or ':'.
    const size_t end = rest.find_first_of("):", 1);
    if (end == std::string_view::npos || end == 1 ||
        rest.substr(1, end - 1).find_first_not_of("imsxu-") !=
            std::string_view::npos) {
      return Invalid("unknown extension (?{} at position {}", rest.substr(1, 1),
                     at_);
    }
    out_ += "(?";
    for (const char flag : rest.substr(1, end - 1)) {
      if (flag != 'u') out_ += flag;  // Text is Unicode anyway.
    }
    at_ += 1 + end;
    Copy(1);
    return {};
  }

  // {,n} is {0,n}.
  void Repeat() {
    const std::string_view rest = in_.substr(at_ + 1);
    size_t end = 1;
    while (end < rest.size() && rest[end] >= '0' && rest[end] <= '9') ++end;
    if (rest.starts_with(',') && end > 1 && end < rest.size() &&
        rest[end] == '}') {
      out_ += "{0";
      ++at_;
      return;
    }
    Copy(1);
  }

  std::string_view in_;
  size_t at_ = 0;
  bool in_set_ = false;
  std::string out_;
};

std::string Message(int code) {
  std::array<PCRE2_UCHAR, 256> text = {};
  ::pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

}  // namespace

struct Regex::Code {
  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;

  Code() = default;
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() {
    ::pcre2_code_free(code);
    ::pcre2_match_context_free(context);
  }
};

Result<Regex> Regex::Compile(std::string_view pattern) {
  LATHE_ASSIGN(const std::string text, Translator(pattern).Run());
  const auto made = std::make_shared<Code>();
  int code = 0;
  size_t position = 0;
  made->code = ::pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C,
      &code, &position, nullptr);
  if (made->code == nullptr) {
    return Invalid("{} at position {}", Message(code), position);
  }
  made->context = ::pcre2_match_context_create(nullptr);
  if (made->context == nullptr) return SystemError("out of memory");
  ::pcre2_set_match_limit(made->context, kMatchLimit);
  ::pcre2_set_depth_limit(made->context, kDepthLimit);
  ::pcre2_set_heap_limit(made->context, kHeapLimitKib);
  return Regex(made);
}

Result<bool> Regex::Search(std::string_view text) const {
  const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> found(
      ::pcre2_match_data_create(1, nullptr), ::pcre2_match_data_free);
  if (found == nullptr) return SystemError("out of memory");
  const int code =
      ::pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()),
                    text.size(), 0, 0, found.get(), code_->context);
  if (code >= 0) return true;
  if (code == PCRE2_ERROR_NOMATCH) return false;
  return Invalid("{} on a scope of {} bytes", Message(code), text.size());
}

}  // namespace lathe::quant
