// Shape rules of operators that pick or place values by index.

#include <algorithm>

#include "src/graph/shape_rule.h"

namespace lathe::graph {
namespace {

Status RequireIndexType(const RuleCall& call, size_t i) {
  return call.RequireType(
      i, {Type::kInt32, Type::kInt64, Type::kInt16, Type::kUint8});
}

Status Gather(RuleCall& call) {
  LATHE_TRY(RequireIndexType(call, 1));
  const Shape& x = call.ShapeOf(0);
  const Shape& indices = call.ShapeOf(1);
  const Options& options = call.op.options;
  LATHE_ASSIGN(const size_t axis, NormalAxis(options.Int("axis"), x.size()));
  int64_t batch = options.Int("batch_dims");
  if (batch < 0) batch += static_cast<int64_t>(indices.size());
  if (batch < 0 || batch > static_cast<int64_t>(axis) ||
      batch > static_cast<int64_t>(indices.size())) {
    return Invalid("batch_dims {} for axis {} and indices {}",
                   options.Int("batch_dims"), axis, ToString(indices));
  }
  for (int64_t i = 0; i < batch; ++i) {
    if (x[i] != indices[i]) {
      return Invalid("values {} and indices {} differ in a batch dim",
                     ToString(x), ToString(indices));
    }
  }
  const auto at = static_cast<std::ptrdiff_t>(axis);
  Dims out(x.begin(), x.begin() + at);
  out.insert(out.end(), indices.begin() + batch, indices.end());
  out.insert(out.end(), x.begin() + at + 1, x.end());
  return call.Give(0, call.In(0).type, out);
}

Status GatherNd(RuleCall& call) {
  LATHE_TRY(RequireIndexType(call, 1));
  LATHE_TRY(call.RequireRank(1, 1, kMaxRank));
  const Shape& x = call.ShapeOf(0);
  const Shape& indices = call.ShapeOf(1);
  const int32_t depth = indices.back();
  if (static_cast<size_t>(depth) > x.size()) {
    return Invalid("indices of {} numbers into values {}", depth, ToString(x));
  }
  Dims out(indices.begin(), indices.end() - 1);
  out.insert(out.end(), x.begin() + depth, x.end());
  return call.Give(0, call.In(0).type, out);
}

// The table may hold narrow integers; the output is then float.
Status EmbeddingLookup(RuleCall& call) {
  LATHE_TRY(call.RequireType(0, {Type::kInt32}));
  LATHE_TRY(call.RequireRank(0, 1, 1));
  LATHE_TRY(call.RequireRank(1, 2, kMaxRank));
  const Shape& table = call.ShapeOf(1);
  Dims out = {call.ShapeOf(0)[0]};
  out.insert(out.end(), table.begin() + 1, table.end());
  return call.Give(0, Type::kFloat32, out);
}

// ids, the indices of their buckets, the buckets' shape, weights, table.
Status EmbeddingLookupSparse(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 1, 1));
  LATHE_TRY(call.RequireRank(1, 2, 2));
  LATHE_TRY(call.RequireRank(3, 1, 1));
  LATHE_TRY(call.RequireRank(4, 2, kMaxRank));
  LATHE_ASSIGN(Dims out, call.Values(2));
  const int32_t ids = call.ShapeOf(0)[0];
  const Shape& indices = call.ShapeOf(1);
  if (indices[0] != ids || call.ShapeOf(3)[0] != ids || out.empty() ||
      static_cast<size_t>(indices[1]) != out.size()) {
    return Invalid("{} ids, indices {}, a shape of {} dims, {} weights", ids,
                   ToString(indices), out.size(), call.ShapeOf(3)[0]);
  }
  // The last dim of the buckets is combined.
  out.pop_back();
  const Shape& table = call.ShapeOf(4);
  out.insert(out.end(), table.begin() + 1, table.end());
  return call.Give(0, Type::kFloat32, out);
}

Status DynamicUpdateSlice(RuleCall& call) {
  const Shape& x = call.ShapeOf(0);
  const Shape& update = call.ShapeOf(1);
  if (call.In(0).type != call.In(1).type) {
    return Invalid("operand is {}, update {}", Name(call.In(0).type),
                   Name(call.In(1).type));
  }
  bool fits =
      update.size() == x.size() && ElementCount(call.ShapeOf(2)) == x.size();
  for (size_t i = 0; fits && i < x.size(); ++i) fits = update[i] <= x[i];
  if (!fits) {
    return Invalid("update {} at {} starts does not fit into {}",
                   ToString(update), ElementCount(call.ShapeOf(2)),
                   ToString(x));
  }
  return call.Give(0, call.In(0).type, x);
}

