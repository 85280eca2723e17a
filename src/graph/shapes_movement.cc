// Shape rules of operators that only move, cut, join or repeat values.

#include <algorithm>

#include "src/graph/shape_rule.h"

namespace lathe::graph {
namespace {

Dims DimsOf(const Shape& shape) { return {shape.begin(), shape.end()}; }

// What RESHAPE is asked for: the tensor when it is a list, else the option.
Result<Dims> AskedShape(const RuleCall& call) {
  if (call.Has(1) && call.ShapeOf(1).size() == 1) return call.Values(1);
  Dims asked = call.op.options.Ints("new_shape");
  // Old files write a scalar so.
  if (asked == Dims{0}) asked.clear();
  if (asked.empty() && call.Has(1) && call.In(1).values &&
      call.In(1).values->size() == 1) {
    return call.Values(1);
  }
  return asked;
}

Status Reshape(RuleCall& call) {
  LATHE_ASSIGN(Dims out, AskedShape(call));
  const auto count = static_cast<int64_t>(ElementCount(call.ShapeOf(0)));
  int64_t known = 1;
  int64_t* open = nullptr;
  for (int64_t& dim : out) {
    if (dim == -1) {
      if (open != nullptr) return Invalid("more than one dim of -1");
      open = &dim;
    } else if (dim < 0 || dim > INT32_MAX ||
               __builtin_mul_overflow(known, dim, &known)) {
      return Invalid("dim {} in the new shape", dim);
    }
  }
  if (open != nullptr) {
    if (known == 0 ? count != 0 : count % known != 0) {
      return Invalid("{} values do not split into rows of {}", count, known);
    }
    *open = known == 0 ? 0 : count / known;
    known = count;
  }
  if (known != count) {
    return Invalid("input of shape {} has {} values, the new shape {}",
                   ToString(call.ShapeOf(0)), count, known);
  }
  return call.Give(0, call.In(0).type, out);
}

Status Transpose(RuleCall& call) {
  const Shape& x = call.ShapeOf(0);
  LATHE_ASSIGN(const std::vector<int64_t> order, call.Values(1));
  if (order.size() != x.size()) {
    return Invalid("a permutation of {} axes for input {}", order.size(),
                   ToString(x));
  }
  std::vector<bool> taken(x.size(), false);
  Shape out(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    LATHE_ASSIGN(const size_t axis, NormalAxis(order[i], x.size()));
    if (taken[axis]) return Invalid("axis {} stands twice", axis);
    taken[axis] = true;
    out[i] = x[axis];
  }
  return call.Give(0, call.In(0).type, out);
}

Status Concatenation(RuleCall& call) {
  Dims out = DimsOf(call.ShapeOf(0));
  LATHE_ASSIGN(const size_t axis,
               NormalAxis(call.op.options.Int("axis"), out.size()));
  for (size_t i = 1; i < call.inputs.size(); ++i) {
    if (!call.Has(i)) return Invalid("input {} is left out", i);
    const Shape& x = call.ShapeOf(i);
    if (call.In(i).type != call.In(0).type) {
      return Invalid("input {} is {}, input 0 is {}", i, Name(call.In(i).type),
                     Name(call.In(0).type));
    }
    bool fits = x.size() == out.size();
    for (size_t d = 0; fits && d < x.size(); ++d) {
      fits = d == axis || x[d] == out[d];
    }
    if (!fits) {
      return Invalid("input {} of shape {} does not join {} along axis {}", i,
                     ToString(x), ToString(call.ShapeOf(0)), axis);
    }
    out[axis] += x[axis];
  }
  return call.Give(0, call.In(0).type, out);
}

Status Split(RuleCall& call) {
  LATHE_ASSIGN(const int64_t asked_axis, call.Value(0));
  Shape out = call.ShapeOf(1);
  LATHE_ASSIGN(const size_t axis, NormalAxis(asked_axis, out.size()));
  const size_t parts = call.op.outputs.size();
  const int64_t asked = call.op.options.Int("num_splits");
  if (parts == 0 || asked != static_cast<int64_t>(parts) ||
      out[axis] % static_cast<int64_t>(parts) != 0) {
    return Invalid("num_splits {}, {} outputs, {} along axis {}", asked, parts,
                   out[axis], axis);
  }
  out[axis] /= static_cast<int32_t>(parts);
  for (size_t i = 0; i < parts; ++i) {
    LATHE_TRY(call.Give(i, call.In(1).type, out));
  }
  return {};
}

Status SplitV(RuleCall& call) {
  LATHE_ASSIGN(std::vector<int64_t> sizes, call.Values(1));
  LATHE_ASSIGN(const int64_t asked_axis, call.Value(2));
  Dims out = DimsOf(call.ShapeOf(0));
  LATHE_ASSIGN(const size_t axis, NormalAxis(asked_axis, out.size()));
  if (sizes.size() != call.op.outputs.size()) {
    return Invalid("{} sizes for {} outputs", sizes.size(),
                   call.op.outputs.size());
  }
  const int64_t whole = out[axis];
  int64_t sum = 0;
  int64_t* open = nullptr;
  for (int64_t& size : sizes) {
    if (size == -1 && open == nullptr) {
      open = &size;
    } else if (size < 0 || size > whole) {
      return Invalid("size {} along an axis of {}", size, whole);
    } else {
      sum += size;
    }
  }
  if (open != nullptr && sum <= whole) {
    *open = whole - sum;
    sum = whole;
  }
  if (sum != whole) {
    return Invalid("sizes add up to {} along an axis of {}", sum, whole);
  }
  for (size_t i = 0; i < sizes.size(); ++i) {
    out[axis] = sizes[i];
    LATHE_TRY(call.Give(i, call.In(0).type, out));
  }
  return {};
}

Status Pack(RuleCall& call) {
  const Options& options = call.op.options;
  const auto count = static_cast<int64_t>(call.inputs.size());
  if (options.Int("values_count") != count) {
    return Invalid("values_count {} for {} inputs", options.Int("values_count"),
                   count);
  }
  Dims out = DimsOf(call.ShapeOf(0));
  LATHE_ASSIGN(const size_t axis,
               NormalAxis(options.Int("axis"), out.size() + 1));
  for (size_t i = 1; i < call.inputs.size(); ++i) {
    if (!call.Has(i)) return Invalid("input {} is left out", i);
    if (call.ShapeOf(i) != call.ShapeOf(0) ||
        call.In(i).type != call.In(0).type) {
      return Invalid("input {} is {}{}, input 0 is {}{}", i,
                     Name(call.In(i).type), ToString(call.ShapeOf(i)),
                     Name(call.In(0).type), ToString(call.ShapeOf(0)));
    }
  }
  out.insert(out.begin() + static_cast<std::ptrdiff_t>(axis), count);
  return call.Give(0, call.In(0).type, out);
}

Status Unpack(RuleCall& call) {
  const Options& options = call.op.options;
  Shape out = call.ShapeOf(0);
  LATHE_ASSIGN(const size_t axis, NormalAxis(options.Int("axis"), out.size()));
  const auto count = static_cast<int64_t>(call.op.outputs.size());
  if (options.Int("num") != count || out[axis] != count) {
    return Invalid("num {}, {} outputs, {} along axis {}", options.Int("num"),
                   count, out[axis], axis);
  }
  out.erase(out.begin() + static_cast<std::ptrdiff_t>(axis));
  for (size_t i = 0; i < call.op.outputs.size(); ++i) {
    LATHE_TRY(call.Give(i, call.In(0).type, out));
  }
  return {};
}

// With begins that are only known at run time the sizes alone give the shape,
// if none is "to the end".
Status Slice(RuleCall& call) {
  LATHE_ASSIGN(const std::vector<int64_t> size, call.Values(2));
  const Shape& x = call.ShapeOf(0);
  const bool open = std::ranges::find(size, -1) != size.end();
  std::vector<int64_t> begin(ElementCount(call.ShapeOf(1)), 0);
  const bool known = call.In(1).values || call.more.input_bytes.size() > 1;
  if (open || known || !IsInteger(call.In(1).type)) {
    LATHE_ASSIGN(begin, call.Values(1));
  }
  if (begin.size() != x.size() || size.size() != x.size()) {
    return Invalid("{} begins and {} sizes for input {}", begin.size(),
                   size.size(), ToString(x));
  }
  Dims out(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const bool begin_fits = begin[i] >= 0 && begin[i] <= x[i];
    out[i] = size[i] == -1 && begin_fits ? x[i] - begin[i] : size[i];
    if (!begin_fits || out[i] < 0 || out[i] > x[i] - begin[i]) {
      return Invalid("begin {} and size {} along axis {} of input {}", begin[i],
                     size[i], i, ToString(x));
    }
  }
  return call.Give(0, call.In(0).type, out);
}

Status StridedSlice(RuleCall& call) {
  LATHE_ASSIGN(const std::vector<int64_t> strides, call.Values(3));
  const Options& options = call.op.options;
  const bool known = call.In(1).values || call.more.input_bytes.size() > 1;
  std::vector<int64_t> begin, end;
  if (!known && TakesNoBounds(options, strides.size())) {
    // Any index in range gives the same shape.
    begin.assign(ElementCount(call.ShapeOf(1)), 0);
    end.assign(ElementCount(call.ShapeOf(2)), 0);
    const bool shrinks = options.Int("shrink_axis_mask") != 0;
    if (shrinks && ElementCount(call.ShapeOf(0)) == 0) {
      LATHE_ASSIGN(begin, call.Values(1));  // No index may be in range.
    }
  } else {
    LATHE_ASSIGN(begin, call.Values(1));
    LATHE_ASSIGN(end, call.Values(2));
  }
  LATHE_ASSIGN(
      const std::vector<SliceAxis> axes,
      StridedSliceAxes(call.op.options, call.ShapeOf(0), begin, end, strides));
  Dims out;
  for (const SliceAxis& axis : axes) {
    if (!axis.shrink) out.push_back(axis.count);
  }
  return call.Give(0, call.In(0).type, out);
}

Status ExpandDims(RuleCall& call) {
  LATHE_ASSIGN(const int64_t asked, call.Value(1));
  Dims out = DimsOf(call.ShapeOf(0));
  LATHE_ASSIGN(const size_t axis, NormalAxis(asked, out.size() + 1));
  out.insert(out.begin() + static_cast<std::ptrdiff_t>(axis), 1);
  return call.Give(0, call.In(0).type, out);
}

Status Squeeze(RuleCall& call) {
  const Shape& x = call.ShapeOf(0);
  const std::vector<int64_t> asked = call.op.options.Ints("squeeze_dims");
  std::vector<bool> dropped(x.size(), false);
  for (const int64_t axis : asked) {
    LATHE_ASSIGN(const size_t normal, NormalAxis(axis, x.size()));
    if (x[normal] != 1) {
      return Invalid("axis {} of {} is not 1", normal, ToString(x));
    }
    dropped[normal] = true;
  }
  Shape out;
  for (size_t i = 0; i < x.size(); ++i) {
    const bool drop = asked.empty() ? x[i] == 1 : dropped[i];
    if (!drop) out.push_back(x[i]);
  }
  return call.Give(0, call.In(0).type, out);
}

// Checks paddings of [rank, 2]; `most` bounds them for an axis of this size.
Status PadBy(RuleCall& call, int64_t (*most)(int64_t size)) {
  LATHE_ASSIGN(const std::vector<int64_t> pads, call.Values(1));
  Dims out = DimsOf(call.ShapeOf(0));
  if (pads.size() != 2 * out.size()) {
    return Invalid("{} paddings for input {}; two for each axis are needed",
                   pads.size(), ToString(call.ShapeOf(0)));
  }
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t before = pads[2 * i], after = pads[2 * i + 1];
    const int64_t limit = most(out[i]);
    if (before < 0 || after < 0 || before > limit || after > limit) {
      return Invalid("paddings {} and {} along axis {} of {}; allowed: 0 to {}",
                     before, after, i, ToString(call.ShapeOf(0)), limit);
    }
    out[i] += before + after;
  }
  return call.Give(0, call.In(0).type, out);
}

Status Pad(RuleCall& call) {
  return PadBy(call, [](int64_t) -> int64_t { return INT32_MAX; });
}

Status MirrorPad(RuleCall& call) {
  const bool symmetric = call.op.options.Int("mode") == 1;
  return symmetric ? PadBy(call, [](int64_t size) { return size; })
                   : PadBy(call, [](int64_t size) {
                       return size == 0 ? 0 : size - 1;
                     });
}

Status Tile(RuleCall& call) {
  LATHE_ASSIGN(const std::vector<int64_t> times, call.Values(1));
  Dims out = DimsOf(call.ShapeOf(0));
  if (times.size() != out.size()) {
    return Invalid("{} multiples for input {}", times.size(),
                   ToString(call.ShapeOf(0)));
  }
  for (size_t i = 0; i < out.size(); ++i) {
    if (times[i] < 0 || times[i] > INT32_MAX) {
      return Invalid("multiple {}", times[i]);
    }
    out[i] *= times[i];
  }
  return call.Give(0, call.In(0).type, out);
}

Status BroadcastTo(RuleCall& call) {
  LATHE_ASSIGN(const Dims asked, call.Values(1));
  LATHE_TRY(call.Give(0, call.In(0).type, asked));
  LATHE_ASSIGN(const Shape shape,
               Broadcast(call.ShapeOf(0), call.outputs[0].shape));
  if (shape != call.outputs[0].shape) {
    return Invalid("input of shape {} does not broadcast to {}",
                   ToString(call.ShapeOf(0)), ToString(call.outputs[0].shape));
  }
  return {};
}

Status ReverseV2(RuleCall& call) {
  const Shape& x = call.ShapeOf(0);
  if (call.In(1).values) {
    for (const int64_t axis : *call.In(1).values) {
      LATHE_TRY(NormalAxis(axis, x.size()));
    }
  }
  return call.Give(0, call.In(0).type, x);
}

Status ReverseSequence(RuleCall& call) {
  const Shape& x = call.ShapeOf(0);
  LATHE_ASSIGN(const size_t along,
               NormalAxis(call.op.options.Int("seq_dim"), x.size()));
  LATHE_ASSIGN(const size_t batch,
               NormalAxis(call.op.options.Int("batch_dim"), x.size()));
  if (along == batch ||
      ElementCount(call.ShapeOf(1)) != static_cast<uint64_t>(x[batch])) {
    return Invalid("seq_dim {}, batch_dim {}, lengths {} for input {}", along,
                   batch, ToString(call.ShapeOf(1)), ToString(x));
  }
  return call.Give(0, call.In(0).type, x);
}

Status Dilate(RuleCall& call) {
  LATHE_ASSIGN(const std::vector<int64_t> dilations, call.Values(1));
  Dims out = DimsOf(call.ShapeOf(0));
  if (dilations.size() != out.size()) {
    return Invalid("{} dilations for input {}", dilations.size(),
                   ToString(call.ShapeOf(0)));
  }
  for (size_t i = 0; i < out.size(); ++i) {
    if (dilations[i] < 1 || dilations[i] > INT32_MAX) {
      return Invalid("dilation {}; at least 1", dilations[i]);
    }
    if (out[i] > 0) out[i] = (out[i] - 1) * dilations[i] + 1;
  }
  return call.Give(0, call.In(0).type, out);
}

constexpr RuleRow kRules[] = {
    {OpCode::kReshape, 1, 2, 1, Reshape},
    {OpCode::kTranspose, 2, 2, 1, Transpose},
    {OpCode::kConcatenation, 1, kAnyNumber, 1, Concatenation},
    {OpCode::kSplit, 2, 2, -1, Split},
    {OpCode::kSplitV, 3, 3, -1, SplitV},
    {OpCode::kPack, 1, kAnyNumber, 1, Pack},
    {OpCode::kUnpack, 1, 1, -1, Unpack},
    {OpCode::kSlice, 3, 3, 1, Slice},
    {OpCode::kStridedSlice, 4, 4, 1, StridedSlice},
    {OpCode::kExpandDims, 2, 2, 1, ExpandDims},
    {OpCode::kSqueeze, 1, 1, 1, Squeeze},
    {OpCode::kPad, 2, 2, 1, Pad},
    {OpCode::kPadv2, 3, 3, 1, Pad},
    {OpCode::kMirrorPad, 2, 2, 1, MirrorPad},
    {OpCode::kTile, 2, 2, 1, Tile},
    {OpCode::kBroadcastTo, 2, 2, 1, BroadcastTo},
    {OpCode::kReverseV2, 2, 2, 1, ReverseV2},
    {OpCode::kReverseSequence, 2, 2, 1, ReverseSequence},
    {OpCode::kDilate, 3, 3, 1, Dilate},
};

}  // namespace

