// Shape rules of StableHLO operators with windows and slices, and of the
// format's own REDUCE_WINDOW.

#include <algorithm>

#include "src/graph/shape_rule.h"

namespace lathe::graph {
namespace {

// A list of one number for each axis, or none at all.
Result<std::vector<int64_t>> PerAxis(const RuleCall& call,
                                     std::string_view field, size_t rank,
                                     int64_t otherwise) {
  std::vector<int64_t> values = call.op.options.Ints(field);
  if (values.empty()) values.assign(rank, otherwise);
  if (values.size() != rank) {
    return Invalid("{} has {} values; allowed: {}", field, values.size(), rank);
  }
  for (const int64_t value : values) {
    if (value < INT32_MIN || value > INT32_MAX) {
      return Invalid("{} has {}; allowed: 32-bit numbers", field, value);
    }
  }
  return values;
}

Status RequireAtLeast(std::string_view name, int64_t least,
                      const std::vector<int64_t>& values) {
  for (const int64_t value : values) {
    if (value < least || value > INT32_MAX) {
      return Invalid("{} has {}; allowed: {} to {}", name, value, least,
                     INT32_MAX);
    }
  }
  return {};
}

// The value to start or to fill with.
Status RequireOne(const RuleCall& call, size_t input) {
  if (ElementCount(call.ShapeOf(input)) == 1 &&
      call.In(input).type == call.In(0).type) {
    return {};
  }
  return Invalid("input {} is {}{}; it must be one {}", input,
                 Name(call.In(input).type), ToString(call.ShapeOf(input)),
                 Name(call.In(0).type));
}

// How many windows fit.
int64_t Windows(int64_t in, int64_t window, int64_t stride, int64_t dilation) {
  const int64_t covered = (window - 1) * dilation + 1;
  return covered > in ? 0 : (in - covered) / stride + 1;
}

int64_t Dilated(int64_t size, int64_t dilation) {
  return size == 0 ? 0 : (size - 1) * dilation + 1;
}

Status StablehloReduceWindow(RuleCall& call) {
  const Shape& x = call.ShapeOf(0);
  const size_t rank = x.size();
  LATHE_TRY(RequireOne(call, 1));
  LATHE_ASSIGN(const auto window, PerAxis(call, "window_dimensions", rank, 0));
  LATHE_ASSIGN(const auto stride, PerAxis(call, "window_strides", rank, 1));
  LATHE_ASSIGN(const auto base, PerAxis(call, "base_dilations", rank, 1));
  LATHE_ASSIGN(const auto dilation, PerAxis(call, "window_dilations", rank, 1));
  LATHE_ASSIGN(const auto padding, PerAxis(call, "padding", 2 * rank, 0));
  LATHE_TRY(RequireAtLeast("window_dimensions", 1, window));
  LATHE_TRY(RequireAtLeast("window_strides", 1, stride));
  LATHE_TRY(RequireAtLeast("base_dilations", 1, base));
  LATHE_TRY(RequireAtLeast("window_dilations", 1, dilation));
  Dims out(rank);
  for (size_t i = 0; i < rank; ++i) {
    const int64_t padded =
        Dilated(x[i], base[i]) + padding[2 * i] + padding[2 * i + 1];
    if (padded < 0) {
      return Invalid("padding {} and {} leave nothing of axis {} of {}",
                     padding[2 * i], padding[2 * i + 1], i, ToString(x));
    }
    out[i] = Windows(padded, window[i], stride[i], dilation[i]);
  }
  return call.Give(0, call.In(0).type, out);
}

// x, initial value, window, strides, dilations.
Status ReduceWindow(RuleCall& call) {
  const Shape& x = call.ShapeOf(0);
  LATHE_TRY(RequireOne(call, 1));
  LATHE_ASSIGN(const auto window, call.Values(2));
  LATHE_ASSIGN(const auto stride, call.Values(3));
  LATHE_ASSIGN(const auto dilation, call.Values(4));
  if (window.size() != x.size() || stride.size() != x.size() ||
      dilation.size() != x.size()) {
    return Invalid("{} window sizes, {} strides, {} dilations for input {}",
                   window.size(), stride.size(), dilation.size(), ToString(x));
  }
  LATHE_TRY(RequireAtLeast("the window", 1, window));
  LATHE_TRY(RequireAtLeast("the strides", 1, stride));
  LATHE_TRY(RequireAtLeast("the dilations", 1, dilation));
  Dims out(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    out[i] = Windows(x[i], window[i], stride[i], dilation[i]);
  }
  return call.Give(0, call.In(0).type, out);
}

Status StablehloPad(RuleCall& call) {
  const Shape& x = call.ShapeOf(0);
  LATHE_TRY(RequireOne(call, 1));
  LATHE_ASSIGN(const auto low, PerAxis(call, "edge_padding_low", x.size(), 0));
  LATHE_ASSIGN(const auto high,
               PerAxis(call, "edge_padding_high", x.size(), 0));
  LATHE_ASSIGN(const auto interior,
               PerAxis(call, "interior_padding", x.size(), 0));
  LATHE_TRY(RequireAtLeast("interior_padding", 0, interior));
  Dims out(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    out[i] = Dilated(x[i], interior[i] + 1) + low[i] + high[i];
  }
  return call.Give(0, call.In(0).type, out);
}

// Axes in [0, rank), each once, in rising order.
Status RequireAxes(std::string_view name, const std::vector<int64_t>& axes,
                   size_t rank) {
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] < 0 || axes[i] >= static_cast<int64_t>(rank) ||
        (i > 0 && axes[i] <= axes[i - 1])) {
      return Invalid("{} holds axis {}; allowed: rising from 0 to {}", name,
                     axes[i], static_cast<int64_t>(rank) - 1);
    }
  }
  return {};
}