Status OneHot(RuleCall& call) {
  LATHE_ASSIGN(const int64_t depth, call.Value(1));
  Dims out(call.ShapeOf(0).begin(), call.ShapeOf(0).end());
  LATHE_ASSIGN(const size_t axis,
               NormalAxis(call.op.options.Int("axis"), out.size() + 1));
  out.insert(out.begin() + static_cast<std::ptrdiff_t>(axis), depth);
  return call.Give(0, call.In(2).type, out);
}

Status ScatterNd(RuleCall& call) {
  LATHE_TRY(RequireIndexType(call, 0));
  LATHE_TRY(call.RequireRank(0, 1, kMaxRank));
  LATHE_ASSIGN(const Dims out, call.Values(2));
  const Shape& indices = call.ShapeOf(0);
  const int32_t depth = indices.back();
  if (static_cast<size_t>(depth) > out.size()) {
    return Invalid("indices of {} numbers into {} dims", depth, out.size());
  }
  Dims updates(indices.begin(), indices.end() - 1);
  updates.insert(updates.end(), out.begin() + depth, out.end());
  if (!std::ranges::equal(updates, call.ShapeOf(1))) {
    return Invalid("updates have shape {}, which does not fit indices {}",
                   ToString(call.ShapeOf(1)), ToString(indices));
  }
  return call.Give(0, call.In(1).type, out);
}

Status SparseToDense(RuleCall& call) {
  LATHE_ASSIGN(const Dims out, call.Values(1));
  return call.Give(0, call.In(2).type, out);
}

Status SegmentSum(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 1, kMaxRank));
  LATHE_ASSIGN(const std::vector<int64_t> ids, call.Values(1));
  Dims out(call.ShapeOf(0).begin(), call.ShapeOf(0).end());
  if (static_cast<int64_t>(ids.size()) != out[0]) {
    return Invalid("{} segment ids for input {}", ids.size(),
                   ToString(call.ShapeOf(0)));
  }
  if (!std::ranges::is_sorted(ids) || (!ids.empty() && ids[0] < 0)) {
    return Invalid("the segment ids must ascend from 0");
  }
  out[0] = ids.empty() ? 0 : ids.back() + 1;
  return call.Give(0, call.In(0).type, out);
}

Status UnsortedSegment(RuleCall& call) {
  const Shape& x = call.ShapeOf(0);
  const Shape& ids = call.ShapeOf(1);
  LATHE_ASSIGN(const int64_t segments, call.Value(2));
  if (ids.size() > x.size() || !std::equal(ids.begin(), ids.end(), x.begin())) {
    return Invalid("segment ids {} for input {}", ToString(ids), ToString(x));
  }
  Dims out = {segments};
  out.insert(out.end(), x.begin() + static_cast<std::ptrdiff_t>(ids.size()),
             x.end());
  return call.Give(0, call.In(0).type, out);
}

// boxes, scores, most boxes, and thresholds.
Status NonMaxSuppression(RuleCall& call) {
  const bool with_scores = call.op.code == OpCode::kNonMaxSuppressionV5;
  LATHE_ASSIGN(const int64_t most, call.Value(2));
  LATHE_TRY(call.Give(0, Type::kInt32, Dims{most}));
  if (with_scores) LATHE_TRY(call.Give(1, Type::kFloat32, Dims{most}));
  return call.Give(with_scores ? 2 : 1, Type::kInt32, Dims{});
}

constexpr RuleRow kRules[] = {
    {OpCode::kGather, 2, 2, 1, Gather},
    {OpCode::kGatherNd, 2, 2, 1, GatherNd},
    {OpCode::kEmbeddingLookup, 2, 2, 1, EmbeddingLookup},
    {OpCode::kEmbeddingLookupSparse, 5, 5, 1, EmbeddingLookupSparse},
    {OpCode::kWhere, 1, 1, 1, Where},
    {OpCode::kUnique, 1, 1, 2, Unique},
    {OpCode::kDynamicUpdateSlice, 3, 3, 1, DynamicUpdateSlice},
    {OpCode::kOneHot, 4, 4, 1, OneHot},
    {OpCode::kScatterNd, 3, 3, 1, ScatterNd},
    {OpCode::kSparseToDense, 4, 4, 1, SparseToDense},
    {OpCode::kSegmentSum, 2, 2, 1, SegmentSum},
    {OpCode::kUnsortedSegmentSum, 3, 3, 1, UnsortedSegment},
    {OpCode::kUnsortedSegmentProd, 3, 3, 1, UnsortedSegment},
    {OpCode::kUnsortedSegmentMax, 3, 3, 1, UnsortedSegment},
    {OpCode::kUnsortedSegmentMin, 3, 3, 1, UnsortedSegment},
    {OpCode::kNonMaxSuppressionV4, 5, 5, 2, NonMaxSuppression},
    {OpCode::kNonMaxSuppressionV5, 6, 6, 3, NonMaxSuppression},
};

}  // namespace

std::span<const RuleRow> IndexingRules() { return kRules; }

}  // namespace lathe::graph
