#include "src/quant/recipe.h"

#include <algorithm>
#include <array>
#include <bit>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>

#include "lathe/words.hpp"
#include "nlohmann/json.hpp"
#include "src/quant/policy.h"
#include "src/quant/presets.h"

namespace lathe::quant {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr uint64_t kLargestRecipe = uint64_t{64} << 20;
// Printing a value goes as deep as it is nested.
constexpr int kDeepestJson = 64;
// A map may name a recipe that is a map again.
constexpr int kDeepestMap = 4;

template <typename T>
struct Word {
  std::string_view text;
  T value;
};

constexpr Word<Granularity> kGranularities[] = {
    {"TENSORWISE", Granularity::kTensor},
    {"CHANNELWISE", Granularity::kChannel},
    {"BLOCKWISE_32", Granularity::kBlock32},
    {"BLOCKWISE_64", Granularity::kBlock64},
    {"BLOCKWISE_128", Granularity::kBlock128},
    {"BLOCKWISE_256", Granularity::kBlock256},
};
constexpr Word<Element> kElements[] = {{"INT", Element::kInt},
                                       {"UINT", Element::kUint},
                                       {"FLOAT", Element::kFloat}};
constexpr Word<Precision> kPrecisions[] = {{"INTEGER", Precision::kInteger},
                                           {"FLOAT", Precision::kFloat}};
constexpr Word<Algorithm> kAlgorithms[] = {
    {"no_quantize", Algorithm::kNoQuantize},
    {"min_max_uniform_quantize", Algorithm::kMinMax},
    {"float_casting", Algorithm::kFloatCasting},
    {"dequantized_weight_recovery", Algorithm::kRecovery},
    {"OCTAV", Algorithm::kOctav},
    {"HADAMARD_ROTATION", Algorithm::kHadamard},
    {"DECOMPOSED_HADAMARD_ROTATION", Algorithm::kDecomposedHadamard},
    {"MSE", Algorithm::kMse},
    {"GPTQ", Algorithm::kGptq},
    {"OSCAR", Algorithm::kOscar},
};

constexpr std::string_view kRuleFields[] = {"regex", "operation",
                                            "algorithm_key", "op_config"};
constexpr std::string_view kOpFields[] = {
    "weight_tensor_config", "activation_tensor_config",
    "compute_precision",    "explicit_dequantize",
    "skip_checks",          "min_weight_elements"};
constexpr std::string_view kTensorFields[] = {
    "num_bits",         "symmetric",  "granularity",      "dtype",
    "algorithm_params", "block_size", "max_hadamard_size"};
// What algorithms read.
constexpr std::string_view kParams[] = {"max_hadamard_size"};

template <typename T, size_t kCount>
std::optional<T> Find(const Word<T> (&words)[kCount], std::string_view text) {
  const auto found = std::ranges::find(words, text, &Word<T>::text);
  if (found == std::end(words)) return std::nullopt;
  return found->value;
}
template <typename T, size_t kCount>
std::string_view TextOf(const Word<T> (&words)[kCount], T value) {
  const auto found = std::ranges::find(words, value, &Word<T>::value);
  return found == std::end(words) ? "?" : found->text;
}
template <typename T, size_t kCount>
std::vector<std::string_view> Texts(const Word<T> (&words)[kCount]) {
  std::vector<std::string_view> texts;
  for (const Word<T>& word : words) texts.push_back(word.text);
  return texts;
}

std::string Shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

// Reads one recipe; every problem of it is kept.
class Parser {
 public:
  Parser(const std::string& origin, Behaviour behaviour)
      : origin_(origin), judges_(behaviour == Behaviour::kCorrect) {}

  Result<Recipe> Rules(const Json& rules) {
    if (rules.empty()) {
      return Invalid("{}: the recipe is empty; a recipe is an array of rules",
                     origin_);
    }
    Recipe recipe;
    for (size_t i = 0; i < rules.size(); ++i) {
      at_ = fmt::format("rule {}", i);
      const size_t before = problems_.size();
      Rule rule = ReadRule(rules[i]);
      rule.number = i;
      if (problems_.size() == before) Add(recipe, std::move(rule));
    }
    if (problems_.empty()) return recipe;
    std::string all;
    for (const std::string& problem : problems_) {
      all += (all.empty() ? "" : "\n") + origin_ + ": " + problem;
    }
    return std::unexpected(Error{ErrorCode::kInvalidInput, std::move(all)});
  }

