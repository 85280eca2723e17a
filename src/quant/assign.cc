#include "src/quant/assign.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "src/quant/policy.h"

namespace lathe::quant {
namespace {

using graph::Graph;
using graph::Op;
using graph::Subgraph;
using graph::Tensor;

// A scope longer than this is cut (reference 1.3).
constexpr size_t kLongestScope = 10'000;

// Composites that count as one operator; others stay as they are.
constexpr std::string_view kComposites[] = {"odml.npu_call", "odml.rms_norm",
                                            "odml.l2_norm"};

// The operator that is being treated, or the virtual one of a boundary.
struct Site {
  size_t subgraph = 0;
  int32_t op = kBoundary;
  Target target = Target::kAll;
  const Rule* rule = nullptr;
  const Op* real = nullptr;  // Null for a boundary.
  std::span<const int32_t> inputs, outputs;

  const OpConfig& config() const { return rule->config; }
};

struct Range {
  std::vector<double> min, max;
  int rank = 0;
  bool single = false;
};

std::string CutScope(std::string scope) {
  size_t characters = 0;
  for (size_t i = 0; i < scope.size(); ++i) {
    if ((static_cast<uint8_t>(scope[i]) & 0xC0) == 0x80) continue;
    if (characters++ == kLongestScope) return scope.substr(0, i);
  }
  return scope;
}

std::string ScopeOf(const Subgraph& subgraph, std::span<const int32_t> outputs,
                    std::span<const int32_t> inputs) {
  for (const auto tensors : {outputs, inputs}) {
    std::string scope;
    for (const int32_t t : tensors) {
      if (t < 0 || subgraph.tensors[t].name.empty()) continue;
      scope += subgraph.tensors[t].name + ";";
    }
    if (!scope.empty()) return CutScope(std::move(scope));
  }
  return "";
}

// The subgraphs that an operator runs.
std::vector<size_t> CalledBy(const Op& op, size_t subgraphs) {
  std::vector<size_t> called;
  for (const graph::Attribute& field : op.options.fields) {
    if (field.name != "subgraph" && !field.name.ends_with("subgraph_index")) {
      continue;
    }
    const auto* index = std::get_if<int64_t>(&field.value);
    if (index != nullptr && *index >= 0 &&
        static_cast<size_t>(*index) < subgraphs) {
      called.push_back(static_cast<size_t>(*index));
    }
  }
  return called;
}

bool IsLeftAlone(const Op& op) {
  if (op.code != graph::OpCode::kStablehloComposite) return false;
  return std::ranges::find(kComposites, op.options.Text("name")) ==
         std::end(kComposites);
}

// As FromRange, in float32 where the older tool computes so.
ScaleZeroPoint FromRangeSingle(float min, float max, int bits, bool symmetric,
                               bool is_unsigned) {
  constexpr float kFloor = 1e-9f;
  const auto levels = [&](bool all) {
    const int used = is_unsigned || all ? bits : bits - 1;
    return static_cast<float>((int64_t{1} << used) - 1);
  };
  if (symmetric) {
    const float bound = std::max({std::fabs(min), std::fabs(max), kFloor});
    return {bound / levels(false), 0};
  }
  const float low = std::min(min, 0.0f);
  const float bound = std::max(std::max(max, 0.0f) - low, kFloor);
  const float scale = bound / levels(true);
  const auto lowest =
      is_unsigned ? 0.0f : -static_cast<float>(int64_t{1} << (bits - 1));
  return {scale, static_cast<int64_t>(std::rint(lowest - low / scale))};
}

class Assigner {
 public:
  Assigner(const Graph& graph, Chooser& chooser, const Statistics* statistics,
           const AssignOptions& options)
      : graph_(graph),
        chooser_(chooser),
        statistics_(statistics),
        options_(options),
        compat_(options.behaviour == Behaviour::kCompat) {
    if (statistics == nullptr) return;
    for (const auto& [name, known] : statistics->of) {
      if (known.has_range()) {
        ranges_[name] = {known.min, known.max, known.rank};
      }
    }
  }

  Result<Assignment> Run() {
    const size_t count = graph_.subgraphs.size();
    result_.records.resize(count);
    result_.ops.resize(count);
    size_t all = 1, done = 0;
    for (size_t s = 0; s < count; ++s) {
      result_.records[s].resize(graph_.subgraphs[s].tensors.size());
      all += graph_.subgraphs[s].ops.size();
    }
    FindCallees();
    for (size_t s = 0; s < count; ++s) {
      const Subgraph& subgraph = graph_.subgraphs[s];
      for (size_t i = 0; i < subgraph.ops.size(); ++i) {
        if (Stopped(options_.stop)) {
          return Fail(ErrorCode::kInterrupted, "interrupted");
        }
        LATHE_TRY(TreatOp(s, i));
        if (options_.progress) {
          options_.progress(static_cast<double>(++done) / all);
        }
      }
      LATHE_TRY(TreatBoundary(s, Target::kInput, {}, subgraph.inputs));
      LATHE_TRY(TreatBoundary(s, Target::kOutput, subgraph.outputs, {}));
    }
    if (problems_.empty()) return std::move(result_);
    std::string text;
    constexpr size_t kMost = 100;
    for (size_t i = 0; i < std::min(problems_.size(), kMost); ++i) {
      text += (i == 0 ? "" : "\n") + problems_[i];
    }
    if (problems_.size() > kMost) {
      text += fmt::format("\n... and {} more", problems_.size() - kMost);
    }
    return std::unexpected(Error{ErrorCode::kInvalidInput, std::move(text)});
  }

 private:
  // --- Walking --------------------------------------------------------------

  // Bodies of control flow keep their callers' types.
  void FindCallees() {
    for (const Subgraph& subgraph : graph_.subgraphs) {
      for (const Op& op : subgraph.ops) {
        for (const size_t s : CalledBy(op, graph_.subgraphs.size())) {
          ++callers_[s];
          if (op.code != graph::OpCode::kStablehloComposite) {
            control_flow_.insert(s);
          }
        }
      }
    }
  }

