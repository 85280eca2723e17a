// Recognises a tensor as a range of channels of another one.

#include "src/passes/last_axis.h"

#include <algorithm>
#include <optional>

namespace lathe::passes {
namespace {

using graph::kNoTensor;
using graph::Op;
using graph::OpCode;
using graph::Shape;

// Whether a and b are equal but for the last dim.
bool SameRows(const Shape& a, const Shape& b) {
  return !a.empty() && a.size() == b.size() &&
         std::equal(a.begin(), a.end() - 1, b.begin());
}

// Where a slice of stride 1 starts along `axis`. Along the other axes nothing
// is cut, which the equal dims prove.
std::optional<int64_t> TakeSliceStart(const Matcher& matcher, Draft& draft,
                                      int32_t tensor, size_t axis,
                                      int32_t& base) {
  const Draft before = draft;
  const Op* op = draft.Take(tensor, OpCode::kSlice, 3);
  const bool strided = op == nullptr;
  if (strided) op = draft.Take(tensor, OpCode::kStridedSlice, 4);
  if (op == nullptr) return std::nullopt;
  base = op->inputs[0];
  const Shape& from = matcher.ShapeOf(base);
  const Shape& to = matcher.ShapeOf(tensor);
  const auto begin = matcher.IntsOf(op->inputs[1]);
  bool fits = begin && from.size() == to.size() && begin->size() == to.size() &&
              axis < to.size();
  for (size_t i = 0; fits && i < to.size(); ++i) {
    fits = i == axis || from[i] == to[i];
  }
  int64_t start = fits ? (*begin)[axis] : 0;
  if (strided && fits) {
    const auto steps = matcher.IntsOf(op->inputs[3]);
    fits = steps &&
           std::ranges::all_of(*steps, [](int64_t s) { return s == 1; }) &&
           op->options.Int("ellipsis_mask") == 0 &&
           op->options.Int("new_axis_mask") == 0 &&
           op->options.Int("shrink_axis_mask") == 0;
    if ((op->options.Int("begin_mask") >> axis & 1) != 0) start = 0;
    if (start < 0) start += from[axis];
  }
  if (fits && start >= 0 && start + to[axis] <= from[axis]) return start;
  draft = before;
  return std::nullopt;
}

LastAxisRange TakeSlice(const Matcher& matcher, Draft& draft, int32_t tensor) {
  const Shape& shape = matcher.ShapeOf(tensor);
  if (shape.empty()) return {};
  int32_t base = kNoTensor;
  const auto start =
      TakeSliceStart(matcher, draft, tensor, shape.size() - 1, base);
  if (!start) return {};
  return {base, static_cast<int32_t>(*start), shape.back()};
}

LastAxisRange TakeSplit(const Matcher& matcher, Draft& draft, int32_t tensor) {
  const Draft before = draft;
  const Op* op = draft.Take(tensor, OpCode::kSplit, 2);
  const bool equal = op != nullptr;
  if (!equal) op = draft.Take(tensor, OpCode::kSplitV, 3);
  if (op == nullptr) return {};
  const int32_t base = op->inputs[equal ? 1 : 0];
  const auto axis = matcher.IntsOf(op->inputs[equal ? 0 : 2]);
  const auto rank = static_cast<int64_t>(matcher.RankOf(base));
  if (axis && axis->size() == 1 &&
      ((*axis)[0] == rank - 1 || (*axis)[0] == -1) &&
      SameRows(matcher.ShapeOf(base), matcher.ShapeOf(tensor))) {
    LastAxisRange range{base, 0, matcher.ShapeOf(tensor).back()};
    for (const int32_t output : op->outputs) {
      if (output == tensor) return range;
      const Shape& shape = matcher.ShapeOf(output);
      if (shape.empty()) break;
      range.first += shape.back();
    }
  }
  draft = before;
  return {};
}

// RESHAPE to [.., parts, size], one part along the axis before the last,
// RESHAPE to [.., size].
LastAxisRange TakePart(const Matcher& matcher, Draft& draft, int32_t tensor) {
  const Draft before = draft;
  const Shape& shape = matcher.ShapeOf(tensor);
  const Op* flat = draft.Take(tensor, OpCode::kReshape);
  if (flat != nullptr && !shape.empty() && shape.back() > 0) {
    const int32_t part = flat->inputs[0];
    int32_t parts = kNoTensor;
    const auto start =
        TakeSliceStart(matcher, draft, part, shape.size() - 1, parts);
    const Op* split = start ? draft.Take(parts, OpCode::kReshape) : nullptr;
    const int32_t base = split != nullptr ? split->inputs[0] : kNoTensor;
    if (SameRows(matcher.ShapeOf(base), shape)) {
      Shape expected = shape;
      expected.insert(expected.end() - 1, 1);
      Shape whole = expected;
      whole[whole.size() - 2] = matcher.ShapeOf(base).back() / shape.back();
      if (matcher.ShapeOf(part) == expected &&
          matcher.ShapeOf(parts) == whole) {
        return {base, static_cast<int32_t>(*start) * shape.back(),
                shape.back()};
      }
    }
  }
  draft = before;
  return {};
}

}  // namespace

LastAxisRange TakeLastAxisRange(const Matcher& matcher, Draft& draft,
                                int32_t tensor) {
  for (const auto take : {TakeSlice, TakeSplit, TakePart}) {
    const LastAxisRange range = take(matcher, draft, tensor);
    if (range.base != kNoTensor) return range;
  }
  return {};
}

}  // namespace lathe::passes