 private:
  template <typename... Args>
  void Problem(fmt::format_string<Args...> text, Args&&... args) {
    problems_.push_back(at_ + ": " +
                        fmt::format(text, std::forward<Args>(args)...));
  }

  // The fields of a table that are not known.
  std::vector<std::string> Unknown(const Json& table,
                                   std::span<const std::string_view> known) {
    std::vector<std::string> names;
    for (const auto& [name, value] : table.items()) {
      if (std::ranges::find(known, name) == known.end()) names.push_back(name);
    }
    return names;
  }
  void ReportUnknown(const std::string& where, const std::string& name,
                     std::span<const std::string_view> known) {
    Problem("{}unknown field \"{}\"{}", where, name, DidYouMean(name, known));
  }

  bool ReadBool(const Json& table, const char* name, bool otherwise) {
    const auto found = table.find(name);
    if (found == table.end()) return otherwise;
    if (!found->is_boolean()) {
      Problem("{} is {}; allowed: true, false", name, Shown(*found));
      return otherwise;
    }
    return found->get<bool>();
  }
  int64_t ReadWhole(const Json& table, const char* name, int64_t otherwise) {
    const auto found = table.find(name);
    if (found == table.end()) return otherwise;
    if (!found->is_number_integer()) {
      Problem("{} is {}, not a whole number", name, Shown(*found));
      return otherwise;
    }
    return found->get<int64_t>();
  }
  // A word of a list; without judging an unknown one becomes `unknown`.
  template <typename T, size_t kCount>
  T ReadWord(const Json& table, const char* name,
             const Word<T> (&words)[kCount], T otherwise, T unknown) {
    const auto found = table.find(name);
    if (found == table.end()) return otherwise;
    const std::string text =
        found->is_string() ? found->get<std::string>() : Shown(*found);
    const std::optional<T> value =
        found->is_string() ? Find(words, text) : std::nullopt;
    if (value) return *value;
    if (judges_) {
      const std::vector<std::string_view> texts = Texts(words);
      Problem("{} is \"{}\"; allowed: {}{}", name, text, fmt::join(texts, ", "),
              DidYouMean(text, texts));
    }
    return unknown;
  }

  TensorConfig ReadTensor(const Json& table, const std::string& name) {
    const std::string outer = std::exchange(at_, at_ + ", " + name);
    TensorConfig config;
    if (!table.is_object()) {
      Problem("is {}, not an object", Shown(table));
      at_ = outer;
      return config;
    }
    if (!table.contains("num_bits")) Problem("num_bits is missing");
    config.bits = ReadWhole(table, "num_bits", 0);
    config.symmetric = ReadBool(table, "symmetric", true);
    config.granularity = ReadWord(table, "granularity", kGranularities,
                                  Granularity::kTensor, Granularity::kUnknown);
    config.element =
        ReadWord(table, "dtype", kElements, Element::kInt, Element::kUnknown);
    const int64_t block = ReadWhole(table, "block_size", 0);
    if (block > 0) {
      const auto blocks =
          Find(kGranularities, fmt::format("BLOCKWISE_{}", block));
      if (!blocks) {
        Problem("block_size is {}; allowed: 0, 32, 64, 128, 256", block);
      }
      config.granularity = blocks.value_or(Granularity::kUnknown);
    }
    ReadParams(table, config);
    if (judges_ && config.bits != 2 && config.bits != 4 && config.bits != 8 &&
        config.bits != 16 && table.contains("num_bits")) {
      Problem("num_bits is {}; allowed: 2, 4, 8, 16", config.bits);
    }
    at_ = outer;
    return config;
  }