  Status TreatOp(size_t s, size_t i) {
    const Subgraph& subgraph = graph_.subgraphs[s];
    const Op& op = subgraph.ops[i];
    OpOutcome& outcome = result_.ops[s].emplace_back();
    for (const int32_t t : op.outputs) {
      if (t >= 0 && outcome.name.empty())
        outcome.name = subgraph.tensors[t].name;
    }
    Site site = {.subgraph = s,
                 .op = static_cast<int32_t>(i),
                 .real = &op,
                 .inputs = op.inputs,
                 .outputs = op.outputs};
    const auto target = TargetOf(op.code);
    if (!target) {
      outcome.reason = fmt::format("{} is never quantized", Name(op.code));
      LeaveFloat(site);
      return {};
    }
    site.target = *target;
    LATHE_ASSIGN(
        const Choice choice,
        chooser_.Choose(site.target, ScopeOf(subgraph, op.outputs, op.inputs)));
    site.rule = outcome.rule = choice.rule;
    if (std::string why = WhyFloat(site, choice); !why.empty()) {
      outcome.reason = std::move(why);
      for (const size_t called : CalledBy(op, graph_.subgraphs.size())) {
        if (op.code == graph::OpCode::kStablehloComposite) {
          left_alone_.insert(called);
        }
      }
      LeaveFloat(site);
      return {};
    }
    LATHE_TRY(Treat(site));
    outcome.quantized = quantized_;
    if (!compat_ && op.code == graph::OpCode::kStablehloComposite) {
      EnterComposite(site);
    }
    if (!quantized_) outcome.reason = WhyUntouched(site);
    if (!choice.refused.empty()) {
      const auto& [rule, why] = choice.refused.back();
      if (rule->number > choice.rule->number) {
        outcome.reason +=
            fmt::format("{}rule {} does not fit: {}",
                        outcome.reason.empty() ? "" : "; ", rule->number, why);
      }
    }
    return {};
  }

  Status TreatBoundary(size_t s, Target target, std::span<const int32_t> inputs,
                       std::span<const int32_t> outputs) {
    Site site = {
        .subgraph = s, .target = target, .inputs = inputs, .outputs = outputs};
    const Subgraph& subgraph = graph_.subgraphs[s];
    LATHE_ASSIGN(const Choice choice,
                 chooser_.Choose(target, ScopeOf(subgraph, outputs, inputs)));
    site.rule = choice.rule;
    // A composite and its body agree about what goes in and out.
    const auto body = bodies_.find(s);
    if (body != bodies_.end()) {
      site.rule = body->second;
      return Treat(site);
    }
    if (choice.rule == nullptr ||
        choice.rule->algorithm == Algorithm::kNoQuantize ||
        left_alone_.contains(s) || (!compat_ && control_flow_.contains(s))) {
      LeaveFloat(site);
      return {};
    }
    return Treat(site);
  }

  // Empty when the rule is to be followed.
  std::string WhyFloat(const Site& site, const Choice& choice) {
    if (left_alone_.contains(site.subgraph)) {
      return "inside a composite that stays as it is";
    }
    if (IsLeftAlone(*site.real)) {
      return fmt::format("the composite \"{}\" is never quantized",
                         site.real->options.Text("name"));
    }
    if (choice.rule == nullptr) {
      if (!choice.refused.empty()) {
        const auto& [rule, why] = choice.refused.back();
        return fmt::format("rule {} does not fit: {}", rule->number, why);
      }
      return choice.regex_matched
                 ? fmt::format("no matching rule names {}", Name(site.target))
                 : "no rule's regex matches";
    }
    if (choice.rule->algorithm == Algorithm::kNoQuantize) {
      return fmt::format("rule {} says no_quantize", choice.rule->number);
    }
    return compat_ ? "" : WhyImpossible(site);
  }

  // What the older tool aborts on or gets wrong, and what stays float instead
  // (reference A9, A21, A25).
  std::string WhyImpossible(const Site& site) {
    const OpConfig& config = site.config();
    const auto usable = [&](int32_t input) -> std::string {
      const Tensor* tensor = InputOf(site, input);
      if (tensor == nullptr) return "it has no weight";
      if (!IsConstant(*tensor)) return "its weight is not constant";
      if (graph::ElementCount(tensor->shape) == 0) return "its weight is empty";
      return "";
    };
    if (const auto places = PlacesOf(site.target)) {
      const Tensor* weight = InputOf(site, places->weight);
      const bool is_stored =
          weight != nullptr && IsConstant(*weight) && IsFloat(*weight);
      if (is_stored && IsSmall(site, *weight)) {
        return fmt::format(
            "its weight has {} elements, min_weight_elements "
            "is {}",
            graph::ElementCount(weight->shape), config.min_weight_elements);
      }
      if (config.IsStatic() && weight != nullptr && !IsFloat(*weight) &&
          (!HasScale(*weight) || (weight->type != graph::Type::kInt8 &&
                                  weight->type != graph::Type::kInt4))) {
        return fmt::format("its weight is {} already", Name(weight->type));
      }
      const bool needs_weight = !config.IsStatic() || IsRotating(site) ||
                                site.rule->algorithm == Algorithm::kGptq ||
                                site.rule->algorithm == Algorithm::kOscar;
      if (needs_weight) {
        if (std::string why = usable(places->weight); !why.empty()) return why;
        if (!IsFloat(*weight)) {
          return fmt::format("its weight is {} already", Name(weight->type));
        }
      }
      const Tensor* bias = InputOf(site, places->bias);
      if (config.IsStatic() && bias != nullptr && IsFloat(*bias) &&
          !IsConstant(*bias)) {
        return "its bias is not constant";
      }
      return "";
    }
    if (site.target == Target::kEmbeddingLookup) return usable(1);
    if (site.target == Target::kBatchMatmul && !config.IsStatic() &&
        !usable(1).empty()) {
      return "its right operand is not constant";
    }
    if (site.target == Target::kStablehloComposite) {
      if (std::string why = WhyNotComposite(site); !why.empty()) return why;
    }
    return WhyUneven(site);
  }

