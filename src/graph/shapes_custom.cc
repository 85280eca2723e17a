// Shape rules of custom operators, found by their names.

#include <algorithm>

#include "src/graph/custom_options.h"
#include "src/graph/shape_rule.h"

namespace lathe::graph {
namespace {

// box encodings [1,n,4 or more], scores [1,n,classes], anchors [n,4].
Status Detection(RuleCall& call) {
  LATHE_ASSIGN(const DetectionOptions options, ReadDetectionOptions(call.op));
  LATHE_TRY(call.RequireRank(0, 3, 3));
  LATHE_TRY(call.RequireRank(1, 3, 3));
  LATHE_TRY(call.RequireRank(2, 2, 2));
  const Shape& boxes = call.ShapeOf(0);
  const Shape& scores = call.ShapeOf(1);
  const Shape& anchors = call.ShapeOf(2);
  if (boxes[0] != 1 || scores[0] != 1 || boxes[2] < 4 ||
      scores[1] != boxes[1] || anchors[0] != boxes[1] || anchors[1] != 4) {
    return Invalid("boxes {}, scores {} and anchors {} do not fit",
                   ToString(boxes), ToString(scores), ToString(anchors));
  }
  if (scores[2] != options.num_classes &&
      scores[2] != int64_t{options.num_classes} + 1) {
    return Invalid("num_classes {} for scores {}", options.num_classes,
                   ToString(scores));
  }
  const int64_t most =
      int64_t{options.max_detections} * options.max_classes_per_detection;
  LATHE_TRY(call.Give(0, Type::kFloat32, Dims{1, most, 4}));
  LATHE_TRY(call.Give(1, Type::kFloat32, Dims{1, most}));
  LATHE_TRY(call.Give(2, Type::kFloat32, Dims{1, most}));
  return call.Give(3, Type::kFloat32, Dims{1});
}

// x, filter [out,height,width,in], bias.
Status TransposeConvBias(RuleCall& call) {
  LATHE_ASSIGN(const CustomWindow window, ReadCustomWindow(call.op));
  LATHE_TRY(call.RequireRank(0, 4, 4));
  LATHE_TRY(call.RequireRank(1, 4, 4));
  const Shape& x = call.ShapeOf(0);
  const Shape& w = call.ShapeOf(1);
  if (w[3] != x[3] || x[1] < 1 || x[2] < 1 ||
      ElementCount(call.ShapeOf(2)) != static_cast<uint64_t>(w[0])) {
    return Invalid("input {}, filter {} and bias {} do not fit", ToString(x),
                   ToString(w), ToString(call.ShapeOf(2)));
  }
  const auto size = [&](int64_t in, int64_t kernel, int64_t stride) {
    const int64_t cut =
        window.same_padding
            ? std::max<int64_t>(0, kernel - (in - 1) % stride - 1)
            : 0;
    return stride * (in - 1) + kernel - cut;
  };
  return call.Give(0, call.In(0).type,
                   Dims{x[0], size(x[1], w[1], window.stride_h),
                        size(x[2], w[2], window.stride_w), w[0]});
}

Status MaxPool(RuleCall& call) {
  LATHE_ASSIGN(const CustomWindow window, ReadCustomWindow(call.op));
  LATHE_TRY(call.RequireRank(0, 4, 4));
  const Shape& x = call.ShapeOf(0);
  LATHE_ASSIGN(const int64_t height,
               WindowedSize(x[1], {window.filter_h, window.stride_h, 1,
                                   !window.same_padding}));
  LATHE_ASSIGN(const int64_t width,
               WindowedSize(x[2], {window.filter_w, window.stride_w, 1,
                                   !window.same_padding}));
  const Dims out = {x[0], height, width, x[3]};
  LATHE_TRY(call.Give(0, call.In(0).type, out));
  const bool tap = call.op.custom_name == kMaxPoolTap;
  return call.Give(1, tap ? Type::kFloat32 : Type::kInt32, out);
}

// x and where its values came from.
Status MaxUnpool(RuleCall& call) {
  LATHE_ASSIGN(const CustomWindow window, ReadCustomWindow(call.op));
  LATHE_TRY(call.RequireRank(0, 4, 4));
  LATHE_TRY(call.RequireType(1, {Type::kFloat32, Type::kInt32}));
  const Shape& x = call.ShapeOf(0);
  if (call.ShapeOf(1) != x) {
    return Invalid("values {} and indices {} differ in shape", ToString(x),
                   ToString(call.ShapeOf(1)));
  }
  const bool tap = call.In(1).type == Type::kFloat32;
  const auto size = [&](int64_t in, int64_t filter, int64_t stride) {
    if (tap) return in * filter;
    if (window.same_padding) return in * stride;
    return in == 0 ? 0 : (in - 1) * stride + filter;
  };
  return call.Give(0, call.In(0).type,
                   Dims{x[0], size(x[1], window.filter_h, window.stride_h),
                        size(x[2], window.filter_w, window.stride_w), x[3]});
}

constexpr RuleRow kRules[] = {
    {OpCode::kCustom, 3, 3, 4, Detection, kDetectionPostProcess},
    {OpCode::kCustom, 3, 3, 1, TransposeConvBias, kTransposeConvBias},
    {OpCode::kCustom, 1, 1, 2, MaxPool, kMaxPoolTap},
    {OpCode::kCustom, 1, 1, 2, MaxPool, kMaxPoolPosition},
    {OpCode::kCustom, 2, 2, 1, MaxUnpool, kMaxUnpool},
    {OpCode::kCustom, 2, 2, 1, MaxUnpool, kMaxUnpoolLiteRt},
};

}  // namespace

std::span<const RuleRow> CustomRules() { return kRules; }

}  // namespace lathe::graph
