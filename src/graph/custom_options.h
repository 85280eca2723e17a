// The options of the custom operators that Lathe knows, checked: FlexBuffer
// maps of the TensorFlow Lite ones, raw structs of MediaPipe's.

#ifndef LATHE_GRAPH_CUSTOM_OPTIONS_H_
#define LATHE_GRAPH_CUSTOM_OPTIONS_H_

#include <cstdint>
#include <string_view>

#include "src/graph/graph.h"

namespace lathe::graph {

inline constexpr std::string_view kDetectionPostProcess =
    "TFLite_Detection_PostProcess";
inline constexpr std::string_view kTransposeConvBias =
    "Convolution2DTransposeBias";
// MediaPipe's pair keeps the tap within the window, as a float; TensorFlow
// Lite's (LiteRT's) the position in the image, as an int32. The two unpoolings
// share a name and differ in the type of input 1.
inline constexpr std::string_view kMaxPoolTap = "MaxPoolingWithArgmax2D";
inline constexpr std::string_view kMaxPoolPosition = "MaxPoolWithArgmax";
inline constexpr std::string_view kMaxUnpool = "MaxUnpooling2D";
inline constexpr std::string_view kMaxUnpoolLiteRt = "LiteRtMaxUnpooling2D";

// All sizes and strides are at least 1.
struct CustomWindow {
  bool same_padding = false;  // Else VALID.
  int32_t stride_w = 1, stride_h = 1;
  int32_t filter_w = 1, filter_h = 1;  // Pools only.
  int32_t activation = 0;              // Pools only; 0 to 3.
};
// Of every operator above but the first.
Result<CustomWindow> ReadCustomWindow(const Op& op);

struct DetectionOptions {
  int32_t max_detections = 0, max_classes_per_detection = 0;
  int32_t detections_per_class = 100, num_classes = 0;
  bool use_regular_nms = false;
  float score_threshold = 0, iou_threshold = 0;
  float y_scale = 1, x_scale = 1, h_scale = 1, w_scale = 1;
};
Result<DetectionOptions> ReadDetectionOptions(const Op& op);

}  // namespace lathe::graph

#endif  // LATHE_GRAPH_CUSTOM_OPTIONS_H_