  // Why a composite's body cannot follow it.
  std::string WhyNotComposite(const Site& site) const {
    for (const size_t s : CalledBy(*site.real, graph_.subgraphs.size())) {
      if (callers_.at(s) > 1) return "another operator runs its body too";
      const Subgraph& body = graph_.subgraphs[s];
      if (s <= site.subgraph || body.inputs.size() != site.inputs.size() ||
          body.outputs.size() != site.outputs.size()) {
        return "its body does not fit it";
      }
    }
    return "";
  }

  // The body gets the operator's rule and ranges at its boundary.
  void EnterComposite(const Site& site) {
    for (const size_t s : CalledBy(*site.real, graph_.subgraphs.size())) {
      const Subgraph& body = graph_.subgraphs[s];
      bodies_[s] = site.rule;
      const auto hand_on = [&](std::span<const int32_t> outer,
                               const std::vector<int32_t>& inner) {
        for (size_t i = 0; i < inner.size(); ++i) {
          if (outer[i] < 0) continue;
          const auto known = ranges_.find(TensorAt(site, outer[i]).name);
          if (known != ranges_.end()) {
            ranges_[body.tensors[inner[i]].name] = known->second;
          }
        }
      };
      hand_on(site.inputs, body.inputs);
      hand_on(site.outputs, body.outputs);
    }
  }

  // Scale rules need one tensor that sets the scale.
  std::string WhyUneven(const Site& site) {
    const TargetFacts& facts = FactsOf(site.target);
    const auto floats = [&](std::span<const int32_t> tensors, uint32_t mask) {
      size_t count = 0;
      for (size_t i = 0; i < tensors.size(); ++i) {
        const bool ignored = i < 32 && (mask >> i & 1) != 0;
        if (tensors[i] >= 0 && !ignored &&
            IsFloat(TensorAt(site, tensors[i]))) {
          ++count;
        }
      }
      return count;
    };
    const size_t inputs = floats(site.inputs, facts.ignored_inputs);
    const size_t outputs = floats(site.outputs, 0);
    if (inputs + outputs == 0) return "it has no float tensors";
    if (facts.scale == ScaleRule::kAsInput && inputs != 1) {
      return fmt::format("{} float inputs, one must set the scale", inputs);
    }
    if (facts.scale == ScaleRule::kAsOutput && outputs != 1) {
      return fmt::format("{} float outputs, one must set the scale", outputs);
    }
    return "";
  }

  std::string WhyUntouched(const Site& site) {
    if (const auto places = PlacesOf(site.target)) {
      const Tensor* weight = InputOf(site, places->weight);
      if (weight != nullptr && !IsFloat(*weight)) {
        return fmt::format("its weight is {} already", Name(weight->type));
      }
      if (weight != nullptr && !IsConstant(*weight)) {
        return "its weight is not constant";
      }
      return "its weight is smaller than min_weight_elements";
    }
    return HasWeights(site.target) ? "it has no constant operand"
                                   : "it has no float tensors";
  }

  // --- Facts ----------------------------------------------------------------

  const Tensor& TensorAt(const Site& site, int32_t t) const {
    return graph_.subgraphs[site.subgraph].tensors[t];
  }
  // Null where it is left out.
  const Tensor* InputOf(const Site& site, int32_t i) const {
    if (static_cast<size_t>(i) >= site.inputs.size() || site.inputs[i] < 0) {
      return nullptr;
    }
    return &TensorAt(site, site.inputs[i]);
  }
  bool IsConstant(const Tensor& tensor) const {
    return graph_.IsConstant(tensor);
  }
  static bool IsFloat(const Tensor& tensor) {
    return tensor.type == graph::Type::kFloat32;
  }
  static bool HasScale(const Tensor& tensor) {
    return tensor.quantization && !tensor.quantization->scale.empty();
  }
  static bool IsRotating(const Site& site) {
    return site.rule->algorithm == Algorithm::kHadamard ||
           site.rule->algorithm == Algorithm::kDecomposedHadamard;
  }
  bool IsSmall(const Site& site, const Tensor& weight) const {
    return site.rule->algorithm != Algorithm::kFloatCasting &&
           !IsRotating(site) && site.rule->algorithm != Algorithm::kOscar &&
           IsConstant(weight) &&
           graph::ElementCount(weight.shape) <
               static_cast<uint64_t>(site.config().min_weight_elements);
  }

  std::string Where(const Site& site) const {
    const std::string_view name = Name(site.target);
    std::string at = site.op == kBoundary
                         ? std::string(name)
                         : fmt::format("operator {} {}", site.op, name);
    if (site.subgraph > 0) {
      at = fmt::format("subgraph {} {}", site.subgraph, at);
    }
    return at;
  }
  void Problem(const Site& site, const Tensor* tensor,
               const std::string& message) {
    problems_.push_back(tensor == nullptr
                            ? fmt::format("{}: {}", Where(site), message)
                            : fmt::format("{}, tensor \"{}\": {}", Where(site),
                                          tensor->name, message));
  }

  // --- Records --------------------------------------------------------------

  TensorRecords& RecordsOf(const Site& site, int32_t tensor) {
    return result_.records[site.subgraph][tensor];
  }
  void Consumes(const Site& site, int32_t tensor, Step step, GridPtr grid) {
    if (step != Step::kNothing) quantized_ = true;
    RecordsOf(site, tensor)
        .consumers.push_back({site.op, {step}, std::move(grid)});
  }
  void Produces(const Site& site, int32_t tensor, Step step, GridPtr grid) {
    if (step != Step::kNothing) quantized_ = true;
    RecordsOf(site, tensor).producer = {site.op, {step}, std::move(grid)};
  }
  void LeaveFloat(const Site& site) {
    for (const int32_t t : site.inputs) {
      if (t >= 0) Consumes(site, t, Step::kNothing, nullptr);
    }
    for (const int32_t t : site.outputs) {
      if (t >= 0) Produces(site, t, Step::kNothing, nullptr);
    }
  }

