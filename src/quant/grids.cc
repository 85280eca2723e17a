#include "src/quant/grids.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "src/quant/policy.h"

namespace lathe::quant {
namespace {

using graph::Tensor;

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

GridPtr GridOfRange(const Range& range, int bits, bool symmetric,
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

GridPtr WithPlainData(const Grid& grid, const Source& source, bool single) {
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

// The range that the integers span.
Range RangeOfGrid(const Grid& grid) {
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

}  // namespace

Grids::Grids(const graph::Graph& graph, const Statistics* statistics,
             const AssignOptions& options, Problems& problems)
    : graph_(graph),
      statistics_(statistics),
      options_(options),
      compat_(options.behaviour == Behaviour::kCompat),
      problems_(problems) {
  if (statistics == nullptr) return;
  for (const auto& [name, known] : statistics->of) {
    if (known.has_range()) ranges_[name] = {known.min, known.max, known.rank};
  }
}

bool Grids::StaysFloat(const Site& site, int32_t input) const {
  return !compat_ && site.target == Target::kBatchMatmul && input == 0 &&
         site.config().IsDynamic();
}

void Grids::CopyRange(const std::string& from, const std::string& to) {
  const auto known = ranges_.find(from);
  if (known != ranges_.end()) ranges_[to] = known->second;
}

Result<GridPtr> Grids::For(const Site& site, int32_t t, int32_t input) {
  const Tensor& tensor = site.TensorAt(t);
  if (site.IsConstant(tensor)) {
    if (HasWeights(site.target)) {
      if (StaysFloat(site, input)) return GridPtr();
      return OfWeight(site, tensor, *site.config().weight, input);
    }
    if (!site.config().activation) return GridPtr();
    return OfConstant(site, tensor, *site.config().activation);
  }
  if (!site.config().activation) return GridPtr();
  return OfRange(site, tensor, *site.config().activation);
}

Result<GridPtr> Grids::AsOutput(const Site& site, int32_t t,
                                const GridPtr& output) {
  const Tensor& tensor = site.TensorAt(t);
  if (output == nullptr || !site.IsConstant(tensor)) return output;
  if (!CanRead(site, tensor)) return GridPtr();
  return WithPlainData(*output, SourceOf(tensor), output->single);
}

Result<GridPtr> Grids::OfFixedOutput(const Site& site, int32_t t) {
  const Tensor& tensor = site.TensorAt(t);
  const int64_t bits = site.config().activation->bits;
  if (bits != 8 && bits != 16) {
    problems_.Add(site, &tensor, fmt::format("outputs of {} bits", bits));
    return GridPtr();
  }
  if (compat_ && !ranges_.contains(tensor.name)) {
    problems_.Add(site, &tensor, "the statistics have no range of it");
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

Result<GridPtr> Grids::OfBias(const Site& site, const Tensor& bias,
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
    problems_.Add(site, &bias,
                  fmt::format("{} values for {} scales of the weight", count,
                              plain.scale.size()));
    return GridPtr();
  }
  if (!compat_) {
    LATHE_ASSIGN(const Floats floats, Floats::Of(encoding->source));
    if (!std::ranges::all_of(floats.values(),
                             [](float x) { return std::isfinite(x); })) {
      problems_.Add(site, &bias, "it holds NaN or infinite values");
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

Result<GridPtr> Grids::OfWeight(const Site& site, const Tensor& tensor,
                                const TensorConfig& config, int32_t input) {
  const Algorithm algorithm = site.rule->algorithm;
  constexpr int64_t kMostBits = 64;
  if (config.bits < 1 || config.bits > kMostBits) {
    problems_.Add(site, &tensor,
                  fmt::format("weights of {} bits", config.bits));
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
  const Tensor* activation = site.InputOf(0);
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
    problems_.Add(site, &tensor,
                  fmt::format("rank {} has no dim {} for its scales",
                              tensor.shape.size(), weights.grouping.axis));
    return GridPtr();
  }
  if (algorithm == Algorithm::kGptq &&
      (known == nullptr || !known->has_hessian())) {
    problems_.Add(site, activation,
                  "GPTQ needs a Hessian of it, and the statistics have none");
    return GridPtr();
  }
  if (algorithm == Algorithm::kOscar && !compat_ &&
      (known == nullptr || known->mu2.empty())) {
    problems_.Add(site, activation,
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
    problems_.Add(site, &tensor, params.error().message);
    return GridPtr();
  }
  encoding->params = *std::move(params);
  grids_[key] = GridOfWeights(weights, tensor, encoding);
  return grids_[key];
}

GridPtr Grids::WithoutData(const GridPtr& grid) {
  if (grid == nullptr || grid->data == nullptr) return grid;
  auto made = std::make_shared<Grid>(*grid);
  made->data = nullptr;
  return made;
}

void Grids::HandRangeOn(const Site& site, int32_t from, int32_t to,
                        const GridPtr& grid) {
  const auto known = ranges_.find(site.TensorAt(from).name);
  if (known != ranges_.end()) {
    ranges_[site.TensorAt(to).name] = known->second;
  } else if (grid != nullptr) {
    ranges_[site.TensorAt(to).name] = RangeOfGrid(*grid);
  }
}

Result<GridPtr> Grids::OfRange(const Site& site, const Tensor& tensor,
                               const TensorConfig& config) {
  const bool is_unsigned = config.element == Element::kUint;
  if (!HasWholeBytes(site, tensor, config)) return GridPtr();
  const auto found = ranges_.find(tensor.name);
  if (found == ranges_.end()) {
    problems_.Add(site, &tensor, "the statistics have no range of it");
    return GridPtr();
  }
  if (found->second.min.size() != 1) {
    problems_.Add(site, &tensor,
                  fmt::format("the statistics have {} ranges of it; allowed: 1",
                              found->second.min.size()));
    return GridPtr();
  }
  return GridOfRange(found->second, static_cast<int>(config.bits),
                     config.symmetric, is_unsigned);
}

// A rule that skips checks may say anything.
bool Grids::HasWholeBytes(const Site& site, const Tensor& tensor,
                          const TensorConfig& config) {
  if (config.bits == 8 || config.bits == 16) return true;
  problems_.Add(
      site, &tensor,
      fmt::format("activations of {} bits; allowed: 8, 16", config.bits));
  return false;
}

// A constant operand of an operator without weights: per tensor, with the
// activation config.
Result<GridPtr> Grids::OfConstant(const Site& site, const Tensor& tensor,
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
      problems_.Add(site, &tensor, params.error().message);
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
      problems_.Add(site, &tensor, "a constant that is empty or not finite");
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

Grouping Grids::GroupingOf(const Site& site, const Tensor& tensor,
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
  const Tensor* input = site.InputOf(0);
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

GridPtr Grids::GridOfWeights(const WeightConfig& weights, const Tensor& tensor,
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
std::string Grids::KeyOf(const Site& site, const Tensor& tensor,
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

Source Grids::SourceOf(const Tensor& tensor) const {
  return {graph_.BufferOf(tensor), tensor.shape, options_.in_mapping};
}

bool Grids::CanRead(const Site& site, const Tensor& tensor) {
  if (tensor.external_buffer != 0) {
    problems_.Add(site, &tensor, "it lies in another file");
    return false;
  }
  if (tensor.sparsity) {
    problems_.Add(site, &tensor, "it is stored sparse");
    return false;
  }
  if (graph::ElementCount(tensor.shape) == 0) {
    problems_.Add(site, &tensor, "it has no elements");
    return false;
  }
  if (!IsFloat(tensor)) {
    problems_.Add(site, &tensor,
                  fmt::format("type {}; allowed: float32", Name(tensor.type)));
    return false;
  }
  return true;
}

}  // namespace lathe::quant
