// Short ways to make and pass on an Error.

#ifndef LATHE_BASE_RESULT_H_
#define LATHE_BASE_RESULT_H_

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "fmt/format.h"
#include "lathe/result.h"

namespace lathe {

// return Fail(ErrorCode::kInvalidInput, "tensor {}: rank {}, limit {}", ...);
template <typename... Args>
std::unexpected<Error> Fail(ErrorCode code, fmt::format_string<Args...> text,
                            Args&&... args) {
  return std::unexpected<Error>(
      Error{code, fmt::format(text, std::forward<Args>(args)...)});
}

template <typename... Args>
std::unexpected<Error> Invalid(fmt::format_string<Args...> text,
                               Args&&... args) {
  return Fail(ErrorCode::kInvalidInput, text, std::forward<Args>(args)...);
}

template <typename... Args>
std::unexpected<Error> Unsupported(fmt::format_string<Args...> text,
                                   Args&&... args) {
  return Fail(ErrorCode::kUnsupported, text, std::forward<Args>(args)...);
}

template <typename... Args>
std::unexpected<Error> SystemError(fmt::format_string<Args...> text,
                                   Args&&... args) {
  return Fail(ErrorCode::kSystem, text, std::forward<Args>(args)...);
}

}  // namespace lathe

#define LATHE_CONCAT_INNER(a, b) a##b
#define LATHE_CONCAT(a, b) LATHE_CONCAT_INNER(a, b)

// LATHE_TRY(Work());  hands an Error to the caller.
#define LATHE_TRY(expression)                                  \
  do {                                                         \
    if (auto lathe_status = (expression); !lathe_status) {     \
      return std::unexpected(std::move(lathe_status).error()); \
    }                                                          \
  } while (0)

// LATHE_ASSIGN(const auto file, Open(path));  the value, or the Error is
// handed to the caller. Moves the value out.
#define LATHE_ASSIGN(declaration, expression)                            \
  LATHE_ASSIGN_INNER(LATHE_CONCAT(lathe_result_, __LINE__), declaration, \
                     expression)
#define LATHE_ASSIGN_INNER(name, declaration, expression)     \
  auto name = (expression);                                   \
  if (!name) return std::unexpected(std::move(name).error()); \
  declaration = *std::move(name)

// For our own mistakes only, never for what a file or a user can cause.
#define LATHE_CHECK(condition)                                             \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: LATHE_CHECK(%s)\n", __FILE__, __LINE__, \
                   #condition);                                            \
      std::abort();                                                        \
    }                                                                      \
  } while (0)

#endif  // LATHE_BASE_RESULT_H_