  static Step InputStep(const OpConfig& config, bool constant) {
    if (config.IsStatic()) {
      return constant ? Step::kRetype : Step::kAddQuantize;
    }
    if (!constant) return Step::kNothing;
    return config.IsDynamic() ? Step::kRetype : Step::kAddDequantize;
  }
  static Step OutputStep(const OpConfig& config) {
    return config.IsStatic() ? Step::kAddDequantize : Step::kNothing;
  }

  Status Treat(const Site& site) {
    quantized_ = false;
    const OpConfig& config = site.config();
    const Algorithm algorithm = site.rule->algorithm;
    if (!Treats(algorithm, site.target)) {
      Problem(site, nullptr,
              fmt::format("{} does not treat it (rule {} skips checks)",
                          Name(algorithm), site.rule->number));
      return {};
    }
    const bool ignores_mode = IsRotating(site) ||
                              algorithm == Algorithm::kOscar ||
                              algorithm == Algorithm::kFloatCasting;
    if (!ignores_mode && !config.IsStatic() && !config.IsDynamic() &&
        !config.IsWeightOnly()) {
      Problem(site, nullptr,
              fmt::format("rule {}: compute_precision {} with "
                          "explicit_dequantize {} is no way to compute",
                          site.rule->number, config.precision_text,
                          config.explicit_dequantize));
      return {};
    }
    if (algorithm == Algorithm::kFloatCasting) return TreatFloat16(site);
    if (IsRotating(site) || algorithm == Algorithm::kOscar) {
      return site.target == Target::kFullyConnected ? TreatTransformed(site)
                                                    : TreatRotatedTable(site);
    }
    uint32_t ignored = FactsOf(site.target).ignored_inputs;
    const auto places = PlacesOf(site.target);
    if (places) {
      ignored |= uint32_t{1} << places->bias;
      const Tensor* weight = InputOf(site, places->weight);
      if (weight != nullptr && (HasScale(*weight) || IsSmall(site, *weight))) {
        ignored |= uint32_t{1} << places->weight;
      }
    }
    return TreatStandard(site, ignored, places);
  }

  // Operators without a treatment of their own.
  Status TreatStandard(const Site& site, uint32_t ignored,
                       const std::optional<WeightPlaces>& places) {
    const OpConfig& config = site.config();
    const ScaleRule scale = FactsOf(site.target).scale;
    std::vector<int32_t> inputs, outputs;  // Positions that are not ignored.
    for (size_t i = 0; i < site.inputs.size(); ++i) {
      const bool is_ignored = i < 32 && (ignored >> i & 1) != 0;
      if (site.inputs[i] >= 0 && !is_ignored &&
          IsFloat(TensorAt(site, site.inputs[i]))) {
        inputs.push_back(static_cast<int32_t>(i));
      }
    }
    for (size_t i = 0; i < site.outputs.size(); ++i) {
      if (site.outputs[i] >= 0 && IsFloat(TensorAt(site, site.outputs[i]))) {
        outputs.push_back(static_cast<int32_t>(i));
      }
    }
    if (inputs.empty() && outputs.empty()) {
      LeaveFloat(site);
      return {};
    }
    if ((scale == ScaleRule::kAsInput && inputs.size() != 1) ||
        (scale == ScaleRule::kAsOutput && outputs.size() != 1) ||
        (scale == ScaleRule::kFixed && site.outputs.size() != 1)) {
      Problem(site, nullptr, "more than one tensor would set the scale");
      return {};
    }
    std::vector<GridPtr> input_grids(site.inputs.size());
    std::vector<GridPtr> output_grids(site.outputs.size());
    GridPtr shared;  // What the scale rule hands on.
    if (scale == ScaleRule::kAsOutput) {
      LATHE_ASSIGN(shared, GridFor(site, site.outputs[outputs[0]], -1));
      output_grids[outputs[0]] = shared;
    }
    for (const int32_t i : inputs) {
      if (scale == ScaleRule::kAsOutput) {
        LATHE_ASSIGN(input_grids[i], AsOutput(site, site.inputs[i], shared));
      } else {
        LATHE_ASSIGN(input_grids[i], GridFor(site, site.inputs[i], i));
      }
    }
    if (scale == ScaleRule::kAsInput) {
      shared = WithoutData(input_grids[inputs[0]]);
      for (const int32_t i : outputs) {
        output_grids[i] = shared;
        HandRangeOn(site, site.inputs[inputs[0]], site.outputs[i], shared);
      }
    } else if (scale == ScaleRule::kFixed && config.activation) {
      for (const int32_t i : outputs) {
        LATHE_ASSIGN(output_grids[i], FixedOutput(site, site.outputs[i]));
      }
    } else if (scale != ScaleRule::kAsOutput) {
      for (const int32_t i : outputs) {
        LATHE_ASSIGN(output_grids[i], GridFor(site, site.outputs[i], -1));
      }
    }

    std::set<int32_t> kept(inputs.begin(), inputs.end());
    for (size_t i = 0; i < site.inputs.size(); ++i) {
      const int32_t t = site.inputs[i];
      if (t < 0) continue;
      const bool is_bias = places && static_cast<int32_t>(i) == places->bias;
      if (is_bias && config.IsStatic() && !HasScale(TensorAt(site, t))) {
        LATHE_TRY(TreatBias(site, *places, input_grids));
      } else if (!kept.contains(static_cast<int32_t>(i)) ||
                 StaysFloat(site, static_cast<int32_t>(i))) {
        Consumes(site, t, Step::kNothing, nullptr);
      } else {
        Consumes(site, t, InputStep(config, IsConstant(TensorAt(site, t))),
                 input_grids[i]);
      }
    }
    kept = {outputs.begin(), outputs.end()};
    for (size_t i = 0; i < site.outputs.size(); ++i) {
      const int32_t t = site.outputs[i];
      if (t < 0) continue;
      const bool is_kept = kept.contains(static_cast<int32_t>(i));
      Produces(site, t, is_kept ? OutputStep(config) : Step::kNothing,
               is_kept ? output_grids[i] : nullptr);
    }
    return {};
  }

  // A constant left operand beside a float right one runs nowhere (A25).
  bool StaysFloat(const Site& site, int32_t input) const {
    return !compat_ && site.target == Target::kBatchMatmul && input == 0 &&
           site.config().IsDynamic();
  }

