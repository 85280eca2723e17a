// Shape rules of operators that reduce, scan or normalise along axes.

#include <algorithm>

#include "src/graph/shape_rule.h"

namespace lathe::graph {
namespace {

Status Reduce(RuleCall& call) {
  const Shape& x = call.ShapeOf(0);
  LATHE_ASSIGN(const std::vector<int64_t> axes, call.Values(1));
  std::vector<bool> reduced(x.size(), false);
  for (const int64_t axis : axes) {
    LATHE_ASSIGN(const size_t normal, NormalAxis(axis, x.size()));
    reduced[normal] = true;
  }
  const bool keep = call.op.options.Bool("keep_dims");
  Dims out;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!reduced[i]) {
      out.push_back(x[i]);
    } else if (keep) {
      out.push_back(1);
    }
  }
  return call.Give(0, call.In(0).type, out);
}

Status ReduceBool(RuleCall& call) {
  LATHE_TRY(call.RequireType(0, {Type::kBool}));
  return Reduce(call);
}

Status ArgReduce(RuleCall& call) {
  const Shape& x = call.ShapeOf(0);
  LATHE_ASSIGN(const int64_t axis, call.Value(1));
  LATHE_ASSIGN(const size_t normal, NormalAxis(axis, x.size()));
  Shape out = x;
  out.erase(out.begin() + static_cast<std::ptrdiff_t>(normal));
  const bool wide =
      call.op.options.Int("output_type") == static_cast<int64_t>(Type::kInt64);
  return call.Give(0, wide ? Type::kInt64 : Type::kInt32, out);
}

Status TopK(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 1, kMaxRank));
  LATHE_ASSIGN(const int64_t k, call.Value(1));
  Shape out = call.ShapeOf(0);
  if (k < 0 || k > out.back()) {
    return Invalid("k is {}; allowed: 0 to {}", k, out.back());
  }
  out.back() = static_cast<int32_t>(k);
  LATHE_TRY(call.Give(0, call.In(0).type, out));
  return call.Give(1, Type::kInt32, out);
}

// The axis is checked when it is known; the shape does not depend on it.
Status Cumsum(RuleCall& call) {
  if (call.In(1).values) {
    LATHE_ASSIGN(const int64_t axis, call.Value(1));
    LATHE_TRY(NormalAxis(axis, call.ShapeOf(0).size()));
  }
  return call.Give(0, call.In(0).type, call.ShapeOf(0));
}

Status AlongLastAxis(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 1, kMaxRank));
  return call.Give(0, call.In(0).type, call.ShapeOf(0));
}

constexpr RuleRow kRules[] = {
    {OpCode::kMean, 2, 2, 1, Reduce},
    {OpCode::kSum, 2, 2, 1, Reduce},
    {OpCode::kReduceMax, 2, 2, 1, Reduce},
    {OpCode::kReduceMin, 2, 2, 1, Reduce},
    {OpCode::kReduceProd, 2, 2, 1, Reduce},
    {OpCode::kReduceAny, 2, 2, 1, ReduceBool},
    {OpCode::kReduceAll, 2, 2, 1, ReduceBool},
    {OpCode::kArgMax, 2, 2, 1, ArgReduce},
    {OpCode::kArgMin, 2, 2, 1, ArgReduce},
    {OpCode::kTopkV2, 2, 2, 2, TopK},
    {OpCode::kCumsum, 2, 2, 1, Cumsum},
    {OpCode::kSoftmax, 1, 1, 1, AlongLastAxis},
    {OpCode::kLogSoftmax, 1, 1, 1, AlongLastAxis},
    {OpCode::kL2Normalization, 1, 1, 1, AlongLastAxis},
    {OpCode::kLocalResponseNormalization, 1, 1, 1, AlongLastAxis},
};

}  // namespace

std::span<const RuleRow> ReductionRules() { return kRules; }

}  // namespace lathe::graph
