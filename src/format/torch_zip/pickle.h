// A pickle machine that builds plain values and calls nothing.

#ifndef LATHE_FORMAT_TORCH_ZIP_PICKLE_H_
#define LATHE_FORMAT_TORCH_ZIP_PICKLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "src/base/result.h"

namespace lathe::format {

struct PickleValue {
  enum class Kind : uint8_t {
    kNone,
    kBool,
    kInt,
    kFloat,
    kText,    // str and bytes
    kTuple,   // also lists and sets
    kDict,    // items: key, value, key, value ...
    kGlobal,  // text: "module.name"
    kObject,  // A call that was not made: text is the callable's name, items
              // its arguments, state what BUILD attached.
    kStorage  // The argument tuple of a persistent id.
  };
  Kind kind = Kind::kNone;
  int64_t number = 0;  // kInt, kBool
  double real = 0;     // kFloat
  std::string text;
  std::vector<PickleValue*> items;
  PickleValue* state = nullptr;
};

// Owns every value of one pickle; values may refer to each other in cycles.
struct Pickle {
  std::vector<std::unique_ptr<PickleValue>> values;
  PickleValue* root = nullptr;
};

// Runs a pickle of protocol 2 to 5 as torch writes it. Errors: kInvalidInput
// for opcodes that torch does not use, unbalanced stacks, sizes beyond the
// input, more than 256 MiB of values, and names from modules that only an
// attack would call (os, subprocess, builtins.eval ...), all of them listed.
Result<Pickle> ReadPickle(std::span<const std::byte> bytes,
                          const std::string& origin);

}  // namespace lathe::format

#endif  // LATHE_FORMAT_TORCH_ZIP_PICKLE_H_
