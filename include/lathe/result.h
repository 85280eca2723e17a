// How Lathe reports errors: a value, or an Error that names what went wrong.

#ifndef LATHE_RESULT_H_
#define LATHE_RESULT_H_

#include <cstdint>
#include <expected>
#include <string>

namespace lathe {

// Each code is one exit code of the command line (docs/cli.md).
enum class ErrorCode : uint8_t {
  kUsage = 2,         // The caller asked for something that makes no sense.
  kInvalidInput = 3,  // A file, value, recipe or shape is wrong.
  kUnsupported = 4,   // Valid, but not for this build or this CPU.
  kSystem = 5,        // Disk full, permission, out of memory, time limit.
  kInterrupted = 130  // The stop token was set.
};

// `message` says which thing, what was found and what was allowed:
//   tensor 17 "conv/w": rank 9, limit 8
// Several problems of one file are one Error with one problem per line.
struct Error {
  ErrorCode code = ErrorCode::kInvalidInput;
  std::string message;
};

template <typename T>
using Result = std::expected<T, Error>;

using Status = Result<void>;

}  // namespace lathe

#endif  // LATHE_RESULT_H_
