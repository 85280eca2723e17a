#include "src/graph/custom_options.h"

#include <cmath>
#include <cstring>

#include "src/graph/flex_map.h"

namespace lathe::graph {
namespace {

Status RequireBetween(std::string_view name, int64_t value, int64_t low,
                      int64_t high) {
  if (value >= low && value <= high) return {};
  return Invalid("{} is {}; allowed: {} to {}", name, value, low, high);
}

// The structs hold int32 in the machine's order, which is little-endian.
Result<int32_t> RawInt(const Op& op, size_t index, std::string_view name) {
  int32_t value;
  if (op.custom_options.size() / sizeof(value) <= index) {
    return Invalid("its options of {} bytes end before {}",
                   op.custom_options.size(), name);
  }
  std::memcpy(&value, op.custom_options.data() + index * sizeof(value),
              sizeof(value));
  return value;
}

Status CheckWindow(const CustomWindow& window) {
  LATHE_TRY(RequireBetween("stride_w", window.stride_w, 1, INT32_MAX));
  LATHE_TRY(RequireBetween("stride_h", window.stride_h, 1, INT32_MAX));
  LATHE_TRY(RequireBetween("filter_w", window.filter_w, 1, INT32_MAX));
  LATHE_TRY(RequireBetween("filter_h", window.filter_h, 1, INT32_MAX));
  return RequireBetween("activation", window.activation, 0, 3);
}

// Two spatial numbers of a list [1, height, width, 1].
Status ReadSpatial(const Options& map, std::string_view name, int32_t& height,
                   int32_t& width) {
  const std::vector<int64_t> list = map.Ints(name);
  if (list.size() != 4 || list[0] != 1 || list[3] != 1) {
    return Invalid("{} must be a list 1, height, width, 1", name);
  }
  LATHE_TRY(RequireBetween(name, list[1], 1, INT32_MAX));
  LATHE_TRY(RequireBetween(name, list[2], 1, INT32_MAX));
  height = static_cast<int32_t>(list[1]);
  width = static_cast<int32_t>(list[2]);
  return {};
}

Result<CustomWindow> ReadWindowMap(const Op& op) {
  LATHE_ASSIGN(const Options map, ReadFlexMap(op.custom_options));
  CustomWindow window;
  const std::string padding = map.Text("padding");
  if (padding != "SAME" && padding != "VALID") {
    return Invalid("padding is \"{}\"; allowed: SAME, VALID", padding);
  }
  if (map.Bool("include_batch_in_index")) {
    return Unsupported("include_batch_in_index has no kernel");
  }
  window.same_padding = padding == "SAME";
  LATHE_TRY(ReadSpatial(map, "strides", window.stride_h, window.stride_w));
  LATHE_TRY(ReadSpatial(map, "ksize", window.filter_h, window.filter_w));
  return window;
}

}  // namespace

Result<CustomWindow> ReadCustomWindow(const Op& op) {
  if (op.custom_name == kMaxPoolPosition) return ReadWindowMap(op);
  CustomWindow window;
  LATHE_ASSIGN(const int32_t padding, RawInt(op, 0, "padding"));
  LATHE_TRY(RequireBetween("padding", padding, 1, 2));
  window.same_padding = padding == 1;
  LATHE_ASSIGN(window.stride_w, RawInt(op, 1, "stride_w"));
  LATHE_ASSIGN(window.stride_h, RawInt(op, 2, "stride_h"));
  if (op.custom_name != kTransposeConvBias) {
    LATHE_ASSIGN(window.filter_w, RawInt(op, 3, "filter_w"));
    LATHE_ASSIGN(window.filter_h, RawInt(op, 4, "filter_h"));
    // Some writers leave the rest out.
    if (op.custom_options.size() >= 6 * sizeof(int32_t)) {
      LATHE_ASSIGN(window.activation, RawInt(op, 5, "activation"));
    }
  }
  LATHE_TRY(CheckWindow(window));
  return window;
}

Result<DetectionOptions> ReadDetectionOptions(const Op& op) {
  LATHE_ASSIGN(const Options map, ReadFlexMap(op.custom_options));
  DetectionOptions options;
  const auto read = [&](std::string_view name, int64_t otherwise, int64_t low,
                        int32_t& value) -> Status {
    const int64_t number = map.Int(name, otherwise);
    LATHE_TRY(RequireBetween(name, number, low, INT32_MAX));
    value = static_cast<int32_t>(number);
    return {};
  };
  LATHE_TRY(read("max_detections", 0, 0, options.max_detections));
  LATHE_TRY(read("max_classes_per_detection", 0, 1,
                 options.max_classes_per_detection));
  LATHE_TRY(read("detections_per_class", 100, 1, options.detections_per_class));
  LATHE_TRY(read("num_classes", 0, 1, options.num_classes));
  options.use_regular_nms = map.Bool("use_regular_nms");
  options.score_threshold =
      static_cast<float>(map.Float("nms_score_threshold"));
  options.iou_threshold = static_cast<float>(map.Float("nms_iou_threshold"));
  if (!(options.iou_threshold > 0 && options.iou_threshold <= 1)) {
    return Invalid("nms_iou_threshold is {}; allowed: above 0, at most 1",
                   options.iou_threshold);
  }
  const auto scale = [&](std::string_view name, float& value) -> Status {
    value = static_cast<float>(map.Float(name));
    if (std::isfinite(value) && value != 0) return {};
    return Invalid("{} is {}; it must be finite and not 0", name, value);
  };
  LATHE_TRY(scale("y_scale", options.y_scale));
  LATHE_TRY(scale("x_scale", options.x_scale));
  LATHE_TRY(scale("h_scale", options.h_scale));
  LATHE_TRY(scale("w_scale", options.w_scale));
  return options;
}

}  // namespace lathe::graph
