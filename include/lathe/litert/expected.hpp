// Status, Error, Expected and the macros that pass errors on.

#ifndef LATHE_LITERT_EXPECTED_HPP_
#define LATHE_LITERT_EXPECTED_HPP_

#include <concepts>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <optional>
#include <ostream>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>

#include "lathe/lathe.hpp"

namespace lathe::litert {

using StringView = std::string_view;
template <typename T>
using Span = std::span<T>;
template <typename K, typename V>
using FlatHashMap = std::unordered_map<K, V>;
template <typename Signature>
using AnyInvocable = std::function<Signature>;

enum class Status : int {
  kOk = 0,
  kErrorInvalidArgument = 1,
  kErrorMemoryAllocationFailure = 2,
  kErrorRuntimeFailure = 3,
  kErrorMissingInputTensor = 4,
  kErrorUnsupported = 5,
  kErrorNotFound = 6,
  kErrorTimeoutExpired = 7,
  kErrorWrongVersion = 8,
  kErrorUnknown = 9,
  kErrorAlreadyExists = 10,
  kCancelled = 100,
  kErrorFileIO = 500,
  kErrorInvalidFlatbuffer = 501,
  kErrorDynamicLoading = 502,
  kErrorSerialization = 503,
  kErrorCompilation = 504,
  kErrorIndexOOB = 1000,
  kErrorInvalidIrType = 1001,
  kErrorInvalidGraphInvariant = 1002,
  kErrorGraphModification = 1003,
  kErrorInvalidToolConfig = 1500,
  kLegalizeNoMatch = 2000,
  kErrorInvalidLegalization = 2001,
  kPatternNoMatch = 3000,
  kInvalidTransformation = 3001,
  kErrorUnsupportedRuntimeVersion = 4000,
  kErrorUnsupportedCompilerVersion = 4001,
  kErrorIncompatibleByteCodeVersion = 4002,
  kErrorShapeInferenceUnsupportedOp = 5000,
  kErrorShapeInferenceFailed = 5001,
};

// "kErrorNotFound" ...
LATHE_EXPORT const char* StatusName(Status status);

class Error {
 public:
  explicit Error(litert::Status status, std::string message = {})
      : status_(status), message_(std::move(message)) {}

  litert::Status StatusCC() const { return status_; }
  litert::Status StatusValue() const { return status_; }
  litert::Status Status() const { return status_; }
  const std::string& Message() const { return message_; }

  friend std::ostream& operator<<(std::ostream& stream, const Error& error) {
    stream << StatusName(error.status_);
    if (!error.message_.empty()) stream << ": " << error.message_;
    return stream;
  }

 private:
  litert::Status status_;
  std::string message_;
};

class Unexpected {
 public:
  explicit Unexpected(Status status, std::string message = {})
      : error_(status, std::move(message)) {}
  Unexpected(class Error error) : error_(std::move(error)) {}

  const class Error& Error() const& { return error_; }
  class Error& Error() & { return error_; }
  class Error&& Error() && { return std::move(error_); }

 private:
  class Error error_;
};

// A value, or an Error. Asking for the one that is not there aborts.
template <typename T>
class Expected {
  using Stored =
      std::conditional_t<std::is_reference_v<T>,
                         std::reference_wrapper<std::remove_reference_t<T>>, T>;
  using Bare = std::remove_reference_t<T>;

 public:
  using value_type = std::decay_t<T>;

  template <typename U = T>
    requires(std::convertible_to<U &&, Stored> &&
             !std::same_as<std::remove_cvref_t<U>, Expected> &&
             !std::same_as<std::remove_cvref_t<U>, Unexpected> &&
             !std::same_as<std::remove_cvref_t<U>, class Error>)
  Expected(U&& value)
      : either_(std::in_place_index<0>, std::forward<U>(value)) {}
  Expected(Unexpected error)
      : either_(std::in_place_index<1>, std::move(error).Error()) {}
  Expected(class Error error)
      : either_(std::in_place_index<1>, std::move(error)) {}

  bool HasValue() const { return either_.index() == 0; }
  explicit operator bool() const { return HasValue(); }