  // Fields that the tensor config does not have are the algorithm's.
  void ReadParams(const Json& table, TensorConfig& config) {
    Json params = Json::object();
    if (const auto given = table.find("algorithm_params");
        given != table.end()) {
      if (given->is_object()) {
        params = *given;
      } else {
        Problem("algorithm_params is {}, not an object", Shown(*given));
      }
    }
    for (const std::string& name :
         Unknown(table, std::span(kTensorFields).first(6))) {
      params[name] = table[name];
    }
    if (judges_) {
      for (const std::string& name : Unknown(params, kParams)) {
        ReportUnknown("", name, kTensorFields);
      }
    }
    config.max_hadamard_size = ReadWhole(params, "max_hadamard_size", 0);
    if (config.max_hadamard_size < 0) {
      Problem("max_hadamard_size is {}; allowed: 0 (no limit) or more",
              config.max_hadamard_size);
    }
    config.params = params.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

  OpConfig ReadOp(const Json& table) {
    OpConfig config;
    if (!table.is_object()) {
      Problem("op_config is {}, not an object", Shown(table));
      return config;
    }
    for (const std::string& name : Unknown(table, kOpFields)) {
      ReportUnknown("op_config: ", name, kOpFields);
    }
    if (!table.contains("weight_tensor_config")) {
      Problem("op_config: weight_tensor_config is missing");
    } else {
      config.weight =
          ReadTensor(table["weight_tensor_config"], "weight_tensor_config");
    }
    if (table.contains("activation_tensor_config")) {
      config.activation = ReadTensor(table["activation_tensor_config"],
                                     "activation_tensor_config");
    }
    config.precision = ReadWord(table, "compute_precision", kPrecisions,
                                Precision::kFloat, Precision::kUnknown);
    if (table.contains("compute_precision")) {
      const Json& text = table["compute_precision"];
      config.precision_text =
          text.is_string() ? text.get<std::string>() : Shown(text);
    }
    config.explicit_dequantize = ReadBool(table, "explicit_dequantize", false);
    config.skip_checks = ReadBool(table, "skip_checks", false);
    config.min_weight_elements = ReadWhole(table, "min_weight_elements", 0);
    if (config.min_weight_elements < 0) {
      Problem("min_weight_elements is {}; allowed: 0 or more",
              config.min_weight_elements);
    }
    if (config.activation && config.weight &&
        config.activation->element == Element::kInt) {
      if (config.weight->element == Element::kFloat) {
        Problem("integer activations with float weights");
      } else if (config.weight->element == Element::kInt &&
                 config.precision != Precision::kInteger) {
        Problem(
            "integer activations and weights with compute_precision {}; "
            "allowed: INTEGER",
            config.precision_text);
      }
    }
    return config;
  }

  Rule ReadRule(const Json& table) {
    Rule rule;
    if (!table.is_object()) {
      Problem("is {}, not an object", Shown(table));
      return rule;
    }
    if (judges_) {
      for (const std::string& name : Unknown(table, kRuleFields)) {
        ReportUnknown("", name, kRuleFields);
      }
    }
    const auto text = [&](const char* name) -> std::string {
      const auto found = table.find(name);
      if (found == table.end()) {
        Problem("{} is missing", name);
      } else if (!found->is_string()) {
        Problem("{} is {}, not a string", name, Shown(*found));
      } else {
        return found->get<std::string>();
      }
      return "";
    };
    rule.regex = text("regex");
    const std::string operation = text("operation");
    const std::string algorithm = text("algorithm_key");
    if (algorithm.empty() || operation.empty()) return rule;

    if (const auto found = Find(kAlgorithms, algorithm)) {
      rule.algorithm = *found;
    } else {
      const std::vector<std::string_view> all = Texts(kAlgorithms);
      Problem("unknown algorithm_key \"{}\"{}; allowed: {}", algorithm,
              DidYouMean(algorithm, all), fmt::join(all, ", "));
      return rule;
    }
    rule.target = TargetNamed(operation);
    if (rule.algorithm != Algorithm::kNoQuantize) {
      if (!table.contains("op_config")) {
        Problem("op_config is missing");
        return rule;
      }
      rule.config = ReadOp(table["op_config"]);
    }
    if (rule.target == Target::kUnknown &&
        (judges_ || rule.algorithm != Algorithm::kNoQuantize)) {
      std::vector<std::string_view> names;
      for (const TargetFacts& facts : AllTargets()) names.push_back(facts.name);
      Problem("unknown operation \"{}\"{}", operation,
              DidYouMean(operation, names));
      return rule;
    }
    if (rule.target != Target::kAll && rule.config.weight) {
      if (const auto reason =
              WhyNot(rule.algorithm, rule.target, rule.config)) {
        Problem("{}", *reason);
      }
    }
    return rule;
  }

  // Order and overriding: reference 1.6.
  void Add(Recipe& recipe, Rule rule) {
    auto scope =
        std::ranges::find(recipe.scopes, rule.regex, &Recipe::Scope::regex);
    if (scope == recipe.scopes.end()) {
      recipe.scopes.push_back({rule.regex, {std::move(rule)}});
      return;
    }
    std::vector<Rule>& rules = scope->rules;
    if (rule.target == Target::kAll) {
      recipe.erased.insert(recipe.erased.end(), rules.begin(), rules.end());
      rules = {std::move(rule)};
      return;
    }
    const auto same = std::ranges::find(rules, rule.target, &Rule::target);
    if (same == rules.end()) {
      rules.push_back(std::move(rule));
    } else {
      recipe.erased.push_back(std::exchange(*same, std::move(rule)));
    }
  }

  const std::string& origin_;
  bool judges_;
  std::string at_;
  std::vector<std::string> problems_;
};

Result<Recipe> Read(std::string_view text, const std::string& origin,
                    Behaviour behaviour, const RecipeText& file_of, int depth) {
  Json json;
  bool too_deep = false;
  const auto bound = [&](int level, Json::parse_event_t, Json&) {
    too_deep |= level > kDeepestJson;
    return level <= kDeepestJson;
  };
  try {
    json = Json::parse(text, bound);
  } catch (const Json::exception& error) {
    return Invalid("{}: {}", origin, error.what());
  }
  if (too_deep) {
    return Invalid("{}: nested deeper than {} levels", origin, kDeepestJson);
  }
  if (json.is_array()) return Parser(origin, behaviour).Rules(json);
  if (!json.is_object()) {
    return Invalid("{}: is {}; a recipe is an array of rules", origin,
                   Shown(json));
  }
  if (!json.contains("default")) {
    return Invalid(
        "{}: a map of recipes without \"default\", which is the one for a "
        "single model",
        origin);
  }
  const Json& chosen = json["default"];
  const std::string where = origin + ", default";
  if (chosen.is_array()) return Parser(where, behaviour).Rules(chosen);
  if (!chosen.is_string()) {
    return Invalid("{}: is {}; allowed: an array of rules, a name, a path",
                   where, Shown(chosen));
  }
  if (depth == 0) return Invalid("{}: maps name maps without end", where);
  // A name, or the file name of one.
  std::string name = chosen.get<std::string>();
  constexpr std::string_view kSuffix = "_recipe.json";
  const std::string stem = name.ends_with(kSuffix)
                               ? name.substr(0, name.size() - kSuffix.size())
                               : name;
  if (const auto preset = PresetJson(stem)) {
    return Read(*preset, stem, behaviour, file_of, depth - 1);
  }
  LATHE_ASSIGN(const std::string file, file_of(name));
  return Read(file, name, behaviour, file_of, depth - 1);
}

Result<std::string> FileText(const std::string& path) {
  std::error_code code;
  if (!fs::is_regular_file(path, code)) {
    return Invalid("{}: there is no such file", path);
  }
  if (fs::file_size(path, code) > kLargestRecipe || code) {
    return Invalid("{}: more than {} bytes for a recipe", path, kLargestRecipe);
  }
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in.good() && !in.eof()) return SystemError("{}: cannot be read", path);
  return text;
}

Json ToJson(const TensorConfig& config) {
  Json json = {{"num_bits", config.bits},
               {"symmetric", config.symmetric},
               {"granularity", Name(config.granularity)},
               {"dtype", Name(config.element)}};
  if (config.params != "{}") {
    json["algorithm_params"] = Json::parse(config.params);
  }
  return json;
}

}  // namespace

