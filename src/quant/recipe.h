// Recipes: which operator is quantized how (quantizer reference, section 1).
//
// Comes before: quantize.h, which asks a recipe about every operator.

#ifndef LATHE_QUANT_RECIPE_H_
#define LATHE_QUANT_RECIPE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"
#include "src/quant/algorithm.h"
#include "src/quant/ops.h"
#include "src/quant/regex.h"

namespace lathe::quant {

enum class Granularity : uint8_t {
  kTensor,
  kChannel,
  kBlock32,
  kBlock64,
  kBlock128,
  kBlock256,
  kUnknown,  // Misspelt; only where a recipe is not judged. So below.
};
std::string_view Name(Granularity granularity);
int64_t BlockOf(Granularity granularity);  // 0: not in blocks.

enum class Element : uint8_t { kInt, kUint, kFloat, kUnknown };
std::string_view Name(Element element);

enum class Precision : uint8_t { kInteger, kFloat, kUnknown };

struct TensorConfig {
  int64_t bits = 0;
  bool symmetric = true;
  Granularity granularity = Granularity::kTensor;
  Element element = Element::kInt;
  int64_t max_hadamard_size = 0;
  std::string params = "{}";  // algorithm_params as JSON.

  bool operator==(const TensorConfig&) const = default;
};

struct OpConfig {
  std::optional<TensorConfig> activation, weight;
  Precision precision = Precision::kFloat;
  std::string precision_text = "FLOAT";  // As the recipe says it.
  bool explicit_dequantize = false;
  bool skip_checks = false;
  int64_t min_weight_elements = 0;

  // The three ways to execute (1.2).
  bool IsStatic() const {
    return precision == Precision::kInteger && activation.has_value();
  }
  bool IsDynamic() const {
    return precision == Precision::kInteger && !activation.has_value();
  }
  bool IsWeightOnly() const {
    return precision == Precision::kFloat && explicit_dequantize;
  }
};

struct Rule {
  size_t number = 0;  // Position in the recipe, from 0.
  std::string regex;
  Target target = Target::kAll;
  Algorithm algorithm = Algorithm::kNoQuantize;
  OpConfig config;
};
// `rule 2 (".*", FULLY_CONNECTED, OCTAV)`.
std::string Describe(const Rule& rule);

std::string_view Name(Algorithm algorithm);  // "OCTAV"

struct Recipe {
  // The effective rules: regexes in the order of their first appearance, each
  // with its rules (1.6).
  struct Scope {
    std::string regex;
    std::vector<Rule> rules;
  };
  std::vector<Scope> scopes;
  std::vector<Rule> erased;  // By a later "*" rule of the same regex.
  bool is_preset = false;    // Named, not written by the user.

  bool NeedsCalibration(Behaviour behaviour) const;
};

// What decided about one operator.
struct Choice {
  const Rule* rule = nullptr;  // Null: no rule is valid for it.
  // Of each rule whose regex and operation fit but whose config does not.
  std::vector<std::pair<const Rule*, std::string>> refused;
  bool regex_matched = false;  // Any regex did.
};

// Asks about operators. Compiles each regex once, when it is first needed.
class Chooser {
 public:
  // `recipe` outlives the chooser.
  Chooser(const Recipe& recipe, Behaviour behaviour)
      : recipe_(recipe), behaviour_(behaviour) {}

  // The last valid rule wins. Errors: a malformed regex, one that takes too
  // long.
  Result<Choice> Choose(Target target, std::string_view scope);

  // How often a rule met something so far.
  struct Uses {
    size_t regex = 0;     // Operators whose scope the regex matches.
    size_t target = 0;    // Of those: operators that the rule names.
    size_t valid = 0;     // Of those: operators that its config suits.
    size_t chosen = 0;    // Of those: no later rule was valid too.
    std::string refusal;  // Why the config did not suit the last such one.
  };
  Uses UsesOf(const Rule& rule) const;

 private:
  const Recipe& recipe_;
  Behaviour behaviour_;
  std::map<std::string, Regex> compiled_;
  std::map<size_t, Uses> uses_;
};

// Reads a recipe: an array of rules, or a map of recipes for several models,
// of which `default` applies (1.8). `origin` names it in errors; `file_of`
// gives the text of a recipe that a map names by its path.
//
// kCorrect judges: every misspelt or unknown field and value is an error, with
// the nearest known word, all of a recipe at once. kCompat takes what the older
// tool takes. Both refuse what it refuses. Errors: kInvalidInput.
using RecipeText = std::function<Result<std::string>(const std::string& path)>;
Result<Recipe> ParseRecipe(std::string_view json, const std::string& origin,
                           Behaviour behaviour, const RecipeText& file_of);

// A preset's name, or the path of a file. Errors: an unknown name, with the
// nearest; what ParseRecipe says.
Result<Recipe> LoadRecipe(const std::string& name_or_path, Behaviour behaviour);

// The effective rules as a recipe that gives the same recipe when parsed.
std::string ToJson(const Recipe& recipe);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_RECIPE_H_
