// --input NAME=VALUE: values from files and words into a session.

#ifndef LATHE_CLI_INPUT_VALUES_H_
#define LATHE_CLI_INPUT_VALUES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "lathe/lathe.hpp"

namespace lathe::cli {

// One line for --help.
inline constexpr const char* kInputHelp =
    "NAME=VALUE; NAME is the signature's name, the tensor's or a position; "
    "VALUE a path ending in .npy, .bin, .json (strings), .wav or .png, or "
    "zeros, ones, random:SEED (default random:0)";

// The input that "NAME=..." names (by the signature's name, the tensor's or a
// position) and where its "=" stands, npos for none. Names may hold "=": the
// first one behind a name that exists counts.
std::pair<std::optional<size_t>, size_t> FindInput(
    std::span<const TensorInfo> inputs, const std::string& text);

// The values of all inputs of a session.
class InputValues {
 public:
  // Inputs without a text get random:0, stored constants keep their value.
  // `steps`: files of all steps must exist ("{step}" in a path). Errors list
  // all problems: kUsage for unknown names and values, kInvalidInput for files.
  static Result<InputValues> Parse(const Session& session,
                                   std::span<const std::string> texts,
                                   int steps = 1);

  // Brings the values of a step into the session, which must be the one of
  // Parse or one of the same inputs. Files of other shapes than a resizable
  // input resize it. Call with step 0 first.
  Status Apply(Session& session, int step = 0) const;

  // [{name type shape value}], as they are now.
  Json Describe(const Session& session) const;
  // Names of the inputs that got random:0 because they were not named.
  std::vector<std::string> Filled(const Session& session) const;

 private:
  enum class Kind : uint8_t {
    kStored,
    kZeros,
    kOnes,
    kRandom,
    kNpy,
    kBin,
    kJson,
    kWav,
    kPng
  };
  struct Value {
    Kind kind = Kind::kRandom;
    bool given = false;
    uint64_t seed = 0;
    std::string text = "random:0";
    bool varies() const { return text.contains("{step}"); }
  };
  struct Loaded;
  static Result<Value> ParseValue(const std::string& text);
  static Result<Loaded> Load(const Value& value, const TensorInfo& input,
                             int step);
  static Status Set(Session& session, size_t i, const Value& value,
                    Loaded& loaded, int step);

  std::vector<Value> values_;  // As the session's inputs.
};

// Applies every "NAME=D,D,..." of --resize at once.
Status ApplyResize(Session& session, std::span<const std::string> texts);

}  // namespace lathe::cli

#endif  // LATHE_CLI_INPUT_VALUES_H_
