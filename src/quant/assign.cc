#include "src/quant/assign.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "src/quant/grids.h"
#include "src/quant/policy.h"
#include "src/quant/site.h"

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

class Assigner {
 public:
  Assigner(const Graph& graph, Chooser& chooser, const Statistics* statistics,
           const AssignOptions& options)
      : graph_(graph),
        chooser_(chooser),
        options_(options),
        compat_(options.behaviour == Behaviour::kCompat),
        grids_(graph, statistics, options, problems_) {}

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
    if (problems_.all().empty()) return std::move(result_);
    std::string text;
    constexpr size_t kMost = 100;
    const std::vector<std::string>& all_problems = problems_.all();
    for (size_t i = 0; i < std::min(all_problems.size(), kMost); ++i) {
      text += (i == 0 ? "" : "\n") + all_problems[i];
    }
    if (all_problems.size() > kMost) {
      text += fmt::format("\n... and {} more", all_problems.size() - kMost);
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
    Site site = {.graph = &graph_,
                 .subgraph = s,
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
    Site site = {.graph = &graph_,
                 .subgraph = s,
                 .target = target,
                 .inputs = inputs,
                 .outputs = outputs};
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
      const Tensor* tensor = site.InputOf(input);
      if (tensor == nullptr) return "it has no weight";
      if (!site.IsConstant(*tensor)) return "its weight is not constant";
      if (graph::ElementCount(tensor->shape) == 0) return "its weight is empty";
      return "";
    };
    if (const auto places = PlacesOf(site.target)) {
      const Tensor* weight = site.InputOf(places->weight);
      const bool is_stored =
          weight != nullptr && site.IsConstant(*weight) && IsFloat(*weight);
      if (is_stored && site.IsSmall(*weight)) {
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
      const bool needs_weight = !config.IsStatic() || site.IsRotating() ||
                                site.rule->algorithm == Algorithm::kGptq ||
                                site.rule->algorithm == Algorithm::kOscar;
      if (needs_weight) {
        if (std::string why = usable(places->weight); !why.empty()) return why;
        if (!IsFloat(*weight)) {
          return fmt::format("its weight is {} already", Name(weight->type));
        }
      }
      const Tensor* bias = site.InputOf(places->bias);
      if (config.IsStatic() && bias != nullptr && IsFloat(*bias) &&
          !site.IsConstant(*bias)) {
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
          grids_.CopyRange(site.TensorAt(outer[i]).name,
                           body.tensors[inner[i]].name);
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
        if (tensors[i] >= 0 && !ignored && IsFloat(site.TensorAt(tensors[i]))) {
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
      const Tensor* weight = site.InputOf(places->weight);
      if (weight != nullptr && !IsFloat(*weight)) {
        return fmt::format("its weight is {} already", Name(weight->type));
      }
      if (weight != nullptr && !site.IsConstant(*weight)) {
        return "its weight is not constant";
      }
      return "its weight is smaller than min_weight_elements";
    }
    return HasWeights(site.target) ? "it has no constant operand"
                                   : "it has no float tensors";
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
      problems_.Add(site, nullptr,
                    fmt::format("{} does not treat it (rule {} skips checks)",
                                Name(algorithm), site.rule->number));
      return {};
    }
    const bool ignores_mode = site.IsRotating() ||
                              algorithm == Algorithm::kOscar ||
                              algorithm == Algorithm::kFloatCasting;
    if (!ignores_mode && !config.IsStatic() && !config.IsDynamic() &&
        !config.IsWeightOnly()) {
      problems_.Add(site, nullptr,
                    fmt::format("rule {}: compute_precision {} with "
                                "explicit_dequantize {} is no way to compute",
                                site.rule->number, config.precision_text,
                                config.explicit_dequantize));
      return {};
    }
    if (algorithm == Algorithm::kFloatCasting) return TreatFloat16(site);
    if (site.IsRotating() || algorithm == Algorithm::kOscar) {
      return site.target == Target::kFullyConnected ? TreatTransformed(site)
                                                    : TreatRotatedTable(site);
    }
    uint32_t ignored = FactsOf(site.target).ignored_inputs;
    const auto places = PlacesOf(site.target);
    if (places) {
      ignored |= uint32_t{1} << places->bias;
      const Tensor* weight = site.InputOf(places->weight);
      if (weight != nullptr && (HasScale(*weight) || site.IsSmall(*weight))) {
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
          IsFloat(site.TensorAt(site.inputs[i]))) {
        inputs.push_back(static_cast<int32_t>(i));
      }
    }
    for (size_t i = 0; i < site.outputs.size(); ++i) {
      if (site.outputs[i] >= 0 && IsFloat(site.TensorAt(site.outputs[i]))) {
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
      problems_.Add(site, nullptr, "more than one tensor would set the scale");
      return {};
    }
    std::vector<GridPtr> input_grids(site.inputs.size());
    std::vector<GridPtr> output_grids(site.outputs.size());
    GridPtr shared;  // What the scale rule hands on.
    if (scale == ScaleRule::kAsOutput) {
      LATHE_ASSIGN(shared, grids_.For(site, site.outputs[outputs[0]], -1));
      output_grids[outputs[0]] = shared;
    }
    for (const int32_t i : inputs) {
      if (scale == ScaleRule::kAsOutput) {
        LATHE_ASSIGN(input_grids[i],
                     grids_.AsOutput(site, site.inputs[i], shared));
      } else {
        LATHE_ASSIGN(input_grids[i], grids_.For(site, site.inputs[i], i));
      }
    }
    if (scale == ScaleRule::kAsInput) {
      shared = Grids::WithoutData(input_grids[inputs[0]]);
      for (const int32_t i : outputs) {
        output_grids[i] = shared;
        grids_.HandRangeOn(site, site.inputs[inputs[0]], site.outputs[i],
                           shared);
      }
    } else if (scale == ScaleRule::kFixed && config.activation) {
      for (const int32_t i : outputs) {
        LATHE_ASSIGN(output_grids[i],
                     grids_.OfFixedOutput(site, site.outputs[i]));
      }
    } else if (scale != ScaleRule::kAsOutput) {
      for (const int32_t i : outputs) {
        LATHE_ASSIGN(output_grids[i], grids_.For(site, site.outputs[i], -1));
      }
    }

    std::set<int32_t> kept(inputs.begin(), inputs.end());
    for (size_t i = 0; i < site.inputs.size(); ++i) {
      const int32_t t = site.inputs[i];
      if (t < 0) continue;
      const bool is_bias = places && static_cast<int32_t>(i) == places->bias;
      if (is_bias && config.IsStatic() && !HasScale(site.TensorAt(t))) {
        LATHE_TRY(TreatBias(site, *places, input_grids));
      } else if (!kept.contains(static_cast<int32_t>(i)) ||
                 grids_.StaysFloat(site, static_cast<int32_t>(i))) {
        Consumes(site, t, Step::kNothing, nullptr);
      } else {
        Consumes(site, t, InputStep(config, site.IsConstant(site.TensorAt(t))),
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

  Status TreatBias(const Site& site, const WeightPlaces& places,
                   const std::vector<GridPtr>& grids) {
    const int32_t t = site.inputs[places.bias];
    const Tensor& bias = site.TensorAt(t);
    const Tensor* weight = site.InputOf(places.weight);
    GridPtr weights = grids[places.weight];
    if (weights == nullptr && weight != nullptr && HasScale(*weight)) {
      auto stored = std::make_shared<Grid>();
      for (const float scale : weight->quantization->scale) {
        stored->scale.push_back(scale);
      }
      stored->single = true;
      weights = stored;
    }
    if (!site.IsConstant(bias) || !IsFloat(bias)) {
      problems_.Add(site, &bias, "a bias that is not a float constant");
      return {};
    }
    if (weights == nullptr || grids[places.input] == nullptr) {
      if (!problems_.Has(site)) {
        problems_.Add(site, &bias,
                      "the bias needs the weight's scale, and the weight stays "
                      "float");
      }
      return {};
    }
    LATHE_ASSIGN(GridPtr grid,
                 grids_.OfBias(site, bias, *grids[places.input], *weights));
    Consumes(site, t, Step::kRetype, std::move(grid));
    return {};
  }
  Status TreatFloat16(const Site& site) {
    const auto places = PlacesOf(site.target);
    const int32_t at = places ? places->weight : 1;
    for (size_t i = 0; i < site.inputs.size(); ++i) {
      const int32_t t = site.inputs[i];
      if (t < 0) continue;
      const Tensor& tensor = site.TensorAt(t);
      // The older tool says nothing about the shape operand.
      if (site.target == Target::kTransposeConv && i == 0) continue;
      if (static_cast<int32_t>(i) != at || !site.IsConstant(tensor)) {
        Consumes(site, t, Step::kNothing, nullptr);
        continue;
      }
      TensorConfig config = *site.config().weight;
      config.granularity = Granularity::kTensor;
      LATHE_ASSIGN(GridPtr grid, grids_.OfWeight(site, tensor, config, at));
      Consumes(site, t, Step::kAddDequantize, std::move(grid));
    }
    for (const int32_t t : site.outputs) {
      if (t >= 0) Produces(site, t, Step::kNothing, nullptr);
    }
    return {};
  }

  // FULLY_CONNECTED with a weight in another space: its input follows.
  Status TreatTransformed(const Site& site) {
    const Tensor* weight = site.InputOf(1);
    if (site.InputOf(0) == nullptr || weight == nullptr ||
        !site.IsConstant(*weight)) {
      problems_.Add(site, weight, "it needs a constant weight");
      return {};
    }
    if (compat_ && site.IsRotating() && site.inputs.size() < 3) {
      problems_.Add(site, nullptr,
                    "Hadamard rotation of an operator of two inputs");
      return {};
    }
    LATHE_ASSIGN(GridPtr grid,
                 grids_.OfWeight(site, *weight, *site.config().weight, 1));
    if (grid == nullptr) return {};
    Step step = Step::kMultiply;
    if (site.IsRotating()) {
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
      if (t < 0 && compat_ && site.IsRotating()) {
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
    const Tensor* table = site.InputOf(1);
    if (table == nullptr || !site.IsConstant(*table) || site.outputs.empty()) {
      problems_.Add(site, table, "it needs a constant table");
      return {};
    }
    LATHE_ASSIGN(GridPtr grid,
                 grids_.OfWeight(site, *table, *site.config().weight, 1));
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

  const Graph& graph_;
  Chooser& chooser_;
  const AssignOptions& options_;
  const bool compat_;

  std::set<size_t> left_alone_;           // Bodies of composites that stay.
  std::map<size_t, const Rule*> bodies_;  // Of quantized ones (kCorrect).
  std::map<size_t, int> callers_;         // Operators that run a subgraph.
  std::set<size_t> control_flow_;         // Bodies of other operators.
  bool quantized_ = false;  // The operator under treatment, so far.
  Problems problems_;
  Grids grids_;
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