  Status TreatBias(const Site& site, const WeightPlaces& places,
                   const std::vector<GridPtr>& grids) {
    const int32_t t = site.inputs[places.bias];
    const Tensor& bias = TensorAt(site, t);
    const Tensor* weight = InputOf(site, places.weight);
    GridPtr weights = grids[places.weight];
    if (weights == nullptr && weight != nullptr && HasScale(*weight)) {
      auto stored = std::make_shared<Grid>();
      for (const float scale : weight->quantization->scale) {
        stored->scale.push_back(scale);
      }
      stored->single = true;
      weights = stored;
    }
    if (!IsConstant(bias) || !IsFloat(bias)) {
      Problem(site, &bias, "a bias that is not a float constant");
      return {};
    }
    if (weights == nullptr || grids[places.input] == nullptr) {
      if (!HasProblems(site)) {
        Problem(site, &bias,
                "the bias needs the weight's scale, and the weight stays "
                "float");
      }
      return {};
    }
    LATHE_ASSIGN(GridPtr grid,
                 BiasGrid(site, bias, *grids[places.input], *weights));
    Consumes(site, t, Step::kRetype, std::move(grid));
    return {};
  }
  // Whether the operator has failed already.
  bool HasProblems(const Site& site) const {
    const std::string where = Where(site);
    return std::ranges::any_of(problems_, [&](const std::string& problem) {
      return problem.starts_with(where);
    });
  }

  Status TreatFloat16(const Site& site) {
    const auto places = PlacesOf(site.target);
    const int32_t at = places ? places->weight : 1;
    for (size_t i = 0; i < site.inputs.size(); ++i) {
      const int32_t t = site.inputs[i];
      if (t < 0) continue;
      const Tensor& tensor = TensorAt(site, t);
      // The older tool says nothing about the shape operand.
      if (site.target == Target::kTransposeConv && i == 0) continue;
      if (static_cast<int32_t>(i) != at || !IsConstant(tensor)) {
        Consumes(site, t, Step::kNothing, nullptr);
        continue;
      }
      TensorConfig config = *site.config().weight;
      config.granularity = Granularity::kTensor;
      LATHE_ASSIGN(GridPtr grid, WeightGrid(site, tensor, config, at));
      Consumes(site, t, Step::kAddDequantize, std::move(grid));
    }
    for (const int32_t t : site.outputs) {
      if (t >= 0) Produces(site, t, Step::kNothing, nullptr);
    }
    return {};
  }

  // FULLY_CONNECTED with a weight in another space: its input follows.
  Status TreatTransformed(const Site& site) {
    const Tensor* weight = InputOf(site, 1);
    if (InputOf(site, 0) == nullptr || weight == nullptr ||
        !IsConstant(*weight)) {
      Problem(site, weight, "it needs a constant weight");
      return {};
    }
    if (compat_ && IsRotating(site) && site.inputs.size() < 3) {
      Problem(site, nullptr, "Hadamard rotation of an operator of two inputs");
      return {};
    }
    LATHE_ASSIGN(GridPtr grid,
                 WeightGrid(site, *weight, *site.config().weight, 1));
    if (grid == nullptr) return {};
    Step step = Step::kMultiply;
    if (IsRotating(site)) {
      step = site.rule->algorithm == Algorithm::kHadamard
                 ? Step::kRotate
                 : Step::kRotateInParts;
    }
    Consumes(site, site.inputs[0],
             NeedsStep(*grid, step) ? step : Step::kNothing, grid);
    Consumes(site, site.inputs[1], Step::kRetype, grid);
    for (size_t i = 2; i < site.inputs.size(); ++i) {
      int32_t t = site.inputs[i];
      // The older tool takes a bias left out for the last tensor (A9).
      if (t < 0 && compat_ && IsRotating(site)) {
        t = static_cast<int32_t>(
            graph_.subgraphs[site.subgraph].tensors.size() - 1);
      }
      if (t >= 0) Consumes(site, t, Step::kNothing, nullptr);
    }
    for (const int32_t t : site.outputs) {
      if (t >= 0) Produces(site, t, Step::kNothing, nullptr);
    }
    return {};
  }

  Status TreatRotatedTable(const Site& site) {
    const Tensor* table = InputOf(site, 1);
    if (table == nullptr || !IsConstant(*table) || site.outputs.empty()) {
      Problem(site, table, "it needs a constant table");
      return {};
    }
    LATHE_ASSIGN(GridPtr grid,
                 WeightGrid(site, *table, *site.config().weight, 1));
    if (grid == nullptr) return {};
    if (site.inputs[0] >= 0) {
      Consumes(site, site.inputs[0], Step::kNothing, nullptr);
    }
    Consumes(site, site.inputs[1], Step::kRetype, grid);
    const Step step = site.rule->algorithm == Algorithm::kHadamard
                          ? Step::kRotate
                          : Step::kRotateInParts;
    Produces(site, site.outputs[0],
             NeedsStep(*grid, step) ? step : Step::kNothing, grid);
    return {};
  }

  // Rotating single values and multiplying by ones do nothing.
  bool NeedsStep(const Grid& grid, Step step) const {
    if (compat_) return true;
    return step == Step::kMultiply ? grid.multiplies : grid.hadamard_size > 1;
  }

  // --- Grids ----------------------------------------------------------------

  // Null where the rule has no config for the tensor, and after a problem.
  // `input` is its position, -1 for an output.
  Result<GridPtr> GridFor(const Site& site, int32_t t, int32_t input) {
    const Tensor& tensor = TensorAt(site, t);
    if (IsConstant(tensor)) {
      if (HasWeights(site.target)) {
        if (StaysFloat(site, input)) return GridPtr();
        return WeightGrid(site, tensor, *site.config().weight, input);
      }
      if (!site.config().activation) return GridPtr();
      return ConstantGrid(site, tensor, *site.config().activation);
    }
    if (!site.config().activation) return GridPtr();
    return RangeGrid(site, tensor, *site.config().activation);
  }