bool TakesNoBounds(const Options& options, size_t n) {
  const int64_t index = options.Int("ellipsis_mask") |
                        options.Int("new_axis_mask") |
                        options.Int("shrink_axis_mask");
  const int64_t whole = options.Int("begin_mask") & options.Int("end_mask");
  for (size_t i = 0; i < n; ++i) {
    if (((index | whole) >> std::min<size_t>(i, 63) & 1) == 0) return false;
  }
  return true;
}

Result<std::vector<SliceAxis>> StridedSliceAxes(
    const Options& options, std::span<const int32_t> shape,
    std::span<const int64_t> begin, std::span<const int64_t> end,
    std::span<const int64_t> strides) {
  const size_t n = begin.size();
  if (end.size() != n || strides.size() != n || n > 31) {
    return Invalid("{} begins, {} ends, {} strides; at most 31 of each", n,
                   end.size(), strides.size());
  }
  const auto bit = [&](std::string_view mask, size_t i) {
    return ((options.Int(mask) >> i) & 1) != 0;
  };
  // Entries that take an input axis of their own.
  size_t real = 0, ellipses = 0;
  for (size_t i = 0; i < n; ++i) {
    const bool ellipsis = bit("ellipsis_mask", i);
    ellipses += ellipsis;
    real += !ellipsis && !bit("new_axis_mask", i);
  }
  if (ellipses > 1) return Invalid("more than one ellipsis");
  if (real > shape.size()) {
    return Invalid("{} slices for an input of shape {}", real, ToString(shape));
  }
  std::vector<SliceAxis> axes;
  size_t d = 0;
  const auto take_whole = [&](size_t count) {
    for (; count > 0; --count, ++d) {
      axes.push_back({SliceAxis::Kind::kTake, 0, 1, shape[d], false});
    }
  };
  for (size_t i = 0; i < n; ++i) {
    if (bit("ellipsis_mask", i)) {
      take_whole(shape.size() - real);
      continue;
    }
    if (bit("new_axis_mask", i)) {
      axes.push_back({SliceAxis::Kind::kNew, 0, 1, 1, false});
      continue;
    }
    const int64_t dim = shape[d++];
    const int64_t stride = strides[i];
    if (stride == 0 || stride > INT32_MAX || stride < INT32_MIN) {
      return Invalid("stride {}", stride);
    }
    for (const int64_t value : {begin[i], end[i]}) {
      // Keeps the sums below far from the ends of 64 bits.
      if (value > INT64_MAX / 4 || value < INT64_MIN / 4) {
        return Invalid("bound {}", value);
      }
    }
    const bool forward = stride > 0;
    const int64_t lowest = forward ? 0 : -1;
    const int64_t highest = forward ? dim : dim - 1;
    int64_t b = begin[i];
    if (bit("shrink_axis_mask", i)) {
      if (b < 0) b += dim;
      if (b < 0 || b >= dim) {
        return Invalid("index {} along an axis of {}", begin[i], dim);
      }
      axes.push_back({SliceAxis::Kind::kTake, b, 1, 1, true});
      continue;
    }
    int64_t e = options.Bool("offset") ? end[i] + b : end[i];
    if (bit("begin_mask", i)) {
      b = forward ? 0 : dim - 1;
    } else {
      b = std::clamp(b < 0 ? b + dim : b, lowest, std::max(lowest, highest));
    }
    if (bit("end_mask", i)) {
      e = forward ? dim : -1;
    } else {
      e = std::clamp(e < 0 ? e + dim : e, lowest, std::max(lowest, highest));
    }
    const int64_t distance = forward ? e - b : b - e;
    const int64_t step = forward ? stride : -stride;
    const int64_t count = distance <= 0 ? 0 : (distance + step - 1) / step;
    axes.push_back({SliceAxis::Kind::kTake, b, stride, count, false});
  }
  take_whole(shape.size() - d);
  return axes;
}

std::span<const RuleRow> MovementRules() { return kRules; }

}  // namespace lathe::graph