std::string_view Name(Granularity granularity) {
  return TextOf(kGranularities, granularity);
}
std::string_view Name(Element element) { return TextOf(kElements, element); }
std::string_view Name(Algorithm algorithm) {
  return TextOf(kAlgorithms, algorithm);
}

int64_t BlockOf(Granularity granularity) {
  switch (granularity) {
    case Granularity::kBlock32:
      return 32;
    case Granularity::kBlock64:
      return 64;
    case Granularity::kBlock128:
      return 128;
    case Granularity::kBlock256:
      return 256;
    default:
      return 0;
  }
}

std::string Describe(const Rule& rule) {
  return fmt::format("rule {} (\"{}\", {}, {})", rule.number, rule.regex,
                     Name(rule.target), Name(rule.algorithm));
}

bool Recipe::NeedsCalibration(Behaviour behaviour) const {
  return std::ranges::any_of(scopes, [&](const Scope& scope) {
    return std::ranges::any_of(scope.rules, [&](const Rule& rule) {
      return rule.config.IsStatic() || rule.algorithm == Algorithm::kGptq ||
             // The older tool forgets that OSCAR weighs by its statistics.
             (rule.algorithm == Algorithm::kOscar &&
              behaviour == Behaviour::kCorrect);
    });
  });
}

Result<Choice> Chooser::Choose(Target target, std::string_view scope) {
  Choice choice;
  const auto consider = [&](const Rule& rule) {
    Uses& uses = uses_[rule.number];
    ++uses.regex;
    if (rule.target != Target::kAll && rule.target != target) return;
    ++uses.target;
    if (auto reason = WhyNot(rule.algorithm, target, rule.config)) {
      uses.refusal = *reason;
      choice.refused.emplace_back(&rule, *std::move(reason));
      return;
    }
    ++uses.valid;
    choice.rule = &rule;
  };
  for (const Recipe::Scope& entry : recipe_.scopes) {
    auto regex = compiled_.find(entry.regex);
    if (regex == compiled_.end()) {
      auto made = Regex::Compile(entry.regex);
      if (!made) {
        return Invalid("rule {}: regex \"{}\": {}", entry.rules[0].number,
                       entry.regex, made.error().message);
      }
      regex = compiled_.emplace(entry.regex, *std::move(made)).first;
    }
    const auto found = regex->second.Search(scope);
    if (!found) {
      return Invalid("rule {}: regex \"{}\": {}", entry.rules[0].number,
                     entry.regex, found.error().message);
    }
    if (!*found) continue;
    choice.regex_matched = true;
    // What a shipped recipe means by two rules for "*" of one regex is both;
    // the older tool drops the first (reference A6).
    if (recipe_.is_preset && behaviour_ == Behaviour::kCorrect) {
      for (const Rule& rule : recipe_.erased) {
        if (rule.regex == entry.regex) consider(rule);
      }
    }
    for (const Rule& rule : entry.rules) consider(rule);
  }
  if (choice.rule != nullptr) ++uses_[choice.rule->number].chosen;
  return choice;
}

