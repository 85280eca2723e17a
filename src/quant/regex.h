// Regular expressions of recipes: Python's syntax and meaning of re.search,
// run by PCRE2 with a limit on its work (docs/decisions/010).

#ifndef LATHE_QUANT_REGEX_H_
#define LATHE_QUANT_REGEX_H_

#include <memory>
#include <string>
#include <string_view>

#include "src/base/result.h"

namespace lathe::quant {

class Regex {
 public:
  // Errors: kInvalidInput with the reason and the position in `pattern`, for
  // what Python refuses, what only PCRE2 knows, and Python's (?a), (?L) and
  // \N{name}.
  static Result<Regex> Compile(std::string_view pattern);

  // Whether it matches anywhere in `text` (UTF-8; other bytes match nothing).
  // Errors: kInvalidInput when that takes more steps than the limit.
  Result<bool> Search(std::string_view text) const;

 private:
  struct Code;
  explicit Regex(std::shared_ptr<const Code> code) : code_(std::move(code)) {}

  std::shared_ptr<const Code> code_;
};

}  // namespace lathe::quant

#endif  // LATHE_QUANT_REGEX_H_