  Result<GridPtr> RangeGrid(const Site& site, const Tensor& tensor,
                            const TensorConfig& config) {
    const bool is_unsigned = config.element == Element::kUint;
    if (!HasWholeBytes(site, tensor, config)) return GridPtr();
    const auto found = ranges_.find(tensor.name);
    if (found == ranges_.end()) {
      Problem(site, &tensor, "the statistics have no range of it");
      return GridPtr();
    }
    if (found->second.min.size() != 1) {
      Problem(site, &tensor,
              fmt::format("the statistics have {} ranges of it; allowed: 1",
                          found->second.min.size()));
      return GridPtr();
    }
    return GridOfRange(found->second, static_cast<int>(config.bits),
                       config.symmetric, is_unsigned);
  }

  static GridPtr GridOfRange(const Range& range, int bits, bool symmetric,
                             bool is_unsigned) {
    auto grid = std::make_shared<Grid>();
    grid->bits = bits;
    grid->is_signed = !is_unsigned;
    grid->symmetric = symmetric;
    grid->rank = range.rank;
    grid->single = range.single;
    for (size_t i = 0; i < range.min.size(); ++i) {
      const ScaleZeroPoint found =
          range.single ? FromRangeSingle(static_cast<float>(range.min[i]),
                                         static_cast<float>(range.max[i]), bits,
                                         symmetric, is_unsigned)
                       : FromRange(range.min[i], range.max[i], bits, symmetric,
                                   is_unsigned);
      grid->scale.push_back(found.scale);
      grid->zero_point.push_back(found.zero_point);
    }
    return grid;
  }

  // A rule that skips checks may say anything.
  bool HasWholeBytes(const Site& site, const Tensor& tensor,
                     const TensorConfig& config) {
    if (config.bits == 8 || config.bits == 16) return true;
    Problem(site, &tensor,
            fmt::format("activations of {} bits; allowed: 8, 16", config.bits));
    return false;
  }

  // A constant operand of an operator without weights: per tensor, with the
  // activation config.
  Result<GridPtr> ConstantGrid(const Site& site, const Tensor& tensor,
                               const TensorConfig& config) {
    const std::string key = KeyOf(site, tensor, config, nullptr);
    if (const auto found = grids_.find(key); found != grids_.end()) {
      return found->second;
    }
    if (!CanRead(site, tensor) || !HasWholeBytes(site, tensor, config)) {
      return GridPtr();
    }
    Source source = SourceOf(tensor);
    if (source.shape.empty()) source.shape = {1};  // A scalar.
    const int bits = static_cast<int>(config.bits);
    GridPtr grid;
    // OCTAV clips symmetric operands too; asymmetric ones it cannot (A15).
    if (site.rule->algorithm == Algorithm::kOctav &&
        (compat_ || config.symmetric)) {
      const WeightConfig octav = {.algorithm = Algorithm::kOctav,
                                  .bits = bits,
                                  .symmetric = config.symmetric,
                                  .grouping = {},
                                  .behaviour = options_.behaviour};
      auto params = FindParams(octav, source, nullptr, options_.pool);
      if (!params) {
        Problem(site, &tensor, params.error().message);
        return GridPtr();
      }
      auto made = std::make_shared<Grid>();
      made->bits = bits;
      made->symmetric = true;
      made->scale = params->scale;
      made->zero_point = params->zero_point;
      made->single = true;
      made->rank = static_cast<int>(tensor.shape.size());
      grid = made;
    } else {
      LATHE_ASSIGN(const Floats floats, Floats::Of(source));
      Range range = {{0}, {0}, static_cast<int>(tensor.shape.size()), true};
      float low = std::numeric_limits<float>::infinity(), high = -low;
      bool is_finite = !floats.values().empty();
      for (const float x : floats.values()) {
        is_finite &= std::isfinite(x);
        low = std::min(low, x);
        high = std::max(high, x);
      }
      if (!is_finite) {
        Problem(site, &tensor, "a constant that is empty or not finite");
        return GridPtr();
      }
      range.min[0] = low;
      range.max[0] = high;
      grid = GridOfRange(range, bits, config.symmetric,
                         config.element == Element::kUint);
    }
    grid = WithPlainData(*grid, source, grid->single);
    grids_[key] = grid;
    return grid;
  }

  // The input of an operator whose inputs take the output's scale.
  Result<GridPtr> AsOutput(const Site& site, int32_t t, const GridPtr& output) {
    const Tensor& tensor = TensorAt(site, t);
    if (output == nullptr || !IsConstant(tensor)) return output;
    if (!CanRead(site, tensor)) return GridPtr();
    return WithPlainData(*output, SourceOf(tensor), output->single);
  }

  static GridPtr WithPlainData(const Grid& grid, const Source& source,
                               bool single) {
    auto encoding = std::make_shared<Encoding>();
    encoding->source = source;
    encoding->plain = {
        .bits = grid.bits,
        .range = RangeOf(grid.bits, grid.symmetric, !grid.is_signed),
        .scale = grid.scale,
        .zero_point = grid.zero_point.empty() ? 0 : grid.zero_point[0],
        .single = single};
    auto made = std::make_shared<Grid>(grid);
    made->data = std::move(encoding);
    return made;
  }
  static GridPtr WithoutData(const GridPtr& grid) {
    if (grid == nullptr || grid->data == nullptr) return grid;
    auto made = std::make_shared<Grid>(*grid);
    made->data = nullptr;
    return made;
  }

  // A later operator sees the output with the input's range.
  void HandRangeOn(const Site& site, int32_t from, int32_t to,
                   const GridPtr& grid) {
    const auto known = ranges_.find(TensorAt(site, from).name);
    if (known != ranges_.end()) {
      ranges_[TensorAt(site, to).name] = known->second;
    } else if (grid != nullptr) {
      ranges_[TensorAt(site, to).name] = RangeOfGrid(*grid);
    }
  }

  // The range that the integers span.
  static Range RangeOfGrid(const Grid& grid) {
    const IntegerRange q = RangeOf(grid.bits, false, false);
    Range range;
    for (size_t i = 0; i < grid.scale.size(); ++i) {
      const auto at = [&](int64_t x) {
        return static_cast<double>(x - grid.zero_point[i]) * grid.scale[i];
      };
      range.max.push_back(at(q.high));
      range.min.push_back(grid.symmetric ? -at(q.high) : at(q.low));
    }
    return range;
  }

