// Short ways to make and pass on an Error, for code that sees only the public
// headers.

#ifndef LATHE_APPS_AUDIO_ERRORS_H_
#define LATHE_APPS_AUDIO_ERRORS_H_

#include <exception>
#include <new>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "lathe/result.h"

namespace lathe::audio {

// return Fail(ErrorCode::kInvalidInput, "{}: {} is {}", path, field, value);
template <typename... Args>
std::unexpected<Error> Fail(ErrorCode code, fmt::format_string<Args...> text,
                            Args&&... args) {
  return std::unexpected<Error>(
      Error{code, fmt::format(text, std::forward<Args>(args)...)});
}

// Runs `work` and turns what libraries throw into an Error.
template <typename F>
auto Guarded(F&& work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return Fail(ErrorCode::kSystem, "out of memory");
  } catch (const std::exception& e) {
    return Fail(ErrorCode::kSystem, "unexpected: {}", e.what());
  }
}

}  // namespace lathe::audio

#define AUDIO_CONCAT_INNER(a, b) a##b
#define AUDIO_CONCAT(a, b) AUDIO_CONCAT_INNER(a, b)

// AUDIO_TRY(Work());  hands an Error to the caller.
#define AUDIO_TRY(expression)                                  \
  do {                                                         \
    if (auto audio_status = (expression); !audio_status) {     \
      return std::unexpected(std::move(audio_status).error()); \
    }                                                          \
  } while (0)

// AUDIO_ASSIGN(const auto x, Work());  the value, or the Error goes to the
// caller. Moves the value out.
#define AUDIO_ASSIGN(declaration, expression)                            \
  AUDIO_ASSIGN_INNER(AUDIO_CONCAT(audio_result_, __LINE__), declaration, \
                     expression)
#define AUDIO_ASSIGN_INNER(name, declaration, expression)     \
  auto name = (expression);                                   \
  if (!name) return std::unexpected(std::move(name).error()); \
  declaration = *std::move(name)

#endif  // LATHE_APPS_AUDIO_ERRORS_H_