bool Contains(const std::vector<int64_t>& axes, int64_t axis) {
  return std::ranges::find(axes, axis) != axes.end();
}

// The dims of the indices without the axis of the index vectors, which may be
// one behind the last; checks the axes that the vectors' components are for.
Result<Dims> BatchDims(const RuleCall& call, std::string_view map_name) {
  const Shape& indices = call.ShapeOf(1);
  LATHE_TRY(call.RequireType(1, {Type::kInt32, Type::kInt64}));
  const int64_t vectors = call.op.options.Int("index_vector_dim");
  const auto rank = static_cast<int64_t>(indices.size());
  if (vectors < 0 || vectors > rank) {
    return Invalid("index_vector_dim {}; allowed: 0 to {}", vectors, rank);
  }
  const std::vector<int64_t> map = call.op.options.Ints(map_name);
  const int64_t components = vectors < rank ? indices[vectors] : 1;
  if (static_cast<int64_t>(map.size()) != components) {
    return Invalid("{} has {} axes for index vectors of {}", map_name,
                   map.size(), components);
  }
  for (size_t i = 0; i < map.size(); ++i) {
    if (map[i] < 0 || map[i] >= static_cast<int64_t>(call.ShapeOf(0).size()) ||
        std::count(map.begin(), map.end(), map[i]) > 1) {
      return Invalid("{} holds axis {}; allowed: each of input {} once",
                     map_name, map[i], ToString(call.ShapeOf(0)));
    }
  }
  Dims batch(indices.begin(), indices.end());
  if (vectors < rank) batch.erase(batch.begin() + vectors);
  return batch;
}

