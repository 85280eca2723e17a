// Boxes of an object detector: decoding and suppression of doubles.

#ifndef LATHE_KERNELS_DETECTION_DETECTION_H_
#define LATHE_KERNELS_DETECTION_DETECTION_H_

#include <cstddef>
#include <cstdint>

namespace lathe::kernels {

struct Detection {
  size_t boxes = 0, box_stride = 4;  // Floats between encodings, at least 4.
  size_t classes = 1, score_stride = 1;  // classes, or one more in front.
  size_t max_detections = 0, max_classes = 1;
  size_t per_class = 100;
  bool regular = false;
  float score_threshold = 0, iou_threshold = 1;
  float y_scale = 1, x_scale = 1, h_scale = 1, w_scale = 1;
};

struct DetectionOutputs {
  float* boxes = nullptr;  // d x (top, left, bottom, right)
  float* classes = nullptr;
  float* scores = nullptr;
  float* count = nullptr;  // One.
};

size_t DetectionScratchBytes(const Detection& shape);

// Box i from its encoding (y, x, h, w) and anchor (y, x, h, w):
//   centre = y / y_scale * anchor.h + anchor.y, height = exp(h / h_scale) *
//   anchor.h, the same across.
// Suppression of a list: from the highest score at or above the threshold on,
// ties in the boxes' order, a box is kept unless it meets a kept one by more
// than iou_threshold (intersection over union).
//
// Not `regular`: each box counts with its best class; up to max_detections are
// kept, and each is written with its max_classes best classes (d =
// max_detections max_classes; missing classes stay zero).
// `regular`: every class has its own list of up to per_class boxes; the
// max_detections highest scores of all are written, the rest of d is zero.
//
// NaN scores are below every threshold. Returns the first box whose decoded
// ends are the wrong way round (then the outputs are not to be used), or
// shape.boxes.
size_t RunDetection(const Detection& shape, const float* encodings,
                    const float* scores, const float* anchors,
                    const DetectionOutputs& outputs, std::byte* scratch);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_DETECTION_DETECTION_H_