  // What the kernels of SOFTMAX, LOGISTIC and TANH write (reference 2.13).
  Result<GridPtr> FixedOutput(const Site& site, int32_t t) {
    const Tensor& tensor = TensorAt(site, t);
    const int64_t bits = site.config().activation->bits;
    if (bits != 8 && bits != 16) {
      Problem(site, &tensor, fmt::format("outputs of {} bits", bits));
      return GridPtr();
    }
    if (compat_ && !ranges_.contains(tensor.name)) {
      Problem(site, &tensor, "the statistics have no range of it");
      return GridPtr();
    }
    auto grid = std::make_shared<Grid>();
    grid->bits = static_cast<int>(bits);
    const bool is_tanh = site.target == Target::kTanh;
    grid->symmetric = bits == 16;
    grid->scale = {bits == 16 ? 1.0 / 32768 : is_tanh ? 1.0 / 128 : 1.0 / 256};
    grid->zero_point = {bits == 8 && !is_tanh ? -128 : 0};
    ranges_[tensor.name] = RangeOfGrid(*grid);
    return grid;
  }

  Result<GridPtr> BiasGrid(const Site& site, const Tensor& bias,
                           const Grid& input, const Grid& weights) {
    if (!CanRead(site, bias)) return GridPtr();
    auto encoding = std::make_shared<Encoding>();
    encoding->source = SourceOf(bias);
    PlainEncoding& plain = encoding->plain;
    plain.bits = input.bits == 16 ? 64 : 32;
    plain.range = RangeOf(32, true, false);
    plain.single = input.single && weights.single;
    const double in = input.scale.empty() ? 1 : input.scale[0];
    for (const double scale : weights.scale) {
      plain.scale.push_back(plain.single ? static_cast<float>(in) *
                                               static_cast<float>(scale)
                                         : in * scale);
    }
    const uint64_t count = graph::ElementCount(bias.shape);
    if (plain.scale.size() != 1 && plain.scale.size() != count) {
      Problem(site, &bias,
              fmt::format("{} values for {} scales of the weight", count,
                          plain.scale.size()));
      return GridPtr();
    }
    if (!compat_) {
      LATHE_ASSIGN(const Floats floats, Floats::Of(encoding->source));
      if (!std::ranges::all_of(floats.values(),
                               [](float x) { return std::isfinite(x); })) {
        Problem(site, &bias, "it holds NaN or infinite values");
        return GridPtr();
      }
    }
    auto grid = std::make_shared<Grid>();
    grid->bits = plain.bits;
    grid->scale = plain.scale;
    grid->zero_point.assign(plain.scale.size(), 0);
    if (plain.scale.size() > 1) grid->axis = 0;
    grid->rank = 1;
    grid->single = plain.single;
    grid->data = std::move(encoding);
    return GridPtr(grid);
  }

  Grouping GroupingOf(const Site& site, const Tensor& tensor,
                      const TensorConfig& config) const {
    if (const int64_t block = BlockOf(config.granularity); block > 0) {
      return {Grouping::Kind::kBlock, 0, block};
    }
    const auto places = PlacesOf(site.target);
    const int axis = places ? places->channel_axis : 0;
    if (site.target == Target::kBatchMatmul) {
      // Kernels of static BATCH_MATMUL know one scale (A23).
      const int rank = static_cast<int>(tensor.shape.size());
      if (config.granularity != Granularity::kChannel || rank < 2 ||
          (!compat_ && site.config().IsStatic())) {
        return {};
      }
      return {Grouping::Kind::kAxis,
              site.real->options.Bool("adj_y") ? rank - 2 : rank - 1, 0};
    }
    // Kernels of dynamic DEPTHWISE_CONV_2D read a scale for each channel (A24),
    // those of CONV_2D with groups or narrow weights refuse another number.
    const Tensor* input = InputOf(site, 0);
    const bool has_groups = input != nullptr && input->shape.size() == 4 &&
                            tensor.shape.size() == 4 &&
                            input->shape[3] != tensor.shape[3];
    const bool is_strict_conv =
        site.target == Target::kConv2d && (config.bits < 8 || has_groups);
    const bool needs_channels =
        !compat_ && site.config().IsDynamic() &&
        (site.target == Target::kDepthwiseConv2d || is_strict_conv);
    if (config.granularity != Granularity::kChannel && !needs_channels) {
      return {};
    }
    return {Grouping::Kind::kAxis, axis, 0};
  }

  Result<GridPtr> WeightGrid(const Site& site, const Tensor& tensor,
                             const TensorConfig& config, int32_t input) {
    const Algorithm algorithm = site.rule->algorithm;
    constexpr int64_t kMostBits = 64;
    if (config.bits < 1 || config.bits > kMostBits) {
      Problem(site, &tensor, fmt::format("weights of {} bits", config.bits));
      return GridPtr();
    }
    WeightConfig weights = {
        .algorithm = algorithm,
        .bits = static_cast<int>(config.bits),
        .symmetric = config.symmetric,
        .grouping = GroupingOf(site, tensor, config),
        .max_hadamard_size = config.max_hadamard_size,
        .skip_checks = site.config().skip_checks,
        .behaviour = options_.behaviour,
    };
    const Tensor* activation = InputOf(site, 0);
    const TensorStatistics* known = nullptr;
    if (statistics_ != nullptr && activation != nullptr) {
      known = statistics_->Find(activation->name);
    }
    const std::string key =
        KeyOf(site, tensor, config,
              activation == nullptr ? nullptr : &activation->name);
    if (const auto found = grids_.find(key); found != grids_.end()) {
      return found->second;
    }
    if (!CanRead(site, tensor)) return GridPtr();
    if (tensor.shape.empty() ||
        weights.grouping.axis >= static_cast<int>(tensor.shape.size())) {
      Problem(site, &tensor,
              fmt::format("rank {} has no dim {} for its scales",
                          tensor.shape.size(), weights.grouping.axis));
      return GridPtr();
    }
    if (algorithm == Algorithm::kGptq &&
        (known == nullptr || !known->has_hessian())) {
      Problem(site, activation,
              "GPTQ needs a Hessian of it, and the statistics have none");
      return GridPtr();
    }
    if (algorithm == Algorithm::kOscar && !compat_ &&
        (known == nullptr || known->mu2.empty())) {
      Problem(site, activation,
              "OSCAR needs mu2 of it, and the statistics have none");
      return GridPtr();
    }
    auto encoding = std::make_shared<Encoding>();
    encoding->source = SourceOf(tensor);
    encoding->weights = weights;
    encoding->statistics = known;
    if (known != nullptr) {
      // Samples count leading dims; what is between is rows too.
      const graph::Shape& shape = activation->shape;
      encoding->rows = known->num_samples;
      for (size_t i = 1; i + 1 < shape.size(); ++i) {
        encoding->rows *= static_cast<uint64_t>(std::max(shape[i], 1));
      }
    }
    auto params = FindParams(weights, encoding->source, known, options_.pool);
    if (!params) {
      Problem(site, &tensor, params.error().message);
      return GridPtr();
    }
    encoding->params = *std::move(params);
    grids_[key] = GridOfWeights(weights, tensor, encoding);
    return grids_[key];
  }