Status StablehloGather(RuleCall& call) {
  const Shape& x = call.ShapeOf(0);
  const Options& options = call.op.options;
  const std::vector<int64_t> offset = options.Ints("offset_dims");
  const std::vector<int64_t> collapsed = options.Ints("collapsed_slice_dims");
  const std::vector<int64_t> sizes = options.Ints("slice_sizes");
  LATHE_ASSIGN(const Dims batch, BatchDims(call, "start_index_map"));
  LATHE_TRY(RequireAxes("collapsed_slice_dims", collapsed, x.size()));
  if (sizes.size() != x.size()) {
    return Invalid("{} slice sizes for input {}", sizes.size(), ToString(x));
  }
  Dims kept;
  for (size_t i = 0; i < x.size(); ++i) {
    if (sizes[i] < 0 || sizes[i] > x[i]) {
      return Invalid("slice size {} along axis {} of {}", sizes[i], i,
                     ToString(x));
    }
    if (!Contains(collapsed, static_cast<int64_t>(i))) {
      kept.push_back(sizes[i]);
    } else if (sizes[i] != 1) {
      return Invalid("slice size {} along axis {}, which is dropped", sizes[i],
                     i);
    }
  }
  if (kept.size() != offset.size()) {
    return Invalid("{} offset_dims for slices of {} axes", offset.size(),
                   kept.size());
  }
  const size_t rank = batch.size() + offset.size();
  LATHE_TRY(RequireAxes("offset_dims", offset, rank));
  Dims out;
  size_t next_kept = 0, next_batch = 0;
  for (size_t i = 0; i < rank; ++i) {
    out.push_back(Contains(offset, static_cast<int64_t>(i))
                      ? kept[next_kept++]
                      : batch[next_batch++]);
  }
  return call.Give(0, call.In(0).type, out);
}

// input, indices, updates.
Status StablehloScatter(RuleCall& call) {
  const Shape& x = call.ShapeOf(0);
  const Shape& updates = call.ShapeOf(2);
  const Options& options = call.op.options;
  const std::vector<int64_t> window = options.Ints("update_window_dims");
  const std::vector<int64_t> inserted = options.Ints("inserted_window_dims");
  LATHE_ASSIGN(const Dims batch,
               BatchDims(call, "scatter_dims_to_operand_dims"));
  LATHE_TRY(RequireAxes("update_window_dims", window, updates.size()));
  LATHE_TRY(RequireAxes("inserted_window_dims", inserted, x.size()));
  if (call.In(2).type != call.In(0).type) {
    return Invalid("updates are {}, the input is {}", Name(call.In(2).type),
                   Name(call.In(0).type));
  }
  if (window.size() + inserted.size() != x.size() ||
      batch.size() + window.size() != updates.size()) {
    return Invalid("{} window and {} inserted axes for input {}, updates {}",
                   window.size(), inserted.size(), ToString(x),
                   ToString(updates));
  }
  size_t next_batch = 0, next_window = 0;
  for (size_t i = 0; i < updates.size(); ++i) {
    if (!Contains(window, static_cast<int64_t>(i))) {
      if (updates[i] != batch[next_batch++]) {
        return Invalid("updates {} do not fit indices {}", ToString(updates),
                       ToString(call.ShapeOf(1)));
      }
      continue;
    }
    while (Contains(inserted, static_cast<int64_t>(next_window))) {
      ++next_window;
    }
    if (updates[i] > x[next_window++]) {
      return Invalid("updates {} do not fit into {}", ToString(updates),
                     ToString(x));
    }
  }
  return call.Give(0, call.In(0).type, x);
}

constexpr RuleRow kRules[] = {
    {OpCode::kStablehloReduceWindow, 2, 2, 1, StablehloReduceWindow},
    {OpCode::kReduceWindow, 5, 5, 1, ReduceWindow},
    {OpCode::kStablehloPad, 2, 2, 1, StablehloPad},
    {OpCode::kStablehloGather, 2, 2, 1, StablehloGather},
    {OpCode::kStablehloScatter, 3, 3, 1, StablehloScatter},
};

}  // namespace

std::span<const RuleRow> StablehloRules() { return kRules; }

}  // namespace lathe::graph
