// Shape rules of operators that make values out of sizes.

#include <algorithm>
#include <array>
#include <cstring>

#include "src/graph/shape_rule.h"
#include "src/graph/shapes_runtime.h"

namespace lathe::graph {
namespace {

Status ShapeRule(RuleCall& call) {
  const bool wide =
      call.op.options.Int("out_type") == static_cast<int64_t>(Type::kInt64);
  return call.Give(0, wide ? Type::kInt64 : Type::kInt32,
                   Dims{static_cast<int64_t>(call.ShapeOf(0).size())});
}

Status Rank(RuleCall& call) { return call.Give(0, Type::kInt32, Dims{}); }

Status Fill(RuleCall& call) {
  LATHE_ASSIGN(const Dims out, call.Values(0));
  if (ElementCount(call.ShapeOf(1)) != 1) {
    return Invalid("the value has shape {}; it must be one value",
                   ToString(call.ShapeOf(1)));
  }
  return call.Give(0, call.In(1).type, out);
}

Status Range(RuleCall& call) {
  const Type type = call.In(0).type;
  // Each bound as one number of the type.
  std::array<std::array<std::byte, 8>, 3> bounds{};
  for (size_t i = 0; i < 3; ++i) {
    if (call.In(i).type != type || ElementCount(call.ShapeOf(i)) != 1) {
      return Invalid("input {} is {}{}; one {} is needed", i,
                     Name(call.In(i).type), ToString(call.ShapeOf(i)),
                     Name(type));
    }
    const size_t width = BitsPerElement(type) / 8;
    if (call.In(i).values) {
      // Little-endian: the low bytes come first.
      std::memcpy(bounds[i].data(), call.In(i).values->data(), width);
    } else if (i < call.more.input_bytes.size()) {
      if (width > 8 || call.more.input_bytes[i].size() != width) {
        return Unsupported("no range of {}", Name(type));
      }
      std::memcpy(bounds[i].data(), call.more.input_bytes[i].data(), width);
    } else {
      return Unsupported("a range of {} has a length only known at run time",
                         Name(type));
    }
  }
  LATHE_ASSIGN(
      const int64_t length,
      RangeLength(type, bounds[0].data(), bounds[1].data(), bounds[2].data()));
  return call.Give(0, type, Dims{length});
}

Status BroadcastArgs(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 1, 1));
  LATHE_TRY(call.RequireRank(1, 1, 1));
  return call.Give(0, call.In(0).type,
                   Dims{std::max(call.ShapeOf(0)[0], call.ShapeOf(1)[0])});
}

Status Random(RuleCall& call) {
  LATHE_ASSIGN(const Dims out, call.Values(0));
  return call.Give(0, Type::kFloat32, out);
}

Status Multinomial(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 2, 2));
  LATHE_ASSIGN(const int64_t samples, call.Value(1));
  return call.Give(0, Type::kInt64, Dims{call.ShapeOf(0)[0], samples});
}

Status MatrixDiag(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 1, kMaxRank - 1));
  Dims out(call.ShapeOf(0).begin(), call.ShapeOf(0).end());
  out.push_back(out.back());
  return call.Give(0, call.In(0).type, out);
}

Status MatrixSetDiag(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 2, kMaxRank));
  return call.Give(0, call.In(0).type, call.ShapeOf(0));
}

// The last two axes become fft_length, the last one halved and one more.
Status Rfft2d(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 2, kMaxRank));
  LATHE_ASSIGN(const std::vector<int64_t> length, call.Values(1));
  const auto is_power_of_two = [](int64_t n) {
    return n > 0 && n <= INT32_MAX && (n & (n - 1)) == 0;
  };
  if (length.size() != 2 || !std::ranges::all_of(length, is_power_of_two)) {
    return Invalid("fft_length must be two powers of two");
  }
  Dims out(call.ShapeOf(0).begin(), call.ShapeOf(0).end());
  out[out.size() - 2] = length[0];
  out[out.size() - 1] = length[1] / 2 + 1;
  return call.Give(0, Type::kComplex64, out);
}

constexpr RuleRow kRules[] = {
    {OpCode::kShape, 1, 1, 1, ShapeRule},
    {OpCode::kRank, 1, 1, 1, Rank},
    {OpCode::kFill, 2, 2, 1, Fill},
    {OpCode::kRange, 3, 3, 1, Range},
    {OpCode::kBroadcastArgs, 2, 2, 1, BroadcastArgs},
    {OpCode::kRandomUniform, 1, 1, 1, Random},
    {OpCode::kRandomStandardNormal, 1, 1, 1, Random},
    {OpCode::kMultinomial, 2, 2, 1, Multinomial},
    {OpCode::kMatrixDiag, 1, 1, 1, MatrixDiag},
    {OpCode::kMatrixSetDiag, 2, 2, 1, MatrixSetDiag},
    {OpCode::kRfft2d, 2, 2, 1, Rfft2d},
};

}  // namespace

std::span<const RuleRow> FillingRules() { return kRules; }

}  // namespace lathe::graph
