// From a float .tflite file to a smaller one.

#ifndef LATHE_QUANTIZE_HPP_
#define LATHE_QUANTIZE_HPP_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lathe/lathe.hpp"

namespace lathe {

struct QuantizeOptions {
  // The name of a recipe (RecipeNames), or the path of a JSON file.
  std::string recipe;
  // Statistics of calibration; empty for recipes that need none.
  std::string stats;
  // What AI Edge Quantizer 0.10 would write, its mistakes included. Otherwise a
  // recipe is judged (misspelt words, rules that do nothing) and the result is
  // what runs right on every kernel.
  bool compat = false;
  const Threads* threads = nullptr;  // Null: one for each physical core.
  const std::atomic<bool>* stop = nullptr;
  std::function<void(double fraction)> progress;
};

// One operator of the float model.
struct QuantizedOp {
  uint32_t subgraph = 0, index = 0;
  std::string name;  // Of its first output.
  std::string type;  // "FULLY_CONNECTED"
  bool quantized = false;
  std::string rule;    // The rule that decided; empty for none.
  std::string reason;  // Why it stays float, or why a later rule was not taken.
};

struct RecipeRule {
  std::string rule;
  uint64_t matched = 0;  // Operators that it names; INPUT and OUTPUT count.
  uint64_t chosen = 0;   // Those that it decided.
  std::string problem;   // Why it decided none; empty if it did.
};

struct QuantizeReport {
  std::vector<QuantizedOp> ops;
  std::vector<RecipeRule> rules;
  uint64_t ops_quantized = 0, ops_float = 0;
  uint64_t input_bytes = 0;
  // Of the file that was written, or a prediction (its constants and the input
  // file's structure) where none was.
  uint64_t output_bytes = 0;
};

// Writes `out`; empty: writes nothing and only reports. The file appears under
// its name complete or not at all. Peak private memory: the largest tensor plus
// at most 300 MB.
LATHE_EXPORT Result<QuantizeReport> Quantize(const std::string& model,
                                             const std::string& out,
                                             const QuantizeOptions& options);

LATHE_EXPORT std::vector<std::string> RecipeNames();

}  // namespace lathe

#endif  // LATHE_QUANTIZE_HPP_