Chooser::Uses Chooser::UsesOf(const Rule& rule) const {
  const auto found = uses_.find(rule.number);
  return found == uses_.end() ? Uses{} : found->second;
}

Result<Recipe> ParseRecipe(std::string_view json, const std::string& origin,
                           Behaviour behaviour, const RecipeText& file_of) {
  return Read(json, origin, behaviour, file_of, kDeepestMap);
}

Result<Recipe> LoadRecipe(const std::string& name_or_path,
                          Behaviour behaviour) {
  const fs::path folder = fs::path(name_or_path).parent_path();
  // Beside the working folder, then beside the map.
  const RecipeText file_of =
      [&](const std::string& path) -> Result<std::string> {
    std::error_code code;
    if (fs::exists(path, code)) return FileText(path);
    return FileText((folder / path).string());
  };
  if (const auto preset = PresetJson(name_or_path)) {
    LATHE_ASSIGN(Recipe recipe,
                 ParseRecipe(*preset, name_or_path, behaviour, file_of));
    recipe.is_preset = true;
    return recipe;
  }
  std::error_code code;
  if (!fs::exists(name_or_path, code)) {
    const bool is_path = name_or_path.find('/') != std::string::npos ||
                         name_or_path.ends_with(".json");
    if (is_path) return Invalid("{}: there is no such file", name_or_path);
    const std::string near = DidYouMean(name_or_path, PresetNames());
    return Invalid("unknown recipe \"{}\"{}{}", name_or_path, near,
                   near.empty() ? fmt::format("; named ones: {}",
                                              fmt::join(PresetNames(), ", "))
                                : "");
  }
  LATHE_ASSIGN(const std::string text, FileText(name_or_path));
  return ParseRecipe(text, name_or_path, behaviour, file_of);
}

std::string ToJson(const Recipe& recipe) {
  Json rules = Json::array();
  for (const Recipe::Scope& scope : recipe.scopes) {
    for (const Rule& rule : scope.rules) {
      Json config = Json::object();
      if (rule.config.activation) {
        config["activation_tensor_config"] = ToJson(*rule.config.activation);
      }
      if (rule.config.weight) {
        config["weight_tensor_config"] = ToJson(*rule.config.weight);
      }
      config["compute_precision"] = rule.config.precision_text;
      config["explicit_dequantize"] = rule.config.explicit_dequantize;
      config["skip_checks"] = rule.config.skip_checks;
      config["min_weight_elements"] = rule.config.min_weight_elements;
      rules.push_back({{"regex", rule.regex},
                       {"operation", Name(rule.target)},
                       {"algorithm_key", Name(rule.algorithm)},
                       {"op_config", std::move(config)}});
    }
  }
  return rules.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace lathe::quant
