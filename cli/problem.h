// Short ways to make an Error, and several of them as one.

#ifndef LATHE_CLI_PROBLEM_H_
#define LATHE_CLI_PROBLEM_H_

#include <string>
#include <utility>

#include "fmt/format.h"
#include "lathe/result.h"

namespace lathe::cli {

template <typename... Args>
std::unexpected<Error> Trouble(ErrorCode code, fmt::format_string<Args...> text,
                               Args&&... args) {
  return std::unexpected<Error>(
      Error{code, fmt::format(text, std::forward<Args>(args)...)});
}
// An input is wrong (exit 3).
template <typename... Args>
std::unexpected<Error> Wrong(fmt::format_string<Args...> text, Args&&... args) {
  return Trouble(ErrorCode::kInvalidInput, text, std::forward<Args>(args)...);
}
// The command line is wrong (exit 2).
template <typename... Args>
std::unexpected<Error> Usage(fmt::format_string<Args...> text, Args&&... args) {
  return Trouble(ErrorCode::kUsage, text, std::forward<Args>(args)...);
}
template <typename... Args>
std::unexpected<Error> SystemTrouble(fmt::format_string<Args...> text,
                                     Args&&... args) {
  return Trouble(ErrorCode::kSystem, text, std::forward<Args>(args)...);
}

// Problems that are told together. A wrong command line counts more than what
// it names.
class Problems {
 public:
  void Add(const Error& error) {
    if (problems_.message.empty() || error.code == ErrorCode::kUsage) {
      problems_.code = error.code;
    }
    if (!problems_.message.empty()) problems_.message += "\nlathe: ";
    problems_.message += error.message;
  }
  template <typename T>
  bool Add(const Result<T>& result) {  // Whether there was none.
    if (!result) Add(result.error());
    return result.has_value();
  }
  Status Finish() const {
    if (problems_.message.empty()) return {};
    return std::unexpected(problems_);
  }

 private:
  Error problems_;
};

}  // namespace lathe::cli

#endif  // LATHE_CLI_PROBLEM_H_