  const Bare& Value() const& { return Get(); }
  Bare& Value() & { return Get(); }
  const Bare& Value() const&& = delete;
  Bare& Value() && = delete;
  const Bare& operator*() const& { return Get(); }
  Bare& operator*() & { return Get(); }
  const Bare& operator*() const&& = delete;
  Bare& operator*() && = delete;
  const Bare* operator->() const& { return &Get(); }
  Bare* operator->() & { return &Get(); }
  const Bare* operator->() const&& = delete;
  Bare* operator->() && = delete;

  const class Error& Error() const& {
    if (HasValue()) std::abort();
    return *std::get_if<1>(&either_);
  }
  class Error& Error() & {
    if (HasValue()) std::abort();
    return *std::get_if<1>(&either_);
  }

 private:
  const Bare& Get() const {
    if (!HasValue()) std::abort();
    return *std::get_if<0>(&either_);
  }
  Bare& Get() {
    if (!HasValue()) std::abort();
    return *std::get_if<0>(&either_);
  }

  std::variant<Stored, class Error> either_;
};

template <>
class Expected<void> {
 public:
  Expected() = default;
  Expected(Unexpected error) : error_(std::move(error).Error()) {}
  Expected(class Error error) : error_(std::move(error)) {}

  bool HasValue() const { return !error_.has_value(); }
  explicit operator bool() const { return HasValue(); }

  const class Error& Error() const& {
    if (HasValue()) std::abort();
    return *error_;
  }
  class Error& Error() & {
    if (HasValue()) std::abort();
    return *error_;
  }

 private:
  std::optional<class Error> error_;
};

// What the macros below return: an Error that takes more text with << and turns
// into what the function returns.
class ErrorStatusBuilder {
 public:
  explicit ErrorStatusBuilder(Error error) : error_(std::move(error)) {}
  template <typename T>
  explicit ErrorStatusBuilder(const Expected<T>& failed)
      : error_(failed.Error()) {}
  explicit ErrorStatusBuilder(const Unexpected& failed)
      : error_(failed.Error()) {}
  explicit ErrorStatusBuilder(Status failed) : error_(failed) {}
  explicit ErrorStatusBuilder(bool) : error_(Status::kErrorUnknown) {}

  template <typename T>
  static bool IsError(const T& value) {
    if constexpr (std::same_as<T, Status>) {
      return value != Status::kOk;
    } else if constexpr (std::same_as<T, Unexpected>) {
      return true;
    } else {
      return !static_cast<bool>(value);
    }
  }

  template <typename T>
  ErrorStatusBuilder& operator<<(const T& more) {
    std::ostringstream text;
    text << more;
    more_ += text.str();
    return *this;
  }
  // LiteRT's levels of logging; Lathe logs nothing.
  ErrorStatusBuilder& LogVerbose() { return *this; }
  ErrorStatusBuilder& LogInfo() { return *this; }
  ErrorStatusBuilder& LogWarning() { return *this; }
  ErrorStatusBuilder& LogError() { return *this; }
  ErrorStatusBuilder& NoLog() { return *this; }

  litert::Error Get() const {
    if (more_.empty()) return error_;
    const std::string& message = error_.Message();
    return litert::Error(error_.StatusCC(),
                         message.empty() ? more_ : more_ + ": " + message);
  }
  template <typename T>
  operator Expected<T>() const {
    return Get();
  }
  operator Status() const { return error_.StatusCC(); }

 private:
  litert::Error error_;
  std::string more_;
};

// Prints the error and aborts at the end of the statement.
class LogBeforeAbort {
 public:
  explicit LogBeforeAbort(ErrorStatusBuilder builder)
      : builder_(std::move(builder)) {}
  ~LogBeforeAbort() {
    std::fprintf(stderr, "%s\n", builder_.Get().Message().c_str());
    std::abort();
  }
  template <typename T>
  LogBeforeAbort& operator<<(const T& more) {
    builder_ << more;
    return *this;
  }

 private:
  ErrorStatusBuilder builder_;
};

namespace internal {

// An argument that is a span, a vector or a list in braces.
template <typename T>
class ListSpan : public std::span<const T> {
 public:
  ListSpan() = default;
  using std::span<const T>::span;
  ListSpan(std::span<const T> span) : std::span<const T>(span) {}
  ListSpan(std::initializer_list<T> list)
      : std::span<const T>(list.begin(), list.size()) {}
};

template <typename T>
T&& Forward(Expected<T>& expected) {
  return std::move(expected.Value());
}
template <typename T>
T& Forward(Expected<T&>& expected) {
  return expected.Value();
}

}  // namespace internal

}  // namespace lathe::litert

