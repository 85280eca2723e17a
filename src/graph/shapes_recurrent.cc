// Shape rules of recurrent operators. State inputs are variables, which keep
// their shapes.

#include <algorithm>

#include "src/graph/shape_rule.h"

namespace lathe::graph {
namespace {

// What weights of [cells, outputs] (here: their column count) make of x. One
// axis is a diagonal matrix.
Result<int64_t> Columns(const RuleCall& call, size_t input) {
  if (!call.Has(input)) return Invalid("input {} is left out", input);
  LATHE_TRY(call.RequireRank(input, 1, 2));
  return call.ShapeOf(input).back();
}

Result<int64_t> Rows(const RuleCall& call, size_t input) {
  if (!call.Has(input)) return Invalid("input {} is left out", input);
  LATHE_TRY(call.RequireRank(input, 2, 2));
  return call.ShapeOf(input)[0];
}

// x with its last axis replaced, in the type of input `like`.
Status GiveWidth(RuleCall& call, size_t output, int64_t width,
                 size_t like = 0) {
  Dims out(call.ShapeOf(0).begin(), call.ShapeOf(0).end());
  out.back() = width;
  return call.Give(output, call.In(like).type, out);
}

// Input 8 holds the recurrent weights of the output gate, [cells, outputs].
constexpr size_t kRecurrentToOutput = 8;

// The full kernel has 20 or 24 inputs; the basic one x, h, W, b, c.
Status Lstm(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 2, 2));
  if (call.op.options.Int("kernel_type") == 0) {
    if (call.op.outputs.size() != 1) {
      return Invalid("{} outputs; allowed: 1", call.op.outputs.size());
    }
    LATHE_ASSIGN(const int64_t width, Columns(call, kRecurrentToOutput));
    return GiveWidth(call, 0, width);
  }
  if (call.inputs.size() != 5 || call.op.outputs.size() != 4) {
    return Invalid("{} inputs and {} outputs; the basic kernel has 5 and 4",
                   call.inputs.size(), call.op.outputs.size());
  }
  LATHE_ASSIGN(const int64_t cells, Columns(call, 4));
  LATHE_ASSIGN(const int64_t joined, Columns(call, 2));
  // The states may be finer than x.
  constexpr size_t kState = 4;
  LATHE_TRY(GiveWidth(call, 0, cells));
  LATHE_TRY(GiveWidth(call, 1, cells, kState));
  LATHE_TRY(GiveWidth(call, 2, joined));
  return GiveWidth(call, 3, 4 * cells, kState);
}

Status SequenceLstm(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 3, 3));
  LATHE_ASSIGN(const int64_t width, Columns(call, kRecurrentToOutput));
  return GiveWidth(call, 0, width);
}

// Outputs of both directions, side by side or apart.
Status BothDirections(RuleCall& call, int64_t forward, int64_t backward) {
  const bool merged = call.op.options.Bool("merge_outputs");
  if (call.op.outputs.size() != (merged ? 1U : 2U)) {
    return Invalid("{} outputs with merge_outputs {}", call.op.outputs.size(),
                   merged);
  }
  LATHE_TRY(GiveWidth(call, 0, merged ? forward + backward : forward));
  return merged ? Status() : GiveWidth(call, 1, backward);
}

// 17 inputs per direction, starting at 1: the same place in the second half.
Status BidirectionalLstm(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 3, 3));
  LATHE_ASSIGN(const int64_t forward, Columns(call, kRecurrentToOutput));
  LATHE_ASSIGN(const int64_t backward, Columns(call, kRecurrentToOutput + 17));
  return BothDirections(call, forward, backward);
}

Status Rnn(RuleCall& call) {
  const bool sequence = call.op.code == OpCode::kUnidirectionalSequenceRnn;
  LATHE_TRY(call.RequireRank(0, sequence ? 3 : 2, sequence ? 3 : 2));
  LATHE_ASSIGN(const int64_t width, Rows(call, 1));
  return GiveWidth(call, 0, width);
}

// Inputs per direction: weights, recurrent weights, bias, state.
Status BidirectionalRnn(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 3, 3));
  LATHE_ASSIGN(const int64_t forward, Rows(call, 1));
  LATHE_ASSIGN(const int64_t backward, Rows(call, 5));
  return BothDirections(call, forward, backward);
}

Status Svdf(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 2, 2));
  LATHE_ASSIGN(const int64_t filters, Rows(call, 1));
  const int64_t rank = call.op.options.Int("rank");
  if (rank < 1 || filters % rank != 0) {
    return Invalid("{} filters of rank {}", filters, rank);
  }
  return GiveWidth(call, 0, filters / rank);
}

constexpr RuleRow kRules[] = {
    {OpCode::kLstm, 1, 24, -1, Lstm},
    {OpCode::kUnidirectionalSequenceLstm, 1, 24, 1, SequenceLstm},
    {OpCode::kBidirectionalSequenceLstm, 1, 48, -1, BidirectionalLstm},
    {OpCode::kRnn, 5, 5, 1, Rnn},
    {OpCode::kUnidirectionalSequenceRnn, 5, 5, 1, Rnn},
    {OpCode::kBidirectionalSequenceRnn, 9, 12, -1, BidirectionalRnn},
    {OpCode::kSvdf, 3, 5, 1, Svdf},
};

}  // namespace

std::span<const RuleRow> RecurrentRules() { return kRules; }

}  // namespace lathe::graph
