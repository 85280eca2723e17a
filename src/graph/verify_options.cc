// Verifies operators' options: enums in range, divisors above zero.

#include "src/graph/verify_parts.h"

namespace lathe::graph {
namespace {

struct Range {
  std::string_view field;
  int64_t lowest, highest;
};

constexpr int64_t kLastType = static_cast<int64_t>(Type::kFloat8E5m2);

// Wherever a field of this name stands in an options table.
constexpr Range kRanges[] = {
    {"padding", 0, 1},
    {"fused_activation_function", 0, 5},
    {"weights_format", 0, 1},
    {"kernel_type", 0, 1},
    {"combiner", 0, 2},
    {"mode", 0, 1},
    {"reduce_function", 0, 6},
    {"algorithm", 0, 2},
    {"comparison_direction", 0, 5},
    {"compare_type", 0, 4},
    {"in_data_type", 0, kLastType},
    {"out_data_type", 0, kLastType},
    {"output_type", 0, kLastType},
    {"out_type", 0, kLastType},
    {"idx_out_type", 0, kLastType},
    {"quantized_bias_type", 0, kLastType},
    {"key_dtype", 0, kLastType},
    {"value_dtype", 0, kLastType},
    {"dilation_w_factor", 1, INT32_MAX},
    {"dilation_h_factor", 1, INT32_MAX},
    {"dilation_d_factor", 1, INT32_MAX},
};

// Fields whose default of 0 is no value. An operator without its table is left
// to whoever runs it: old files have such.
struct Divisor {
  std::string_view table, field;
};
constexpr Divisor kDivisors[] = {
    {"Conv2DOptions", "stride_w"},
    {"Conv2DOptions", "stride_h"},
    {"DepthwiseConv2DOptions", "stride_w"},
    {"DepthwiseConv2DOptions", "stride_h"},
    {"TransposeConvOptions", "stride_w"},
    {"TransposeConvOptions", "stride_h"},
    {"Conv3DOptions", "stride_d"},
    {"Conv3DOptions", "stride_w"},
    {"Conv3DOptions", "stride_h"},
    {"Pool2DOptions", "stride_w"},
    {"Pool2DOptions", "stride_h"},
    {"Pool2DOptions", "filter_width"},
    {"Pool2DOptions", "filter_height"},
    {"SpaceToDepthOptions", "block_size"},
    {"DepthToSpaceOptions", "block_size"},
    {"SplitOptions", "num_splits"},
    {"SplitVOptions", "num_splits"},
    {"SVDFOptions", "rank"},
};

// Such as the padding of StableHLO convolutions, a list of sizes.
bool IsTextOrList(const AttributeValue& value) {
  return !std::holds_alternative<int64_t>(value) &&
         !std::holds_alternative<bool>(value);
}

}  // namespace

void VerifyOptions(const Op& op, Problems& problems) {
  const Options& options = op.options;
  if (options.table.empty()) {
    if (!options.fields.empty()) problems.Add("options without a table");
    return;
  }
  if (options.table != FactsOf(op.code).options) {
    problems.Add("{}; the operator takes '{}'", options.table,
                 FactsOf(op.code).options);
    return;
  }
  for (const Range& range : kRanges) {
    const AttributeValue* value = options.Find(range.field);
    if (value == nullptr || IsTextOrList(*value)) continue;
    const int64_t number = options.Int(range.field);
    if (number < range.lowest || number > range.highest) {
      problems.Add("{} is {}; allowed: {} to {}", range.field, number,
                   range.lowest, range.highest);
    }
  }
  for (const Divisor& divisor : kDivisors) {
    if (divisor.table != options.table) continue;
    const int64_t number = options.Int(divisor.field);
    if (number < 1 || number > INT32_MAX) {
      problems.Add("{} is {}; must be at least 1", divisor.field, number);
    }
  }
}

}  // namespace lathe::graph