// LiteRT's macros.
//
// LITERT_RETURN_IF_ERROR(Work()) << "more text";
// LITERT_RETURN_IF_ERROR(Work(), what_to_return);  `_` is the error there.
// LITERT_ASSIGN_OR_RETURN(auto x, Make());
// LITERT_ASSIGN_OR_RETURN(auto x, Make(), what_to_return);
// LITERT_ABORT_IF_ERROR, LITERT_ASSIGN_OR_ABORT: print and abort instead.

#ifndef LITERT_RETURN_IF_ERROR

#define LATHE_LITERT_CONCAT_INNER(a, b) a##b
#define LATHE_LITERT_CONCAT(a, b) LATHE_LITERT_CONCAT_INNER(a, b)
#define LATHE_LITERT_NAME LATHE_LITERT_CONCAT(lathe_litert_, __LINE__)
#define LATHE_LITERT_THIRD(a, b, c, ...) c
#define LATHE_LITERT_FOURTH(a, b, c, d, ...) d

#define LITERT_RETURN_IF_ERROR(...)                      \
  LATHE_LITERT_THIRD(__VA_ARGS__, LATHE_LITERT_RETURN_2, \
                     LATHE_LITERT_RETURN_1, )(__VA_ARGS__)
#define LATHE_LITERT_RETURN_1(expression)                            \
  if (auto lathe_status = (expression);                              \
      !::lathe::litert::ErrorStatusBuilder::IsError(lathe_status)) { \
  } else /* NOLINT */                                                \
    return ::lathe::litert::ErrorStatusBuilder(lathe_status)
#define LATHE_LITERT_RETURN_2(expression, value)                     \
  if (auto lathe_status = (expression);                              \
      !::lathe::litert::ErrorStatusBuilder::IsError(lathe_status)) { \
  } else if ([[maybe_unused]] ::lathe::litert::ErrorStatusBuilder _( \
                 lathe_status);                                      \
             true) /* NOLINT */                                      \
  return value

#define LITERT_ASSIGN_OR_RETURN(...)                      \
  LATHE_LITERT_FOURTH(__VA_ARGS__, LATHE_LITERT_ASSIGN_3, \
                      LATHE_LITERT_ASSIGN_2, )(LATHE_LITERT_NAME, __VA_ARGS__)
#define LATHE_LITERT_ASSIGN_2(name, declaration, expression)   \
  auto name = (expression);                                    \
  if (!name) return ::lathe::litert::ErrorStatusBuilder(name); \
  declaration = ::lathe::litert::internal::Forward(name)
#define LATHE_LITERT_ASSIGN_3(name, declaration, expression, value) \
  auto name = (expression);                                         \
  if (!name) {                                                      \
    [[maybe_unused]] ::lathe::litert::ErrorStatusBuilder _(name);   \
    return value;                                                   \
  }                                                                 \
  declaration = ::lathe::litert::internal::Forward(name)

#define LITERT_ABORT_IF_ERROR(expression)                            \
  if (auto lathe_status = (expression);                              \
      !::lathe::litert::ErrorStatusBuilder::IsError(lathe_status)) { \
  } else /* NOLINT */                                                \
    ::lathe::litert::LogBeforeAbort(                                 \
        ::lathe::litert::ErrorStatusBuilder(lathe_status))

#define LITERT_ASSIGN_OR_ABORT(declaration, expression) \
  LATHE_LITERT_ASSIGN_ABORT(LATHE_LITERT_NAME, declaration, expression)
#define LATHE_LITERT_ASSIGN_ABORT(name, declaration, expression) \
  auto name = (expression);                                      \
  if (!name) {                                                   \
    ::lathe::litert::LogBeforeAbort(                             \
        ::lathe::litert::ErrorStatusBuilder(name));              \
  }                                                              \
  declaration = ::lathe::litert::internal::Forward(name)

#endif  // LITERT_RETURN_IF_ERROR

#endif  // LATHE_LITERT_EXPECTED_HPP_