  GridPtr GridOfWeights(const WeightConfig& weights, const Tensor& tensor,
                        std::shared_ptr<const Encoding> encoding) const {
    const WeightParams& params = encoding->params;
    auto grid = std::make_shared<Grid>();
    grid->bits = weights.bits;
    grid->symmetric = weights.symmetric;
    grid->is_float16 = weights.algorithm == Algorithm::kFloatCasting;
    if (!grid->is_float16) {
      grid->scale = params.scale;
      grid->zero_point = params.zero_point;
    }
    if (weights.grouping.kind == Grouping::Kind::kAxis) {
      grid->axis = weights.grouping.axis;
    }
    grid->block = weights.grouping.kind == Grouping::Kind::kBlock
                      ? weights.grouping.block
                      : 0;
    grid->rank = static_cast<int>(tensor.shape.size());
    grid->single = true;
    grid->hadamard_size = params.hadamard_size;
    if (weights.algorithm == Algorithm::kOscar) {
      grid->multiplies = compat_ || !params.column_scale.empty();
      for (const double scale : params.column_scale) {
        grid->multiplier.push_back(static_cast<float>(1.0 / scale));
      }
      if (grid->multiplies && grid->multiplier.empty()) {
        grid->multiplier.assign(tensor.shape.back(), 1.0f);
      }
    }
    grid->data = std::move(encoding);
    return grid;
  }

  // Equal constants of equal configs are found once. The older tool forgets
  // what else they depend on (A7).
  std::string KeyOf(const Site& site, const Tensor& tensor,
                    const TensorConfig& config,
                    const std::string* activation) const {
    const bool floats = site.rule->algorithm == Algorithm::kFloatCasting;
    std::string key =
        fmt::format("{} {} {} {} {} {}", tensor.buffer, config.bits,
                    config.symmetric, Name(config.granularity),
                    Name(config.element), floats ? "{}" : config.params);
    if (compat_) return key;
    const Grouping grouping = GroupingOf(site, tensor, config);
    const bool uses_input = site.rule->algorithm == Algorithm::kGptq ||
                            site.rule->algorithm == Algorithm::kOscar;
    return key + fmt::format(" {} {} {} {} {} {}", Name(site.rule->algorithm),
                             static_cast<int>(grouping.kind), grouping.axis,
                             site.config().skip_checks,
                             graph::ToString(tensor.shape),
                             uses_input && activation ? *activation : "");
  }

  Source SourceOf(const Tensor& tensor) const {
    return {graph_.BufferOf(tensor), tensor.shape, options_.in_mapping};
  }
  bool CanRead(const Site& site, const Tensor& tensor) {
    if (tensor.external_buffer != 0) {
      Problem(site, &tensor, "it lies in another file");
      return false;
    }
    if (tensor.sparsity) {
      Problem(site, &tensor, "it is stored sparse");
      return false;
    }
    if (graph::ElementCount(tensor.shape) == 0) {
      Problem(site, &tensor, "it has no elements");
      return false;
    }
    if (!IsFloat(tensor)) {
      Problem(site, &tensor,
              fmt::format("type {}; allowed: float32", Name(tensor.type)));
      return false;
    }
    return true;
  }

  const Graph& graph_;
  Chooser& chooser_;
  const Statistics* statistics_;
  const AssignOptions& options_;
  const bool compat_;

  std::map<std::string, Range, std::less<>> ranges_;
  std::map<std::string, GridPtr> grids_;
  std::set<size_t> left_alone_;           // Bodies of composites that stay.
  std::map<size_t, const Rule*> bodies_;  // Of quantized ones (kCorrect).
  std::map<size_t, int> callers_;         // Operators that run a subgraph.
  std::set<size_t> control_flow_;         // Bodies of other operators.
  bool quantized_ = false;  // The operator under treatment, so far.
  std::vector<std::string> problems_;
  Assignment result_;
};

}  // namespace

Status AskAll(const Graph& graph, Chooser& chooser) {
  for (const Subgraph& subgraph : graph.subgraphs) {
    for (const Op& op : subgraph.ops) {
      const auto target = TargetOf(op.code);
      if (!target) continue;
      LATHE_TRY(
          chooser.Choose(*target, ScopeOf(subgraph, op.outputs, op.inputs)));
    }
    LATHE_TRY(
        chooser.Choose(Target::kInput, ScopeOf(subgraph, subgraph.inputs, {})));
    LATHE_TRY(chooser.Choose(Target::kOutput,
                             ScopeOf(subgraph, {}, subgraph.outputs)));
  }
  return {};
}

Result<Assignment> Assign(const Graph& graph, Chooser& chooser,
                          const Statistics* statistics,
                          const AssignOptions& options) {
  return Assigner(graph, chooser, statistics, options).Run();
}

}  // namespace lathe::quant
